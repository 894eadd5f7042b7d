"""What would happen on a GPU: nothing here has one, so it is pretended."""

import argparse
import copy

import numpy as np
import pytest
import speechbrain as sb
import torch
from benchmarks.setting import Setting
from conftest import ROOT
from small_model import write_small_model, write_voices
from torch import nn
from torch.utils._pytree import tree_leaves

from mtlaug_sb import make, register
from mtlaug_sb.averages import Averages
from mtlaug_sb.dataio.datasets import loader_options
from mtlaug_sb.inference import EmotionRecognizer
from mtlaug_sb.inference.training_run import write_model_of_run
from mtlaug_sb.robustness.systems import TrainedNetwork
from mtlaug_sb.testing import ContractError, check_plugin
from mtlaug_sb.testing.pretended_gpu import PretendedGpu
from mtlaug_sb.testing.pretended_tensor import MixedDevices

# ---------------------------------------------------------------------- the pretence


@pytest.fixture
def gpu():
    with PretendedGpu() as pretended:
        yield pretended


@pytest.mark.parametrize(
    "mix",
    [
        lambda x: x + torch.ones(3),
        lambda x: torch.cat([x, torch.ones(1)]),
        lambda x: torch.where(torch.tensor([True, False, True]), x, 0.0),
        lambda x: x.add_(torch.ones(3)),
        lambda x: torch.ones(3).mul_(x),
        lambda x: nn.Linear(3, 2)(x),
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
        lambda x: torch.rand(3, device=x.device, generator=torch.Generator()),
        lambda x: x.uniform_(generator=torch.Generator()),
        lambda x: torch.tensor(0.0).add_(x.sum()),
        lambda x: torch.stack([x.sum(), torch.tensor(0.0)]),
        lambda x: nn.utils.rnn.pack_padded_sequence(x.view(1, 3, 1), torch.tensor([3]).to(x.device), batch_first=True),
    ],
)
def test_what_a_gpu_refuses_is_refused(gpu, mix):
    with pytest.raises(MixedDevices):
        mix(torch.ones(3).to(gpu.device))


def test_what_a_gpu_takes_is_taken(gpu):
    x = torch.arange(4.0).to(gpu.device)
    assert x.device == gpu.device
    for y in (
        x * torch.tensor(2.0),
        x[torch.tensor([1, 2])],
        x[[0, 1]],
        torch.zeros(4, device=gpu.device),
        x.new_tensor([1.0]),
    ):
        assert y.device == gpu.device
    assert x.add_(1) is x
    x[1:3].mul_(10)
    x[[0]] = -1.0
    assert x.view(2, 2)[[1, 0], :].tolist() == [[30.0, 4.0], [-1.0, 20.0]]
    assert x[[]].shape == (0,)
    assert torch.as_tensor([1, 2], device=gpu.device).device == gpu.device
    assert x.long().new_tensor([1]).dtype == torch.int64
    assert x.numpy(force=True).shape == (4,)
    assert f"{x.sum():.1f}" == "53.0"
    assert x.cpu().device.type == "cpu"
    assert x.tolist() == [-1.0, 20.0, 30.0, 4.0]


class Packed(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 2, batch_first=True)

    def forward(self, x):
        packed = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 2]), batch_first=True)
        return nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True)


