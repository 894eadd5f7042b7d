"""Checks of losses."""

import torch

from mtlaug_sb.masking import valid_mask
from mtlaug_sb.testing.contract import ContractError, expect, shape
from mtlaug_sb.testing.elsewhere import expect_same_on_a_gpu
from mtlaug_sb.testing.examples import close, example_data, make_example

SHAPES = {"logits": (4, 3), "embedding": (4, 8), "values": (4, 3), "features": (4, 6, 8)}


def check_one_value_per_utterance(cls):
    """It returns one finite value for each utterance, [batch]."""
    loss, predictions, targets, lengths = _case(cls)
    values = _values(loss, predictions, targets, lengths)
    expect(values.dtype == torch.float32, f"must return float32, got {values.dtype}")
    expect(torch.isfinite(values).all(), f"is not finite on ordinary values: {values.tolist()}")


def check_own_value(cls):
    """In evaluation, an utterance's value does not depend on its neighbours in the batch, nor on padding.

    A loss that is by nature one of the whole batch, such as a correlation, says so: ``over_batch = True``.
    """
    loss, predictions, targets, lengths = _case(cls)
    if getattr(cls, "over_batch", False):
        return
    values = _values(loss, predictions, targets, lengths)
    for i in range(len(predictions)):
        alone = _values(loss, predictions[i : i + 1], targets[i : i + 1], lengths[i : i + 1])
        expect(
            close(alone, values[i : i + 1]),
            f"in eval() an utterance's value depends on its neighbours: {alone.item():.4f} alone, {values[i].item():.4f} "
            f"in a batch of {len(predictions)}. Sum over the utterance's own dimensions; statistics of the batch are for "
            f"training, and are kept in a buffer for eval()",
        )
        garbage = -50.0 * predictions
        garbage[i] = predictions[i]
        expect(
            close(_values(loss, garbage, targets, lengths)[i], values[i]),
            "in eval() an utterance's value depends on its neighbours: other predictions in the rows beside it change it",
        )
    if (lengths < 1).any():
        valid = valid_mask(lengths, predictions.shape[1]).view(*predictions.shape[:2], *[1] * (predictions.ndim - 2))
        expect(
            close(_values(loss, torch.where(valid, predictions, 50.0), targets, lengths), values),
            "reads predictions beyond the utterance's length: padding must not count",
        )


def check_no_row(cls):
    """A batch without a labelled row gives no value, [0], and no error."""
    loss, predictions, targets, lengths = _case(cls)
    for mode in (loss.eval(), loss.train()):
        _values(mode, predictions[:0], targets[:0], lengths[:0])


def check_batch_of_one(cls):
    """A single labelled row works, in training too."""
    loss, predictions, targets, lengths = _case(cls)
    values = _values(loss.train(), predictions[:1], targets[:1], lengths[:1])
    expect(torch.isfinite(values).all(), f"is {values.item()} for a single labelled row, in train()")


def check_gradient(cls):
    """A finite gradient reaches the predictions, also where they are all zero or exactly right."""
    loss, predictions, targets, lengths = _case(cls)
    cases = {"ordinary predictions": predictions, "predictions that are all zero": torch.zeros_like(predictions)}
    if predictions.shape == targets.shape:
        cases["predictions that equal the targets"] = torch.where(targets.isnan(), predictions, targets)
    for of, given in cases.items():
        given = given.clone().requires_grad_()
        values = _values(loss.train(), given, targets, lengths)
        expect(torch.isfinite(values).all(), f"is not finite for {of}: {values.tolist()}")
        expect(values.requires_grad, "no gradient reaches the predictions: is there a detach(), an argmax or a no_grad()?")
        values.mean().backward()
        expect(
            given.grad is not None and torch.isfinite(given.grad).all(),
            f"the gradient is not finite for {of}: is there a root or a division at zero? Add a small number under it",
        )


