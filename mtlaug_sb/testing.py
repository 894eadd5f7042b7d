"""The contracts of ``interfaces`` as checks that run over any plugin, in the manner of scikit-learn's check_estimator.

>>> from mtlaug_sb import plugins
>>> check_plugin(plugins()["head", "attentive"])
['predictions', 'input_untouched', 'repeatable', 'batch_of_one', 'silence', 'alone_as_in_a_batch', 'gradient', 'plain_data']
"""

import copy
import inspect

import torch

from mtlaug_sb.masking import absolute_lengths
from mtlaug_sb.registry import describe, make

# arguments without a default are made with these; a plugin with others has a class attribute ``example`` (a dict)
EXAMPLE = {"input_size": 8, "output_size": 8, "n_classes": 3, "embedding_size": 8, "sample_rate": 16000}
LENGTHS = torch.tensor([1.0, 0.6, 0.35])


class ContractError(AssertionError):
    """A plugin does not keep its contract; the message says which and how."""


def make_example(cls):
    """A small instance of a plugin.

    Raises
    ------
    ContractError
        If an argument has neither a default nor a usual name.
    """
    example = getattr(cls, "example", {})
    arguments = dict(example() if callable(example) else example)
    for name, parameter in inspect.signature(cls).parameters.items():
        optional = parameter.default is not parameter.empty or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        if not optional and name not in arguments:
            if name not in EXAMPLE:
                raise ContractError(
                    f"{cls.plugin}: argument '{name}' has no default; give it one, or give the class an attribute "
                    f"example = {{'{name}': ...}} for tests"
                )
            arguments[name] = EXAMPLE[name]
    torch.manual_seed(0)
    return make(cls.plugin, **arguments)


def check_plugin(cls):
    """Run every check of the plugin's kind; returns their names.

    Raises
    ------
    ContractError
        At the first check that fails.
    """
    kind = cls.plugin.partition("/")[0]
    done = []
    for check in [*CHECKS[kind], check_plain_data]:
        check(cls)
        done.append(check.__name__.removeprefix("check_"))
    return done


def _expect(condition, cls, what):
    if not condition:
        raise ContractError(f"{cls.plugin}: {what}")


def _frames(cls, frames=40, dim=8):
    """Random frames [3, frames, dim], padding zero, with lengths that are exact."""
    generator = torch.Generator().manual_seed(1)
    steps = absolute_lengths(LENGTHS, frames)
    x = torch.rand(3, frames, dim, generator=generator)
    for i, n in enumerate(steps):
        x[i, n:] = 0.0
    return x, steps / frames


def _wavs(cls):
    return tuple(t.squeeze(2) if t.ndim == 3 else t for t in _frames(cls, frames=8000, dim=1))


def _close(a, b):
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-5, equal_nan=True)


# ---------------------------------------------------------------------- features and encoders


def _sequence_case(cls):
    """Instance, inputs and lengths for kinds that map a sequence to a sequence."""
    instance = make_example(cls).eval()
    dim = getattr(instance, "input_size", 8)  # of an encoder that has no argument of that name
    return instance, *(_wavs(cls) if cls.plugin.startswith("features/") else _frames(cls, dim=dim))


def _layers(instance, inputs, lengths):
    """[(frames, lengths), ...]: of an encoder all its layers, of a front end the one."""
    out = instance(inputs, lengths)
    return out if isinstance(out, list) else [out]


def check_output_size(cls):
    """[batch, frames, output_size], finite, with lengths in (0, 1]."""
    instance, inputs, lengths = _sequence_case(cls)
    _expect(
        isinstance(instance(inputs, lengths), tuple if cls.plugin.startswith("features/") else list),
        cls,
        "must return (features, lengths)" if cls.plugin.startswith("features/") else "must return [(frames, lengths), ...]",
    )
    frames, new_lengths = _layers(instance, inputs, lengths)[-1]
    expected = getattr(instance, "output_size", None)
    _expect(expected is not None, cls, "needs an attribute output_size")
    _expect(
        frames.ndim == 3 and frames.shape[0] == 3 and frames.shape[2] == expected,
        cls,
        f"must return [batch, frames, {expected}], got {tuple(frames.shape)} for a batch of 3",
    )
    _expect(torch.isfinite(frames).all(), cls, "returns values that are not finite")
    _expect(((new_lengths > 0) & (new_lengths <= 1)).all(), cls, f"lengths must be in (0, 1], got {new_lengths}")


