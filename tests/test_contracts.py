"""The contracts, over every registered plugin; and each contract broken on purpose."""

import pathlib
import re
import tempfile

import pytest
import torch
from torch import nn

from mtlaug_sb import plugins, register
from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.masking import valid_mask
from mtlaug_sb.metrics.classification import Classification
from mtlaug_sb.registry import KINDS
from mtlaug_sb.targets.categories import Categories
from mtlaug_sb.targets.numbers import Numbers
from mtlaug_sb.testing import CHECKS, ContractError, check_plugin, make_example, run_checks

pytestmark = pytest.mark.usefixtures("registry")


def registered(kind, cls, name="temporary", **attributes):
    """A subclass, so that the class itself stays as it was, registered until the test's end."""
    return register(kind, name)(type(cls.__name__, (cls,), {"__module__": __name__, **attributes}))


@pytest.mark.parametrize("plugin", plugins().values(), ids=lambda cls: cls.plugin)
@pytest.mark.filterwarnings("error:.*was not tried on a GPU")
def test_contract(plugin):
    check_plugin(plugin)


def test_every_kind_has_checks():
    assert set(KINDS) <= set(CHECKS)


# ---------------------------------------------------------------------- what the suite can be told


def test_a_plugin_may_be_named():
    assert check_plugin("weighting/fixed") == check_plugin(plugins()["weighting", "fixed"])
    with pytest.raises(ValueError, match="did you mean weighting/fixed"):
        check_plugin("weighting/fixd")


def test_the_generator_of_chance_is_left_as_it_was():
    torch.manual_seed(7)
    first = torch.rand(1)
    torch.manual_seed(7)
    check_plugin("head/attentive")
    assert torch.rand(1) == first


class Pointwise(nn.Module):
    """An encoder that keeps its features, if the folder of its model is there."""

    def __init__(self, folder, size):
        super().__init__()
        self.output_size = size
        self.weight = nn.Parameter(torch.ones(size) * float((pathlib.Path(folder) / "weight.txt").read_text()))

    def forward(self, features, lengths):
        return [(features * self.weight, lengths)]


def test_an_example_may_be_made_when_it_is_needed_and_is_made_once():
    calls = []
    with tempfile.TemporaryDirectory() as folder:

        def example():
            calls.append(folder)
            (pathlib.Path(folder) / "weight.txt").write_text("0.5")
            return {"folder": folder, "size": 8}

        cls = registered("encoder", Pointwise, example=staticmethod(example))
        assert calls == []
        check_plugin(cls)
    assert len(calls) == 1


def test_inputs_may_be_the_plugins_own():
    inputs = torch.rand(2, 10, 5), torch.tensor([1.0, 0.5])
    inputs[0][1, 5:] = 0.0
    example = {"folder": str(pathlib.Path(__file__).parent), "size": 5}
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "weight.txt").write_text("1")
        own = {"example": {**example, "folder": folder}, "example_inputs": staticmethod(lambda: inputs)}
        check_plugin(registered("encoder", Pointwise, **own))
        # the usual ones have 8 dimensions, and do not fit
        with pytest.raises(ContractError, match="size of tensor"):
            check_plugin(registered("encoder", Pointwise, example=own["example"]))


class Agreement(nn.Module):
    """A consistency loss: the target is made of the prediction on the clean view."""

    reads = "logits"

    def as_target(self, prediction):
        return prediction.softmax(1).detach()

    def forward(self, predictions, targets, lengths):
        assert targets.shape == (4, 3) or len(targets) < 4
        assert not (targets == 1).any(), "the suite's class targets, not those of as_target"
        return nn.functional.cross_entropy(predictions, targets, reduction="none")


def test_a_loss_that_makes_its_target_is_given_it():
    check_plugin(registered("loss", Agreement))


@pytest.mark.parametrize(
    ("kind", "cls", "example"),
    [
        ("target", Categories, {"label": "emotion", "names": ["anger", "sadness"]}),
        ("target", Categories, {"label": "speaker", "size": 5}),
        ("target", Numbers, {"labels": ["arousal", "dominance"]}),
        ("metric", Classification, {"names": ["a", "b", "c"]}),
    ],
)
def test_targets_and_metrics_keep_their_contracts(kind, cls, example):
    check_plugin(registered(kind, cls, example=example))