@pytest.mark.parametrize(
    "made",
    [
        lambda: nn.LSTM(3, 2, batch_first=True, bidirectional=True),
        lambda: nn.GRU(3, 2, batch_first=True),
        Packed,
        lambda: nn.TransformerEncoderLayer(3, 1, dropout=0.0, batch_first=True),
        lambda: nn.Sequential(nn.Conv1d(5, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU()),
    ],
)
def test_numbers_and_gradients_are_those_of_the_cpu(gpu, made):
    here = made()
    there = copy.deepcopy(here).to(gpu.device)
    given = torch.rand(2, 5, 3)
    one, other = (tree_leaves(module(x))[0] for module, x in ((here, given), (there, given.to(gpu.device))))
    assert other.shape == one.shape
    assert torch.allclose(one, other.cpu(), atol=1e-6)
    one.square().sum().backward()
    other.square().sum().backward()
    for one, other in zip(here.parameters(), there.parameters(), strict=True):
        assert other.device == gpu.device
        assert torch.allclose(one.grad, other.grad.cpu(), atol=1e-5)


def test_shapes_and_data_follow_what_is_done_in_place(gpu):
    x = torch.arange(6.0).view(1, 2, 3).to(gpu.device)
    x.squeeze_(0).t_()
    assert x.shape == x.cpu().shape == (3, 2)
    wav = torch.rand(1, 1000)
    here, there = (
        torch.stft(w, 64, window=torch.hann_window(64).to(w.device), return_complex=True) for w in (wav, wav.to(gpu.device))
    )
    assert torch.allclose(here, there.cpu(), atol=1e-5)
    layer = nn.Linear(2, 2).to(gpu.device)
    layer.weight.data = layer.weight.data * 0 + 5
    assert layer.weight.tolist() == [[5.0, 5.0], [5.0, 5.0]]


def test_a_loss_may_have_its_lengths_in_main_memory(gpu):
    scores, lengths = torch.randn(4, 2, 3).log_softmax(2), (torch.tensor([4, 4]), torch.tensor([1, 2]))
    targets = torch.tensor([[1, 1], [2, 1]])
    there = nn.functional.ctc_loss(scores.to(gpu.device), targets.to(gpu.device), *lengths)
    assert there.device == gpu.device
    assert torch.allclose(nn.functional.ctc_loss(scores, targets, *lengths), there.cpu())


@pytest.mark.parametrize(
    ("ask", "waits"),
    [
        (lambda x: x.sum().item(), 1),
        (lambda x: bool((x > 0).any()), 1),
        (lambda x: x.cpu(), 1),
        (lambda x: x.tolist(), 1),
        (torch.inference_mode()(lambda x: x.to("cpu", torch.float64)), 1),
        (lambda x: torch.zeros(3).copy_(x), 1),
        (lambda x: x[x > 0], 1),
        (lambda x: (x > 0).nonzero(), 1),
        (lambda x: x.masked_select(x > 0), 1),
        (lambda x: x.unique(), 1),
        (lambda x: x.repeat_interleave(x.long()), 1),
        (lambda x: torch.equal(x, x), 1),
        (lambda x: x.long().bincount(), 1),
        (lambda x: x.sum() + x[(x * 0).long()], 0),
        (lambda x: torch.where(x > 0, x, 0.0).cumsum(0), 0),
    ],
)
def test_it_counts_where_the_program_waits(gpu, ask, waits):
    ask(torch.ones(3).to(gpu.device))
    assert sum(gpu.waits.values()) == waits
    assert all(place.startswith(__file__) for _, place in gpu.waits)


def test_after_its_end_everything_is_as_before():
    with PretendedGpu() as gpu:
        x = torch.ones(3).to(gpu.device)
    with pytest.raises(RuntimeError, match="after its end"):
        x + 1
    assert not torch.__future__.get_overwrite_module_params_on_conversion()
    assert torch.ones(3).to("meta").is_meta
    with pytest.raises(RuntimeError):
        torch.autocast("meta", enabled=False)


# ---------------------------------------------------------------------- the contract


def on_a_gpu(kind, cls):
    """Check a class that is registered for the moment."""
    check_plugin(register(kind, "temporary")(cls))


class Head(nn.Module):
    def __init__(self, input_size, n_classes):
        super().__init__()
        self.output = nn.Linear(input_size, n_classes)
        self.offset = torch.zeros(n_classes)

    def forward(self, frames, lengths):
        return {"logits": self.output(frames[:, 0]) + self.offset}


class LeftBehind(Head):
    def __init__(self, input_size, n_classes):
        super().__init__(input_size, n_classes)
        self.output = nn.Linear(input_size, n_classes)

    def forward(self, frames, lengths):
        return {"logits": self.output(frames[:, 0]), "values": torch.zeros(len(frames), 2)}


class InTraining(LeftBehind):
    def forward(self, frames, lengths):
        logits = self.output(frames[:, 0])
        return {"logits": logits + torch.zeros(logits.shape) if self.training else logits}


class Backwards(LeftBehind):
    class Mixing(torch.autograd.Function):
        @staticmethod
        def forward(context, x):
            return x.clone()

        @staticmethod
        def backward(context, gradient):
            return gradient + torch.zeros(gradient.shape)

    def forward(self, frames, lengths):
        return {"logits": self.Mixing.apply(self.output(frames[:, 0]))}


class Windowed(LeftBehind):
    def forward(self, frames, lengths):
        spectra = torch.stft(frames[:, :, 0], 16, window=torch.hann_window(16), return_complex=True)
        return {"logits": self.output(frames[:, 0]) + 0 * spectra.abs().mean()}


class Another(LeftBehind):
    def forward(self, frames, lengths):
        return {"logits": self.output(frames[:, 0]) * (1 if frames.device.type == "cpu" else 2)}


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (
            Head,
            r"of the GPU, \[3\] of the CPU; make them with device=x.device.*test_gpu.py:\d+, in forward",
        ),
        (LeftBehind, r"returns tensors of the CPU for inputs on a GPU, \[\[3, 2\]\]: make them with device=x.device"),
        (InTraining, "stopped with MixedDevices"),
        (Backwards, "stopped with MixedDevices"),
        (Windowed, "stopped with MixedDevices: .*the GPU"),
        (Another, "gives something else on a GPU than on the CPU"),
    ],
)
def test_a_head_that_would_fail_on_a_gpu_is_told(cls, said):
    with pytest.raises(ContractError, match=said):
        on_a_gpu("head", type(cls.__name__, (cls,), {}))