def check_sequence_alone_as_in_a_batch(cls):
    """Padding changes nothing: an utterance gives the same frames alone and in a batch."""
    instance, inputs, lengths = _sequence_case(cls)
    together = _layers(instance, inputs, lengths)
    for i, n in enumerate(absolute_lengths(lengths, inputs.shape[1])):
        alone = _layers(instance, inputs[i : i + 1, :n], torch.ones(1))
        for (one, _), (many, new_lengths) in zip(alone, together, strict=True):
            steps = absolute_lengths(new_lengths, many.shape[1])[i]
            _expect(
                _close(one[0], many[i, :steps]),
                cls,
                f"an utterance gives other frames in a padded batch than alone (alone {tuple(one.shape[1:])}, "
                f"in the batch {tuple(many[i, :steps].shape)}): does it see the padding?",
            )


def check_sequence_garbage_in_padding(cls):
    """What stands in the padding must not matter."""
    instance, inputs, lengths = _sequence_case(cls)
    if not cls.plugin.startswith("features/"):
        return
    dirty = inputs.clone()
    for i, n in enumerate(absolute_lengths(lengths, inputs.shape[1])):
        dirty[i, n:] = 7.0
    clean, dirty = (_layers(instance, x, lengths)[-1][0] for x in (inputs, dirty))
    _expect(_close(clean, dirty), cls, "reads what stands in the padding")


def check_sequence_silence(cls):
    """Zeros give finite frames."""
    instance, inputs, lengths = _sequence_case(cls)
    frames, _ = _layers(instance, torch.zeros_like(inputs), lengths)[-1]
    _expect(torch.isfinite(frames).all(), cls, "silence gives NaN or infinity")


def check_sequence_input_untouched(cls):
    """The input is not changed in place."""
    instance, inputs, lengths = _sequence_case(cls)
    before = inputs.clone()
    instance.train()(inputs, lengths)
    _expect(torch.equal(before, inputs), cls, "changes its input in place")


def check_sequence_gradient(cls):
    """Gradients reach the input: attacks and fine-tuning need them."""
    instance, inputs, lengths = _sequence_case(cls)
    inputs.requires_grad_()
    _layers(instance, inputs, lengths)[-1][0].sum().backward()
    _expect(inputs.grad is not None and torch.isfinite(inputs.grad).all(), cls, "no finite gradient reaches the input")


# ---------------------------------------------------------------------- augmentations


def _augmentation_case(cls):
    instance = make_example(cls)
    _expect(
        getattr(instance, "domain", None) in ("waveform", "features"),
        cls,
        f"domain must be 'waveform' or 'features', is {getattr(instance, 'domain', None)!r}",
    )
    inputs, lengths = _wavs(cls) if instance.domain == "waveform" else _frames(cls)
    return instance, inputs, lengths, {"a": torch.eye(3), "b": torch.full((3, 2), torch.nan)}


def check_augmentation_shapes(cls):
    """The same three come back: rows of the same kind, lengths in (0, 1], the same targets."""
    instance, inputs, lengths, targets = _augmentation_case(cls)
    out = instance(inputs.clone(), lengths, copy.deepcopy(targets), torch.Generator().manual_seed(0))
    _expect(len(out) == 3, cls, f"must return inputs, lengths, targets, got {len(out)} things")
    new, new_lengths, new_targets = out
    _expect(
        new.ndim == inputs.ndim and new.shape[0] == 3 and new.shape[2:] == inputs.shape[2:],
        cls,
        f"got inputs {tuple(inputs.shape)} and returned {tuple(new.shape)}; only the second dimension may change",
    )
    _expect(torch.isfinite(new).all(), cls, "returns values that are not finite")
    _expect(((new_lengths > 0) & (new_lengths <= 1)).all(), cls, f"lengths must be in (0, 1], got {new_lengths}")
    same = {k: t.shape for k, t in new_targets.items()} == {k: t.shape for k, t in targets.items()}
    _expect(same, cls, "must return the targets it was given, each in its shape")
    _expect(new_targets["b"].isnan().all(), cls, "invents targets that are missing")