def check_input_untouched(cls):
    """Predictions and targets are not changed in place: other losses read them too."""
    loss, predictions, targets, lengths = _case(cls)
    before = predictions.clone(), targets.clone()
    _values(loss.train(), predictions, targets, lengths)
    expect(
        close(predictions, before[0]) and close(targets, before[1]),
        "changes the predictions or the targets in place; work on a copy",
    )


def check_missing_values(cls):
    """Where one of several values is missing (NaN) in a target, the others still count, and nothing becomes NaN."""
    loss, predictions, targets, lengths = _case(cls)
    if loss.reads != "values" or targets.shape != predictions.shape or targets.shape[1] < 2:
        return
    targets[0, 0] = targets[1, 1] = torch.nan
    predictions.requires_grad_()
    values = _values(loss.train(), predictions, targets, lengths)
    values.sum().backward()
    expect(
        torch.isfinite(values).all() and torch.isfinite(predictions.grad).all(),
        f"a target such as [nan, 0.2, 0.5], one of whose values is missing, makes the loss or its gradient NaN: "
        f"{values.tolist()}; leave out what is missing, torch.where(targets.isnan(), predictions, targets), say",
    )


def check_on_a_gpu(cls):
    """On a pretended GPU it does what it does on the CPU, in training too."""
    _, predictions, targets, lengths = _case(cls)
    expect_same_on_a_gpu(_values, cls, predictions.detach().requires_grad_(), targets, lengths)


def _case(cls):
    """A loss in eval(), and predictions, targets and lengths that fit it."""
    loss = make_example(cls).eval()
    reads = getattr(loss, "reads", None)
    expect(
        isinstance(reads, str),
        f"needs a class attribute reads, the name of the head's prediction that it looks at, such as reads = 'logits'; "
        f"it is {reads!r}",
    )
    generator = torch.Generator().manual_seed(1)
    given = example_data(cls)
    if given is not None:
        predictions, targets, *lengths = given
        lengths = lengths[0] if lengths else torch.ones(len(predictions))
        expect(
            len(predictions) == len(targets) == len(lengths) > 1,
            f"example_data() must return two rows or more, as many of each; got {shape(predictions)}, {shape(targets)}",
        )
    else:
        predictions = torch.rand(SHAPES.get(reads, (4, 3)), generator=generator)
        targets = torch.tensor([[1, 0, 0], [0, 1, 0], [0.3, 0, 0.7], [0, 0, 1]])
        lengths = torch.ones(len(predictions))
        if reads == "features":
            lengths = torch.tensor([1.0, 0.5, 1.0, 2 / 3])
            targets = torch.rand(predictions.shape, generator=generator)
            targets[~valid_mask(lengths, predictions.shape[1])] = torch.nan
    if hasattr(loss, "as_target"):
        other = torch.rand(predictions.shape, generator=generator).requires_grad_()
        targets = loss.as_target(other)
        expect(
            torch.is_tensor(targets) and len(targets) == len(other),
            f"as_target must return one target for each row of the prediction {shape(other)}, got {shape(targets)}",
        )
        expect(not targets.requires_grad, "the target that as_target makes must carry no gradient: end it with .detach()")
    return loss, predictions, targets, lengths


def _values(loss, predictions, targets, lengths):
    """The loss, after a look at its shape."""
    try:
        values = loss(predictions, targets, lengths)
    except Exception as error:
        if hasattr(loss, "example_data"):
            raise
        raise ContractError(
            f"stopped with {type(error).__name__}: {error}; it was given predictions {shape(predictions)}, targets "
            f"{shape(targets)} and lengths {shape(lengths)}. If it needs others, give the class a static method "
            f"example_data() that returns (predictions, targets)"
        ) from error
    expect(
        torch.is_tensor(values) and values.shape == (len(predictions),),
        f"must return one value for each utterance, [{len(predictions)}] for a batch of {len(predictions)}, "
        f"got {shape(values)}: do not average over the batch",
    )
    return values


LOSS = [
    check_one_value_per_utterance,
    check_own_value,
    check_no_row,
    check_batch_of_one,
    check_gradient,
    check_input_untouched,
    check_missing_values,
    check_on_a_gpu,
]