class Louder(nn.Module):
    domain = "waveform"

    def forward(self, inputs, lengths, targets, generator):
        gains = torch.rand(len(inputs), 1, generator=generator)
        return inputs * self.placed(gains, inputs), lengths, targets

    def placed(self, gains, inputs):
        return gains


class LouderThere(Louder):
    def placed(self, gains, inputs):
        return gains.to(inputs.device)


class Total:
    """A metric whose sum stays where it was made."""

    reads = "logits"

    def __init__(self):
        self.reset()

    def reset(self):
        self.sum, self.n = torch.tensor(0.0), 0

    def update(self, predictions, targets):
        self.sum += (predictions.argmax(1) == targets.argmax(1)).float().sum()
        self.n += len(targets)

    def compute(self):
        return {"share": float(self.sum) / self.n} if self.n else {}


class Wrapped(nn.Module):
    """An encoder around one that its example has only once."""

    def __init__(self, part):
        super().__init__()
        self.part, self.output_size = part, part.output_size

    def forward(self, features, lengths):
        return self.part(features, lengths)


@pytest.mark.usefixtures("registry")
def test_a_sum_of_a_metric_has_to_be_on_the_gpu():
    with pytest.raises(ContractError, match="'add_' of tensors on several devices"):
        on_a_gpu("metric", type("Total", (Total,), {}))


@pytest.mark.usefixtures("registry")
def test_a_part_that_is_shared_stays_as_it_was():
    part = make("encoder/cnn", input_size=8, channels=[4], kernel_sizes=[3], strides=[1])
    weight = part.convolutions[0].weight
    on_a_gpu("encoder", type("Wrapped", (Wrapped,), {"example": {"part": part}}))
    assert part.convolutions[0].weight is weight
    assert weight.device.type == "cpu"


@pytest.mark.usefixtures("registry")
def test_an_effect_moves_what_it_draws():
    with pytest.raises(ContractError, match="stopped with MixedDevices"):
        on_a_gpu("augmentation", Louder)
    on_a_gpu("augmentation", LouderThere)


class OnlyOnRealOnes(LeftBehind):
    def forward(self, frames, lengths):
        if frames.device.type != "cpu":
            raise NotImplementedError("no kernel")
        return {"logits": self.output(frames[:, 0])}


@pytest.mark.usefixtures("registry")
def test_what_cannot_be_pretended_is_said():
    with pytest.warns(UserWarning, match="head/temporary was not tried on a GPU: NotImplementedError: no kernel"):
        on_a_gpu("head", OnlyOnRealOnes)


# ---------------------------------------------------------------------- the whole


def setting(folder, device, yaml="mtl_aug", **more):
    """A small training, ready for its first step."""
    options = argparse.Namespace(
        yaml=ROOT / "hparams" / f"{yaml}.yaml", corpus="synthetic", data_folder=None, device=str(device)
    )
    small = {"corpus_options": {"n_speakers": 4, "n_utterances": 2}, "batches": {"batch_size": 8}, "number_of_epochs": 1}
    # PyTorch has no fused optimiser for a device that it does not know
    return Setting(options, folder, opt_class={"fused": False}, **small, **more)


