"""Checks of metrics. ``example_data()``, a static method, may give (predictions, targets) that fit the class's example."""

import math

import torch

from mtlaug_sb.testing.contract import expect, shape
from mtlaug_sb.testing.elsewhere import expect_same_on_a_gpu
from mtlaug_sb.testing.examples import close, example_data, make_example


def check_figures(cls):
    """It returns finite numbers by name, the same when it is asked again."""
    metric, predictions, targets = _case(cls)
    metric.update(predictions, targets)
    figures = _figures(metric)
    expect(figures, "gives no figure after an update")
    expect(_figures(metric) == figures, "gives other figures when compute() is called again; only reset() may forget")


def check_nothing_seen(cls):
    """Before anything was seen it gives no figures, {}, or finite ones, and no error."""
    metric, _, _ = _case(cls)
    _figures(metric, "before anything was seen; return {} then")


def check_halves(cls):
    """Two updates with half of the rows each give the figures of one with all: what counts is the whole stage."""
    metric, predictions, targets = _case(cls)
    metric.update(predictions, targets)
    at_once = _figures(metric)
    metric.reset()
    half = len(predictions) // 2
    metric.update(predictions[:half], targets[:half])
    metric.update(predictions[half:], targets[half:])
    expect(
        _alike(_figures(metric), at_once),
        f"gives {_figures(metric)} for two halves and {at_once} for all at once; collect sums or rows in update(), and "
        f"divide in compute()",
    )


def check_reset(cls):
    """reset() forgets everything."""
    metric, predictions, targets = _case(cls)
    metric.update(predictions[:1], targets[:1])
    once = _figures(metric)
    metric.update(predictions[1:], targets[1:])
    metric.reset()
    expect(_alike(_figures(metric), _figures(make_example(cls))), "gives other figures after reset() than when it was made")
    metric.update(predictions[:1], targets[:1])
    expect(_alike(_figures(metric), once), f"after reset() the same row gives {_figures(metric)}, not {once}: it remembers")


def check_input_untouched(cls):
    """Predictions and targets are not changed in place."""
    metric, predictions, targets = _case(cls)
    before = predictions.clone(), targets.clone()
    metric.update(predictions, targets)
    expect(close(predictions, before[0]) and close(targets, before[1]), "changes predictions or targets in place")


def check_on_a_gpu(cls):
    """On a pretended GPU it gives the figures that it gives on the CPU."""
    _, predictions, targets = _case(cls)
    expect_same_on_a_gpu(_updated, cls, predictions, targets)


def _updated(metric, predictions, targets):
    metric.update(predictions, targets)
    return _figures(metric)


def _case(cls):
    """A metric, and predictions and targets that fit it."""
    metric = make_example(cls)
    reads = getattr(metric, "reads", None)
    expect(
        isinstance(reads, str),
        f"needs a class attribute reads, the name of the head's prediction that it looks at, such as reads = 'logits'; "
        f"it is {reads!r}",
    )
    lacking = [name for name in ("update", "compute", "reset") if not callable(getattr(metric, name, None))]
    expect(
        not lacking, f"needs the methods update(predictions, targets), compute() and reset(); lacks {' and '.join(lacking)}"
    )
    given = example_data(cls)
    if given is None:
        generator = torch.Generator().manual_seed(1)
        classes = torch.tensor([0, 1, 2, 1, 0, 2, 2])
        given = torch.rand(len(classes), 3, generator=generator), torch.nn.functional.one_hot(classes, 3).float()
    predictions, targets = given[:2]
    expect(len(predictions) == len(targets) > 1, f"example_data() must return two rows or more, got {shape(predictions)}")
    return metric, predictions, targets


def _figures(metric, when="after an update"):
    """What ``compute`` gives, after a look at it."""
    figures = metric.compute()
    expect(isinstance(figures, dict), f"compute() must return a dictionary, name -> number, got {shape(figures)}")
    for name, value in figures.items():
        expect(
            isinstance(name, str) and isinstance(value, int | float) and not isinstance(value, bool),
            f"compute() must return Python numbers by name, got {name!r}: {shape(value)}; .item() makes one of a tensor",
        )
        expect(math.isfinite(value), f"figure '{name}' is {value} {when}")
    return figures


def _alike(a, b):
    return a.keys() == b.keys() and all(math.isclose(a[k], b[k], rel_tol=1e-5, abs_tol=1e-6) for k in a)


METRIC = [check_figures, check_nothing_seen, check_halves, check_reset, check_input_untouched, check_on_a_gpu]