def test_all_failures_are_found_and_not_only_the_first():
    wrong = [error for _, error in run_checks(registered("head", MaxOverPadding, "silly")) if error]
    assert [str(e).split(":")[0] for e in wrong] == ["head/silly"] * 2
    assert "padded batch" in str(wrong[0])
    assert "without a gradient" in str(wrong[1])


# ---------------------------------------------------------------------- each contract broken on purpose


class Head(nn.Module):
    """A good head, to be spoilt in one respect."""

    def __init__(self, input_size, n_classes):
        super().__init__()
        self.output = nn.Linear(input_size, n_classes)

    def forward(self, frames, lengths):
        return {"logits": self.output(frames[:, 0])}


class MaxOverPadding(Head):
    def __init__(self, input_size, n_classes):
        super().__init__(input_size, n_classes)
        self.unused = nn.Linear(1, 1)

    def forward(self, frames, lengths):
        return {"logits": self.output((-frames).max(1).values)}


class PlainClass:
    def forward(self, frames, lengths):
        return {"logits": frames}


class ForgetsSuper(nn.Module):
    def __init__(self):
        self.size = 3


class OddArgument(Head):
    def __init__(self, input_size, n_klasses):
        super().__init__(input_size, n_klasses)


class FailsInInit(Head):
    def __init__(self, input_size, n_classes=3):
        raise KeyError("window")


class ModuleArgument(Head):
    example = {"activation": nn.ReLU()}

    def __init__(self, input_size, n_classes, activation):
        super().__init__(input_size, n_classes)


class AnotherEachTime(Head):
    made = 0

    def __init__(self, input_size, n_classes):
        super().__init__(input_size, n_classes)
        type(self).made += 1
        self.more = nn.Linear(1, type(self).made)


class TensorNotDict(Head):
    def forward(self, frames, lengths):
        return self.output(frames[:, 0])


class BatchSecond(Head):
    def forward(self, frames, lengths):
        return {"logits": self.output(frames[:, 0]).t()[:2]}


class Decided(Head):
    def forward(self, frames, lengths):
        return {"logits": self.output(frames[:, 0]).argmax(1)}


class Infinite(Head):
    def forward(self, frames, lengths):
        return {"logits": self.output(frames[:, 0]) / 0}


class SeesPadding(Head):
    def forward(self, frames, lengths):
        return {"logits": self.output(frames.mean(1))}


class WritesFrames(Head):
    def forward(self, frames, lengths):
        with torch.no_grad():
            frames += 1
        return super().forward(frames, lengths)


class DropoutAlways(Head):
    def forward(self, frames, lengths):
        return {"logits": nn.functional.dropout(self.output(frames[:, 0]))}


class BatchNorm(Head):
    def __init__(self, input_size, n_classes):
        super().__init__(input_size, n_classes)
        self.norm = nn.BatchNorm1d(n_classes)

    def forward(self, frames, lengths):
        return {"logits": self.norm(self.output(frames[:, 0]))}


class LogOfFrames(Head):
    def forward(self, frames, lengths):
        return {"logits": self.output(frames[:, 0].log())}


class Detached(Head):
    def forward(self, frames, lengths):
        return {"logits": self.output(frames[:, 0].detach())}


class UnusedParameter(Head):
    def __init__(self, input_size, n_classes):
        super().__init__(input_size, n_classes)
        self.unused = nn.Linear(1, 1)


class Crashes(Head):
    def forward(self, frames, lengths):
        return {"logits": self.output(frames[:, 0, :3])}


class Loss(nn.Module):
    """A good loss, to be spoilt in one respect."""

    reads = "logits"

    def forward(self, predictions, targets, lengths):
        return (predictions - targets).square().sum(1)


class NoReads(nn.Module):
    def forward(self, predictions, targets, lengths):
        return predictions.sum(1)


class Averaged(Loss):
    def forward(self, predictions, targets, lengths):
        return nn.functional.cross_entropy(predictions, targets)


class BatchMean(Loss):
    def forward(self, predictions, targets, lengths):
        return nn.functional.cross_entropy(predictions, targets).expand(len(predictions))


class BatchStatistics(Loss):
    def forward(self, predictions, targets, lengths):
        scale = predictions.std() if len(predictions) > 1 else predictions.new_tensor(1.0)
        return super().forward(predictions / scale, targets, lengths)


class ReadsPaddedFrames(Loss):
    reads = "features"

    def forward(self, predictions, targets, lengths):
        return predictions.square().mean((1, 2))