def check_augmentation_seed(cls):
    """All chance comes from the generator: the same state, the same result."""
    instance, inputs, lengths, targets = _augmentation_case(cls)
    results = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        generator = torch.Generator().manual_seed(3)
        results.append(instance(inputs.clone(), lengths, copy.deepcopy(targets), generator)[0])
    _expect(
        _close(*results), cls, "draws chance from elsewhere than the given generator: the same generator, another result"
    )


def check_augmentation_batch_of_one(cls):
    """A single row, and silence, work and stay finite."""
    instance, inputs, lengths, targets = _augmentation_case(cls)
    one = {k: t[:1] for k, t in targets.items()}
    for row in (inputs[:1], torch.zeros_like(inputs[:1])):
        out = instance(row.clone(), lengths[:1], copy.deepcopy(one), torch.Generator().manual_seed(0))[0]
        _expect(len(out) == 1 and torch.isfinite(out).all(), cls, "fails on a batch of one, or on silence")


# ---------------------------------------------------------------------- heads


def _head_case(cls):
    return make_example(cls).eval(), *_frames(cls)


def check_predictions(cls):
    """A dictionary of finite tensors whose first dimension is the batch."""
    head, frames, lengths = _head_case(cls)
    predictions = head(frames, lengths)
    _expect(isinstance(predictions, dict) and predictions, cls, "must return a dictionary of named predictions")
    for name, value in predictions.items():
        _expect(
            torch.is_tensor(value) and value.shape[0] == 3,
            cls,
            f"prediction '{name}' must be a tensor with the batch of 3 first, is {getattr(value, 'shape', type(value))}",
        )
        _expect(torch.isfinite(value).all(), cls, f"prediction '{name}' is not finite")


def check_repeatable(cls):
    """In evaluation the same frames give the same predictions."""
    head, frames, lengths = _head_case(cls)
    first, second = head(frames, lengths), head(frames, lengths)
    _expect(all(torch.equal(first[k], second[k]) for k in first), cls, "gives two answers to one question in eval()")


def check_batch_of_one(cls):
    """A single row works, in training too."""
    head, frames, lengths = _head_case(cls)
    _expect(head.train()(frames[:1], lengths[:1]), cls, "fails on a batch of one")


def check_silence(cls):
    """Zeros give finite predictions."""
    head, frames, lengths = _head_case(cls)
    for name, value in head(torch.zeros_like(frames), lengths).items():
        _expect(torch.isfinite(value).all(), cls, f"silence gives NaN or infinity in '{name}'")


def check_input_untouched(cls):
    """The frames are not changed in place: other heads read them too."""
    head, frames, lengths = _head_case(cls)
    before = frames.clone()
    head.train()(frames, lengths)
    _expect(torch.equal(before, frames), cls, "changes the shared frames in place")


def check_alone_as_in_a_batch(cls):
    """Padding changes nothing in any prediction."""
    head, frames, lengths = _head_case(cls)
    together = head(frames, lengths)
    for i, n in enumerate(absolute_lengths(lengths, frames.shape[1])):
        alone = head(frames[i : i + 1, :n], torch.ones(1))
        for name, value in together.items():
            # predictions along time are compared as far as the utterance goes
            part = value[i][: alone[name].shape[1]] if value.ndim > 1 else value[i]
            _expect(_close(alone[name][0], part), cls, f"'{name}' is another in a padded batch than alone: is padding seen?")


def check_gradient(cls):
    """Every parameter and the frames get a gradient."""
    head, frames, lengths = _head_case(cls)
    frames.requires_grad_()
    sum(p.sum() for p in head(frames, lengths).values()).backward()
    _expect(frames.grad is not None, cls, "no gradient reaches the shared frames")
    silent = [n for n, p in head.named_parameters() if p.requires_grad and p.grad is None]
    _expect(not silent, cls, f"parameters without a gradient: {silent}; distributed training would hang")


# ---------------------------------------------------------------------- losses