def trained(folder, device):
    """Solved, trained, tested and written; returns the probabilities."""
    ready = setting(folder, device)
    brain, whole = ready.brain, loader_options(batch_size=8)
    loader = brain.make_dataloader(ready.dataset, sb.Stage.VALID, ckpt_prefix=None, **whole)
    brain.fit_heads([(loader, brain.policy.outcomes())], {name: record["speaker"] for name, record in ready.records.items()})
    training = brain.make_dataloader(ready.dataset, sb.Stage.TRAIN, **loader_options(batch_sampler=ready.sampler))
    brain.fit(ready.hparams["epoch_counter"], training, loader, progressbar=False)
    brain.evaluate(ready.dataset, progressbar=False, test_loader_kwargs=whole)
    write_model_of_run(folder / "model", brain, loader, ready.records)
    return torch.tensor([probabilities for *_, probabilities in brain.test_rows])


def test_a_training_is_that_of_the_cpu(tmp_path):
    here = trained(tmp_path / "here", "cpu")
    with PretendedGpu() as gpu:
        there = trained(tmp_path / "there", gpu.device)
    assert here.std(0).min() > 0.01
    assert torch.allclose(here, there, atol=1e-3)
    answers = [EmotionRecognizer.from_hparams(tmp_path / place / "model") for place in ("here", "there")]
    wav = torch.rand(1, 16000, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(*(model.classify_batch(wav)[0] for model in answers), atol=1e-3)


@pytest.mark.parametrize(
    "yaml", ["mtl_consistency", "mtl_transcript", "ss_aae", "mtl_domain_adversarial", "mtl_aug_robust_noise"]
)
def test_a_step_of_the_other_systems_works(tmp_path, gpu, yaml):
    ready = setting(tmp_path, gpu.device, yaml)
    for _ in range(2):
        ready.step()


def test_averages_of_a_resumed_run_go_on_there(gpu):
    averages = Averages()
    averages.add({"loss": torch.tensor(1.0)})
    averages.add({"loss": torch.tensor(3.0).to(gpu.device)})
    assert averages.compute() == {"loss": 2.0}


def test_a_step_hardly_waits_once_features_are_kept(tmp_path, gpu):
    ready = setting(tmp_path, gpu.device, augmentation={"effects": {"speed": {"percents": [90]}}})
    ready.fill_caches(4)
    gpu.waits.clear()
    for _ in range(6):
        ready.step()
    assert sum(gpu.waits.values()) / 6 <= 18, gpu.waits
    forward = ("encoders", "losses", "task.py")  # where a mask as an index would wait forwards and backwards
    assert sum(n for (_, place), n in gpu.waits.items() if any(part in place for part in forward)) / 6 <= 7


def answers(folder, paths, device):
    """Of everything that a model can be asked for, as numbers."""
    model = EmotionRecognizer.from_hparams(folder, run_opts={"device": str(device)})
    wav = model.load_audio(paths[0])
    numbers = [p for found in model.classify_files(paths) for p in found.probabilities.values()]
    numbers += [p for window in model.timeline(paths[1], window_s=1.0, hop_s=0.5) for p in window.probabilities.values()]
    numbers += model.encode_batch(wav).flatten().tolist()
    model.adapt_to_speaker(paths)
    numbers += model.classify_batch(wav)[0].flatten().tolist()
    system = TrainedNetwork(folder, str(device), speeds=[90, 110])
    system.adapt_to({"all": [model.load_audio(path) for path in paths]}, self_training=True)
    system.turn_to("all")
    return numbers + system.probabilities([wav]).flatten().tolist()


def test_a_model_answers_as_on_the_cpu(tmp_path):
    paths = write_voices(tmp_path / "voices", n=3)
    folder = write_small_model(tmp_path / "model", functionals=True)
    here = answers(folder, paths, "cpu")
    with PretendedGpu() as gpu:
        there = answers(folder, paths, gpu.device)
    assert there == pytest.approx(here, abs=1e-4)