class NeedsARow(Loss):
    def forward(self, predictions, targets, lengths):
        return super().forward(predictions, targets, lengths) + predictions.max()


class NeedsTwoRows(Loss):
    def forward(self, predictions, targets, lengths):
        values = super().forward(predictions, targets, lengths)
        return values / (len(predictions) - 1) if self.training else values


class RootOfSquare(Loss):
    def forward(self, predictions, targets, lengths):
        return super().forward(predictions, targets, lengths).sqrt()


class Accuracy(Loss):
    def forward(self, predictions, targets, lengths):
        return (predictions.argmax(1) == targets.argmax(1)).float()


class LogOfLogits(Loss):
    def forward(self, predictions, targets, lengths):
        return -(targets * predictions.log()).sum(1)


class InPlace(Loss):
    def forward(self, predictions, targets, lengths):
        targets *= 0.9
        return super().forward(predictions, targets, lengths)


class Double(Loss):
    def forward(self, predictions, targets, lengths):
        return super().forward(predictions.double(), targets, lengths)


class AllOrNothing(Loss):
    reads = "values"


class ThreeDimensions(Loss):
    def forward(self, predictions, targets, lengths):
        _batch, _frames, _dim = predictions.shape
        return predictions.sum((1, 2))


class TargetWithGradient(Agreement):
    def as_target(self, prediction):
        return prediction.softmax(1)


class TargetOfOne(Agreement):
    def as_target(self, prediction):
        return prediction.softmax(1).mean(0, keepdim=True).detach()


class Effect(nn.Module):
    """A good effect, to be spoilt in one respect."""

    domain = "waveform"

    def forward(self, inputs, lengths, targets, generator):
        return 0.5 * inputs, lengths, targets


class NoDomain(nn.Module):
    def forward(self, inputs, lengths, targets, generator):
        return inputs, lengths, targets


class TwoThings(Effect):
    def forward(self, inputs, lengths, targets, generator):
        return inputs, lengths


class OneRow(Effect):
    def forward(self, inputs, lengths, targets, generator):
        return inputs.mean(0, keepdim=True), lengths, targets


class AbsoluteLengths(Effect):
    def forward(self, inputs, lengths, targets, generator):
        return inputs, lengths * inputs.shape[1], targets


class InexactLengths(Effect):
    def forward(self, inputs, lengths, targets, generator):
        return inputs[:, ::3], lengths, targets


class DropsTargets(Effect):
    def forward(self, inputs, lengths, targets, generator):
        return inputs, lengths, {}


class InventsTargets(Effect):
    def forward(self, inputs, lengths, targets, generator):
        return inputs, lengths, {k: t.nan_to_num() for k, t in targets.items()}


class GlobalChance(Effect):
    def forward(self, inputs, lengths, targets, generator):
        return inputs + torch.randn_like(inputs), lengths, targets


class NeedsTwo(Effect):
    def forward(self, inputs, lengths, targets, generator):
        return 0.5 * inputs + 0.5 * inputs[torch.tensor([1, 2, 0])[: len(inputs)]], lengths, targets


class Normalises(Effect):
    def forward(self, inputs, lengths, targets, generator):
        return inputs / inputs.abs().amax(1, keepdim=True), lengths, targets


class VaryingVariants(Effect):
    n_variants = 2

    def vary(self, inputs, lengths, variants):
        return inputs * torch.rand(1), lengths


class VariantsOfTheBatch(Effect):
    n_variants = 2

    def vary(self, inputs, lengths, variants):
        return inputs / inputs.sum(), lengths


class VariantsWithoutNumber(Effect):
    def vary(self, inputs, lengths, variants):
        return inputs, lengths


class VariantsWithoutVary(Effect):
    n_variants = 2


class VariantsOfFeatures(VariantsWithoutNumber):
    domain, n_variants = "features", 1


class Encoder(nn.Module):
    """A good encoder, to be spoilt in one respect."""

    def __init__(self, input_size):
        super().__init__()
        self.output_size = input_size

    def forward(self, features, lengths):
        return [(2 * features, lengths)]


class NotAList(Encoder):
    def forward(self, features, lengths):
        return features, lengths


class NoOutputSize(nn.Module):
    def forward(self, features, lengths):
        return [(features, lengths)]


