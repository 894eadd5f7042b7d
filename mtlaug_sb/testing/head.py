"""Checks of heads."""

import torch

from mtlaug_sb.interfaces import ask
from mtlaug_sb.masking import absolute_lengths
from mtlaug_sb.testing.contract import expect, shape
from mtlaug_sb.testing.elsewhere import expect_same_on_a_gpu
from mtlaug_sb.testing.examples import close, example_frames, example_inputs, make_example


def check_predictions(cls):
    """It returns a dictionary of finite predictions whose first dimension is the batch."""
    head, frames, lengths = _case(cls)
    predictions = _ask(head, frames, lengths)
    expect(
        isinstance(predictions, dict) and predictions,
        f"must return a dictionary of named predictions, such as {{'logits': ...}}; got {shape(predictions)}",
    )
    for name, value in predictions.items():
        expect(
            torch.is_tensor(value) and value.ndim > 0 and len(value) == len(frames),
            f"prediction '{name}' must be a tensor with the batch of {len(frames)} first, is {shape(value)}",
        )
        expect(value.is_floating_point(), f"prediction '{name}' must be of floating point (no argmax), is {value.dtype}")
        expect(torch.isfinite(value).all(), f"prediction '{name}' is NaN or infinite for ordinary frames")


def check_input_untouched(cls):
    """The frames are not changed in place: other heads read them too."""
    head, frames, lengths = _case(cls)
    before = frames.clone()
    _ask(head.train(), frames, lengths)
    expect(torch.equal(before, frames), "changes the shared frames in place; work on a copy, x = x + 1 and not x += 1")


def check_repeatable(cls):
    """In evaluation the same frames give the same predictions."""
    head, frames, lengths = _case(cls)
    first, second = _ask(head, frames, lengths), _ask(head, frames, lengths)
    for name in first:
        expect(
            torch.equal(first[name], second[name]),
            f"gives two answers to one question in eval(): '{name}'; chance, as in dropout, is for training only",
        )


def check_batch_of_one(cls):
    """A single row works, in training too."""
    head, frames, lengths = _case(cls)
    for name, value in _ask(head.train(), frames[:1], lengths[:1]).items():
        expect(
            len(value) == 1 and torch.isfinite(value).all(), f"'{name}' of a single row must be [1, ...], is {shape(value)}"
        )


def check_silence(cls):
    """Zeros give finite predictions."""
    head, frames, lengths = _case(cls)
    for name, value in _ask(head, torch.zeros_like(frames), lengths).items():
        expect(
            torch.isfinite(value).all(), f"silence gives NaN or infinity in '{name}': a logarithm, root or division at zero?"
        )


def check_alone_as_in_a_batch(cls):
    """Padding changes nothing in any prediction."""
    head, frames, lengths = _case(cls)
    together = _ask(head, frames, lengths)
    for i, n in enumerate(absolute_lengths(lengths, frames.shape[1])):
        alone = _ask(head, frames[i : i + 1, :n], torch.ones(1))
        for name, value in together.items():
            # predictions along time are compared as far as the utterance goes
            part = value[i][: alone[name].shape[1]] if value.ndim > 1 else value[i]
            expect(
                close(alone[name][0], part),
                f"'{name}' is another in a padded batch than alone: is padding seen? Leave it out of means, maxima and "
                f"attention (valid_mask of mtlaug_sb.masking tells where an utterance is)",
            )


def check_gradient(cls):
    """A finite gradient reaches the frames and every parameter."""
    head, frames, lengths = _case(cls)
    frames.requires_grad_()
    total = sum(p.sum() for p in _ask(head, frames, lengths).values())
    if total.requires_grad:
        total.backward()
    expect(
        frames.grad is not None and torch.isfinite(frames.grad).all(),
        "no finite gradient reaches the shared frames, so the encoder would learn nothing: "
        "is there a detach() or a no_grad()?",
    )
    silent = [n for n, p in head.named_parameters() if p.requires_grad and p.grad is None]
    expect(
        not silent, f"parameters without a gradient: {silent}; distributed training would hang. Use them, or leave them out"
    )


def check_on_a_gpu(cls):
    """On a pretended GPU it does what it does on the CPU, in training too."""
    _, frames, lengths = _case(cls)
    expect_same_on_a_gpu(_ask, cls, frames.requires_grad_(), lengths)


def _ask(head, frames, lengths):
    """Its predictions; one that ``reads_input`` is given the frames for that, too."""
    return ask(head, (frames, lengths), (frames, lengths))


def _case(cls):
    return make_example(cls).eval(), *example_inputs(cls, example_frames)


HEAD = [
    check_predictions,
    check_input_untouched,
    check_repeatable,
    check_batch_of_one,
    check_silence,
    check_alone_as_in_a_batch,
    check_gradient,
    check_on_a_gpu,
]
