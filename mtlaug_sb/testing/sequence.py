"""Checks of front ends and encoders: they map a sequence to a sequence."""

import torch

from mtlaug_sb.masking import absolute_lengths
from mtlaug_sb.testing.contract import expect, shape
from mtlaug_sb.testing.elsewhere import expect_same_on_a_gpu
from mtlaug_sb.testing.examples import close, example_frames, example_inputs, example_wavs, lengths_in_range, make_example


def check_output(cls):
    """It returns finite frames [batch, frames, dim], the last ones of its output_size, with lengths in (0, 1]."""
    instance, inputs, lengths = _case(cls)
    out = instance(inputs, lengths)
    if _is_front_end(cls):
        expect(isinstance(out, tuple) and len(out) == 2, f"must return (features, lengths), got {shape(out)}")
    else:
        fits = isinstance(out, list) and out and all(isinstance(layer, tuple) and len(layer) == 2 for layer in out)
        expect(fits, f"must return a list [(frames, lengths), ...], one for each layer; got {shape(out)}")
    size = getattr(instance, "output_size", None)
    expect(isinstance(size, int), f"needs an attribute output_size, the dimensions of what it returns; it is {size!r}")
    for number, (frames, new_lengths) in enumerate(_layers(instance, inputs, lengths)):
        last = number == (1 if _is_front_end(cls) else len(out)) - 1
        wanted = f"[{len(inputs)}, frames, {size if last else 'dim'}]"
        expect(
            torch.is_tensor(frames)
            and frames.ndim == 3
            and len(frames) == len(inputs)
            and (not last or frames.shape[2] == size),
            f"must return frames {wanted} for a batch of {len(inputs)} (output_size is {size}), got {shape(frames)}",
        )
        expect(frames.dtype == torch.float32, f"must return float32, got {frames.dtype}")
        expect(torch.isfinite(frames).all(), "returns NaN or infinity for ordinary input")
        expect(
            torch.is_tensor(new_lengths) and new_lengths.shape == lengths.shape and lengths_in_range(new_lengths),
            f"must return relative lengths [{len(inputs)}] in (0, 1], got {new_lengths}; "
            f"steps of an utterance divided by steps of the padded batch",
        )


def check_alone_as_in_a_batch(cls):
    """Padding changes nothing: an utterance gives the same frames alone and in a batch."""
    instance, inputs, lengths = _case(cls)
    together = _layers(instance, inputs, lengths)
    for i, n in enumerate(absolute_lengths(lengths, inputs.shape[1])):
        alone = _layers(instance, inputs[i : i + 1, :n], torch.ones(1))
        for (one, one_length), (many, new_lengths) in zip(alone, together, strict=True):
            steps = int(absolute_lengths(new_lengths, many.shape[1])[i])
            own = int(absolute_lengths(one_length, one.shape[1])[0])
            expect(
                own == steps,
                f"an utterance of {n} steps gives {own} frames alone and {steps} in a padded batch; the new lengths must be "
                f"computed from the steps of each utterance: does it see the padding?",
            )
            expect(
                close(one[0, :own], many[i, :steps]),
                "an utterance gives other frames in a padded batch than alone: does it see the padding? Leave it out "
                "of means, normalisation and attention (mtlaug_sb.masking helps)",
            )


def check_garbage_in_padding(cls):
    """What stands in the padding does not matter."""
    instance, inputs, lengths = _case(cls)
    dirty = inputs.clone()
    for i, n in enumerate(absolute_lengths(lengths, inputs.shape[1])):
        dirty[i, n:] = 7.0
    clean, dirty = (_layers(instance, x, lengths)[-1][0] for x in (inputs, dirty))
    expect(close(clean, dirty), "reads what stands in the padding; zero_padding of mtlaug_sb.masking clears it")


def check_silence(cls):
    """Silence, all zeros, gives finite frames."""
    instance, inputs, lengths = _case(cls)
    frames, _ = _layers(instance, torch.zeros_like(inputs), lengths)[-1]
    expect(
        torch.isfinite(frames).all(), "silence gives NaN or infinity: is there a logarithm, a root or a division at zero?"
    )


def check_input_untouched(cls):
    """The input is not changed in place."""
    instance, inputs, lengths = _case(cls)
    before = inputs.clone()
    instance.train()(inputs, lengths)
    expect(torch.equal(before, inputs), "changes its input in place; work on a copy, x = x + 1 and not x += 1")


def check_gradient(cls):
    """A finite gradient reaches the input: attacks and fine-tuning need it. A class may say ``differentiable = False``."""
    instance, inputs, lengths = _case(cls)
    if not getattr(cls, "differentiable", True):
        return
    inputs.requires_grad_()
    total = _layers(instance, inputs, lengths)[-1][0].sum()
    if total.requires_grad:
        total.backward()
    expect(
        inputs.grad is not None and torch.isfinite(inputs.grad).all(),
        "no finite gradient reaches the input: is there a detach(), a no_grad(), or a root at zero?",
    )


def check_on_a_gpu(cls):
    """On a pretended GPU it does what it does on the CPU, in training too."""
    _, inputs, lengths = _case(cls)
    expect_same_on_a_gpu(_layers, cls, inputs, lengths)


def _case(cls):
    """An instance, inputs and lengths."""
    instance = make_example(cls).eval()
    dim = getattr(instance, "input_size", 8)  # of an encoder that has no argument of that name
    return instance, *example_inputs(cls, example_wavs if _is_front_end(cls) else lambda: example_frames(dim))


def _is_front_end(cls):
    return cls.plugin.startswith("features/")


def _layers(instance, inputs, lengths):
    """[(frames, lengths), ...]: of an encoder all its layers, of a front end the one."""
    out = instance(inputs, lengths)
    return out if isinstance(out, list) else [out]


ENCODER = [check_output, check_alone_as_in_a_batch, check_silence, check_input_untouched, check_gradient, check_on_a_gpu]
FEATURES = [*ENCODER, check_garbage_in_padding]