class OtherOutputSize(Encoder):
    def forward(self, features, lengths):
        return [(features[:, :, :3], lengths)]


class StepLengths(Encoder):
    def forward(self, features, lengths):
        return [(features, lengths * features.shape[1])]


class KeptLengths(Encoder):
    def forward(self, features, lengths):
        return [(features[:, ::4], lengths)]


class SeesPaddingEncoder(Encoder):
    def forward(self, features, lengths):
        return [(features - features.mean(1, keepdim=True), lengths)]


class DividesByMean(Encoder):
    def forward(self, features, lengths):
        share = features / features.sum(2, keepdim=True)
        return [(torch.where(valid_mask(lengths, features.shape[1]).unsqueeze(2), share, 0.0), lengths)]


class WritesFeatures(Encoder):
    def forward(self, features, lengths):
        if self.training:
            features *= 2
        return [(features, lengths)]


class NoGradient(Encoder):
    @torch.no_grad()
    def forward(self, features, lengths):
        return super().forward(features, lengths)


class FrontEnd(nn.Module):
    output_size = 1

    def forward(self, wavs, lengths):
        return wavs.unsqueeze(2), lengths


class FrontEndList(FrontEnd):
    def forward(self, wavs, lengths):
        return [super().forward(wavs, lengths)]


class Weighting(nn.Module):
    def forward(self, objectives, weights):
        return sum(objectives.values())


class LeavesOut(Weighting):
    def forward(self, objectives, weights):
        return next(iter(objectives.values())) * 1.0


class AList(Weighting):
    def forward(self, objectives, weights):
        return torch.stack(list(objectives.values()))


class Logarithm(Weighting):
    def forward(self, objectives, weights):
        return sum(o.log() for o in objectives.values())


class Pops(Weighting):
    def forward(self, objectives, weights):
        return objectives.pop("a") + objectives.pop("b")


class IdleParameter(Weighting):
    def __init__(self):
        super().__init__()
        self.idle = nn.Parameter(torch.ones(1))


class Corpus:
    """A good corpus, to be spoilt in one respect."""

    @staticmethod
    def example_folder(folder):
        for name in ("a", "b"):
            (pathlib.Path(folder) / f"{name}.wav").touch()

    def read(self, data_folder):
        for path in sorted(pathlib.Path(data_folder).glob("*.wav")):
            yield self.utterance(path)

    def utterance(self, path):
        return Utterance(path.stem, str(path), "s1", {"emotion": "anger"})


class FromNowhere(Corpus):
    def read(self, data_folder):
        yield Utterance("x", "x.wav")


class NoDefaultError(Corpus):
    def read(self, data_folder):
        raise PermissionError("not allowed")


class FindsNothing(Corpus):
    def read(self, data_folder):
        return []


class OneId(Corpus):
    def utterance(self, path):
        return Utterance("same", str(path))


class NoneLabel(Corpus):
    def utterance(self, path):
        return Utterance(path.stem, str(path), None, {"emotion": None})


class NumberedSpeaker(Corpus):
    def utterance(self, path):
        return Utterance(path.stem, str(path), 3)


class MissingFile(Corpus):
    def utterance(self, path):
        return Utterance(path.stem, f"{path}.flac", "s1")


class ByColumn(list):
    def columns(self):
        for u in self:
            yield {
                "id": [u.id],
                "path": [u.path],
                "speaker": ["s1"],
                "duration_s": [None],
                **{k: [v] for k, v in u.labels.items()},
            }


class Columns(Corpus):
    def read(self, data_folder):
        return ByColumn(super().read(data_folder))


class TooFewColumns(Columns):
    def read(self, data_folder):
        class Less(ByColumn):
            def columns(self):
                yield from ({k: v for k, v in table.items() if k != "duration_s"} for table in super().columns())

        return Less(Corpus.read(self, data_folder))


class ShortColumns(Columns):
    def read(self, data_folder):
        class Less(ByColumn):
            def columns(self):
                yield from ({**table, "emotion": []} for table in super().columns())

        return Less(Corpus.read(self, data_folder))


class OtherColumns(Columns):
    def utterance(self, path):
        return Utterance(path.stem, str(path), "s2", {"emotion": "anger"})


class TupleUtterance(Corpus):
    def utterance(self, path):
        return path.stem, str(path)


class Target:
    """A good target, to be spoilt in one respect."""

    def learn(self, records):
        pass

    def __call__(self, record):
        return torch.tensor([{"anger": 1.0}.get(record.get("emotion"), torch.nan)])