def _loss_case(cls):
    """Predictions and targets that fit: a loss with other shapes gives them as ``example_data()``."""
    loss = make_example(cls).eval()
    _expect(isinstance(getattr(loss, "reads", None), str), cls, "needs a class attribute reads: the prediction it reads")
    generator = torch.Generator().manual_seed(1)
    if hasattr(cls, "example_data"):
        return loss, *cls.example_data()
    shapes = {"logits": (4, 3), "embedding": (4, 8), "values": (4, 3), "features": (4, 6, 8)}
    predictions = torch.rand(shapes.get(loss.reads, (4, 3)), generator=generator)
    targets = predictions.new_tensor([[1, 0, 0], [0, 1, 0], [0.3, 0, 0.7], [0, 0, 1]])
    if loss.reads == "features":
        targets = torch.rand(predictions.shape, generator=generator)
    return loss, predictions, targets


def check_one_value_per_utterance(cls):
    """[batch], finite, and each utterance's value is its own."""
    loss, predictions, targets = _loss_case(cls)
    lengths = torch.ones(len(predictions))
    values = loss(predictions, targets, lengths)
    _expect(
        values.shape == (len(predictions),),
        cls,
        f"must return one value per utterance, [{len(predictions)}], got {tuple(values.shape)}: do not average",
    )
    _expect(torch.isfinite(values).all(), cls, "is not finite on ordinary values")
    for i in range(len(predictions)):
        alone = loss(predictions[i : i + 1], targets[i : i + 1], lengths[:1])
        _expect(_close(alone, values[i : i + 1]), cls, "an utterance's value depends on its neighbours")


def check_loss_of_no_row(cls):
    """A batch without a labelled row gives no value, [0], and no error."""
    loss, predictions, targets = _loss_case(cls)
    values = loss(predictions[:0], targets[:0], torch.ones(0))
    _expect(values.shape == (0,), cls, f"must return [0] for a batch without a labelled row, got {tuple(values.shape)}")


def check_loss_gradient(cls):
    """A gradient reaches the predictions, and is finite."""
    loss, predictions, targets = _loss_case(cls)
    predictions.requires_grad_()
    loss.train()(predictions, targets, torch.ones(len(predictions))).mean().backward()
    _expect(
        predictions.grad is not None and torch.isfinite(predictions.grad).all(),
        cls,
        "no finite gradient reaches the predictions",
    )


# ---------------------------------------------------------------------- weightings, corpora, all


def check_weighting(cls):
    """A scalar with a gradient to every objective."""
    weighting = make_example(cls)
    objectives = {"a": torch.tensor(1.0, requires_grad=True), "b": torch.tensor(2.0, requires_grad=True)}
    total = weighting(objectives, {"a": 1.0, "b": 0.5})
    _expect(torch.is_tensor(total) and total.shape == (), cls, "must return one scalar")
    total.backward()
    _expect(all(o.grad is not None for o in objectives.values()), cls, "leaves an objective out")


def check_missing_folder(cls):
    """A folder that is not there gives no utterances, or a FileNotFoundError: nothing else."""
    corpus = make_example(cls)
    if hasattr(cls, "default_folder"):
        return
    try:
        utterances = list(corpus.read("/nowhere/at/all"))
    except FileNotFoundError:
        return
    _expect(not utterances, cls, "finds utterances in a folder that is not there")


def check_plain_data(cls):
    """What the plugin was made with can be written down and made again."""
    instance = make_example(cls)
    again = make(**describe(instance))
    _expect(describe(again) == describe(instance), cls, f"cannot be rebuilt from {describe(instance)}")


CHECKS = {
    "corpus": [check_missing_folder],
    "augmentation": [check_augmentation_shapes, check_augmentation_seed, check_augmentation_batch_of_one],
    "features": (
        sequence := [
            check_output_size,
            check_sequence_alone_as_in_a_batch,
            check_sequence_garbage_in_padding,
            check_sequence_silence,
            check_sequence_input_untouched,
            check_sequence_gradient,
        ]
    ),
    "encoder": sequence,
    "head": [
        check_predictions,
        check_input_untouched,
        check_repeatable,
        check_batch_of_one,
        check_silence,
        check_alone_as_in_a_batch,
        check_gradient,
    ],
    "loss": [check_one_value_per_utterance, check_loss_of_no_row, check_loss_gradient],
    "weighting": [check_weighting],
}