class NoLearn:
    def __call__(self, record):
        return torch.zeros(1)


class PlainNumber(Target):
    def __call__(self, record):
        return 1.0


class WholeNumbers(Target):
    def __call__(self, record):
        return torch.tensor([1])


class OtherShape(Target):
    def __call__(self, record):
        return torch.zeros(2) if "emotion" in record else torch.full((1,), torch.nan)


class ZeroForMissing(Target):
    def __call__(self, record):
        return super().__call__(record).nan_to_num()


class NeverKnown(Target):
    def __call__(self, record):
        return torch.full((1,), torch.nan)


class NeedsLabel(Target):
    def __call__(self, record):
        return torch.tensor([float(len(record["emotion"]))])


class PopsLabel(Target):
    def __call__(self, record):
        result = super().__call__(record)
        record["emotion"] = "anger"
        return result


class Metric:
    """A good metric, to be spoilt in one respect."""

    reads = "logits"

    def __init__(self):
        self.reset()

    def reset(self):
        self.right, self.total = 0, 0

    def update(self, predictions, targets):
        self.right += (predictions.argmax(1) == targets.argmax(1)).sum().item()
        self.total += len(predictions)

    def compute(self):
        return {"accuracy": self.right / self.total} if self.total else {}


class NotANumberYet(Metric):
    def compute(self):
        return {"accuracy": self.right / self.total if self.total else float("nan")}


class DividesByNothing(Metric):
    def compute(self):
        return {"accuracy": self.right / self.total}


class TensorFigure(Metric):
    def compute(self):
        return {"accuracy": torch.tensor(0.5)}


class MeanOfMeans(Metric):
    def update(self, predictions, targets):
        self.right += (predictions.argmax(1) == targets.argmax(1)).float().mean().item()
        self.total += 1


class Remembers(Metric):
    def __init__(self):
        super().reset()

    def reset(self):
        pass


class ForgetsOnCompute(Metric):
    def compute(self):
        figures = super().compute()
        self.reset()
        return figures


class NoReset:
    reads = "logits"

    def update(self, predictions, targets):
        pass

    def compute(self):
        return {}


class NoReadsMetric(Metric):
    reads = None


class Sorts(Metric):
    def update(self, predictions, targets):
        super().update(predictions, targets)
        predictions.zero_()


BROKEN = [
    # of every kind
    ("head", PlainClass, r"must be an nn.Module.*write class PlainClass\(nn.Module\)"),
    ("head", ForgetsSuper, r"must begin with super\(\).__init__\(\)"),
    ("head", OddArgument, r"argument 'n_klasses' has no default.*example = {'n_klasses': ...}"),
    ("head", FailsInInit, r"stopped with KeyError: .*window.*test_contracts.py:\d+, in __init__.*'can_be_made'"),
    ("head", ModuleArgument, "must be plain data.*ReLU"),
    ("head", AnotherEachTime, "has other parameters"),
    # heads
    ("head", TensorNotDict, r"must return a dictionary.*got \[3, 3\]"),
    ("head", BatchSecond, r"the batch of 3 first, is \[2, 3\]"),
    ("head", Decided, "floating point .no argmax., is torch.int64"),
    ("head", Infinite, "'logits' is NaN or infinite"),
    ("head", SeesPadding, "is padding seen"),
    ("head", MaxOverPadding, "is padding seen"),
    ("head", WritesFrames, "in place"),
    ("head", DropoutAlways, r"two answers to one question in eval\(\): 'logits'"),
    ("head", BatchNorm, "stopped with ValueError: Expected more than 1 value.*example_inputs.*'batch_of_one'"),
    ("head", LogOfFrames, "silence gives NaN or infinity in 'logits'"),
    ("head", Detached, "no finite gradient reaches the shared frames"),
    ("head", UnusedParameter, r"parameters without a gradient: \['unused.weight', 'unused.bias'\]"),
    ("head", Crashes, r"stopped with RuntimeError: mat1 and mat2.*test_contracts.py:\d+, in forward.*'predictions'"),
    # losses
    ("loss", NoReads, "needs a class attribute reads"),
    ("loss", Averaged, r"\[4\] for a batch of 4, got \[\]: do not average"),
    ("loss", BatchMean, "depends on its neighbours: .* alone"),
    ("loss", BatchStatistics, "depends on its neighbours"),
    ("loss", ReadsPaddedFrames, "beyond the utterance's length: padding must not count"),
    ("loss", NeedsARow, "depends on its neighbours"),
    ("loss", NeedsTwoRows, r"is inf for a single labelled row, in train\(\)"),
    ("loss", RootOfSquare, "gradient is not finite for predictions that equal the targets"),
    ("loss", Accuracy, "no gradient reaches the predictions"),
    ("loss", LogOfLogits, "is not finite for predictions that are all zero"),
    ("loss", InPlace, "in place"),
    ("loss", Double, "must return float32, got torch.float64"),
    ("loss", AllOrNothing, "one of whose values is missing"),
    ("loss", ThreeDimensions, r"was given predictions \[4, 3\], targets \[4, 3\].*example_data\(\)"),
    ("loss", TargetWithGradient, "must carry no gradient"),
    ("loss", TargetOfOne, r"one target for each row of the prediction \[4, 3\], got \[1, 3\]"),
    # augmentations
    ("augmentation", NoDomain, "needs an attribute domain"),
    ("augmentation", TwoThings, r"must return \(inputs, lengths, targets\), got tuple"),
    ("augmentation", OneRow, r"given inputs \[3, 8000\] and returned \[1, 8000\]; only the second"),
    ("augmentation", AbsoluteLengths, r"relative lengths \[3\] in \(0, 1\]"),
    ("augmentation", InexactLengths, "lengths must be exact"),
    ("augmentation", DropsTargets, "must return every target"),
    ("augmentation", InventsTargets, "invents targets"),
    ("augmentation", GlobalChance, "the same generator, another result"),
    ("augmentation", NeedsTwo, "stopped with IndexError.*'batch_of_one'"),
    ("augmentation", Normalises, "returns NaN or infinity for silence"),
    ("augmentation", VaryingVariants, "variant 0 is another one each time"),
    ("augmentation", VariantsOfTheBatch, "variant 0 gives an utterance .* alone and .* in a batch"),
    ("augmentation", VariantsWithoutNumber, "needs an attribute n_variants"),
    ("augmentation", VariantsWithoutVary, "has n_variants and no method vary"),
    ("augmentation", VariantsOfFeatures, "vary is for effects on the waveform"),
    # front ends and encoders
    ("encoder", NotAList, r"must return a list \[\(frames, lengths\), ...\]"),
    ("encoder", NoOutputSize, "needs an attribute output_size"),
    ("encoder", OtherOutputSize, r"must return frames \[3, frames, 8\].*got \[3, 40, 3\]"),
    ("encoder", StepLengths, r"relative lengths \[3\] in \(0, 1\]"),
    ("encoder", KeptLengths, "gives 7 frames alone and 6 in a padded batch.*see the padding"),
    ("encoder", SeesPaddingEncoder, "see the padding"),
    ("encoder", DividesByMean, "silence gives NaN"),
    ("encoder", WritesFeatures, "changes its input in place"),
    ("encoder", NoGradient, "no finite gradient reaches the input"),
    ("features", FrontEndList, r"must return \(features, lengths\), got list"),
    ("features", FrontEnd, "reads what stands in the padding"),
    # weightings
    ("weighting", LeavesOut, r"leaves an objective out: no gradient reaches \['b'\]"),
    ("weighting", AList, r"must return one scalar, a tensor of shape \[\], got \[2\]"),
    ("weighting", Logarithm, "an objective of 0"),
    ("weighting", Pops, "changes the dictionaries"),
    ("weighting", IdleParameter, r"parameters without a gradient: \['idle'\]"),
    # corpora
    ("corpus", FromNowhere, "finds utterances in a folder that is not there"),
    ("corpus", NoDefaultError, "stopped with PermissionError: not allowed"),
    ("corpus", FindsNothing, "finds no utterance in what example_folder wrote"),
    ("corpus", OneId, r"several utterances one id: \['same'\]"),
    ("corpus", NoneLabel, "label 'emotion' must be text.*got None; leave a label out"),
    ("corpus", NumberedSpeaker, "a speaker must be text, or None where it is unknown, got 3"),
    ("corpus", MissingFile, "gives a path where no file is"),
    ("corpus", TooFewColumns, r"columns\(\) must give id, path, speaker, duration_s, and lacks duration_s"),
    ("corpus", ShortColumns, r"columns\(\) must give lists of one length, gives .*'emotion': \('list', 0\)"),
    ("corpus", OtherColumns, r"says {.*'s1'.*} of an utterance by columns\(\), and {.*'s2'.*} one by one"),
    ("corpus", TupleUtterance, "must give mtlaug_sb.interfaces.Utterance, got tuple"),
    # targets
    ("target", NoLearn, r"needs a method learn\(records\)"),
    ("target", PlainNumber, "must return a tensor for a record, got float 1.0"),
    ("target", WholeNumbers, "must return floating point"),
    ("target", OtherShape, r"must return one shape.*got \[2\] and \[1\]"),
    ("target", ZeroForMissing, "must give NaN where the label is missing, got .0.0."),
    ("target", NeverKnown, "gives NaN for each of these records"),
    ("target", NeedsLabel, "stopped with KeyError: 'emotion'"),
    ("target", PopsLabel, "changes the records"),
    # metrics
    ("metric", NoReadsMetric, "needs a class attribute reads.*it is None"),
    ("metric", NoReset, "lacks reset"),
    ("metric", NotANumberYet, "is nan before anything was seen; return {} then"),
    ("metric", DividesByNothing, "stopped with ZeroDivisionError"),
    ("metric", TensorFigure, r"must return Python numbers by name.*\.item\(\)"),
    ("metric", MeanOfMeans, "for two halves"),
    ("metric", Remembers, "gives other figures after reset"),
    ("metric", ForgetsOnCompute, r"only reset\(\) may forget"),
    ("metric", Sorts, "changes predictions or targets in place"),
]


@pytest.mark.parametrize(("kind", "cls", "says"), BROKEN, ids=[cls.__name__ for _, cls, _ in BROKEN])
def test_a_broken_contract_is_found(kind, cls, says):
    errors = [str(error) for _, error in run_checks(registered(kind, cls, "broken")) if error]
    assert any(re.search(f"{kind}/broken: .*{says}", error) for error in errors), errors
    assert all("(check '" in error and "\n" not in error for error in errors)
    with pytest.raises(ContractError):
        check_plugin(f"{kind}/broken")


GOOD = {
    "head": Head,
    "loss": Loss,
    "augmentation": Effect,
    "encoder": Encoder,
    "weighting": Weighting,
    "corpus": Corpus,
    "target": Target,
    "metric": Metric,
}


@pytest.mark.parametrize("kind", GOOD)
def test_what_was_not_spoilt_is_fine(kind):
    check_plugin(registered(kind, GOOD[kind]))


def test_a_corpus_that_gives_columns_too_is_fine():
    check_plugin(registered("corpus", Columns))


FRAMES = torch.zeros(3, 4, 8)


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"example": ["input_size"]}, "example must be a dictionary of arguments"),
        ({"example": lambda self: {}}, "example must be a dictionary, or a static method"),
        ({"example": {"input_sise": 8}}, "there is no argument 'input_sise'; did you mean 'input_size'"),
        (
            {"example_inputs": staticmethod(lambda: FRAMES)},
            r"must return \(inputs, lengths\), two tensors; got \[3",
        ),
        ({"example_inputs": lambda self: None}, "example_inputs must be a static method"),
        (
            {"example_inputs": staticmethod(lambda: (FRAMES, torch.tensor([4, 4, 2])))},
            r"relative lengths \[batch\]",
        ),
    ],
)
def test_a_wrong_example_is_explained(attributes, says):
    with pytest.raises(ContractError, match=says):
        check_plugin(registered("head", Head, **attributes))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (torch.zeros(3), r"must return tensors: \(predictions, targets\)"),
        ((torch.zeros(3, 2), torch.zeros(2, 2)), r"as many of each; got \[3, 2\], \[2, 2\]"),
    ],
)
def test_wrong_example_data_is_explained(given, says):
    with pytest.raises(ContractError, match=says):
        check_plugin(registered("loss", Loss, example_data=staticmethod(lambda: given)))


def test_a_plugin_that_cannot_be_made_is_reported_once():
    assert len(list(run_checks(registered("head", FailsInInit, "broken")))) == 1


def test_make_example_says_which_argument():
    assert make_example(plugins()["head", "attentive"]).output.out_features == 3
    with pytest.raises(ContractError, match="'n_klasses'"):
        make_example(registered("head", OddArgument))
