"""Checks of weightings."""

import torch

from mtlaug_sb.testing.contract import expect, shape
from mtlaug_sb.testing.elsewhere import expect_same_on_a_gpu
from mtlaug_sb.testing.examples import make_example

WEIGHTS = {"a": 1.0, "b": 0.5}


def check_one_scalar(cls):
    """It makes one finite scalar of the objectives, step after step."""
    weighting = make_example(cls).train()
    for step in range(3):
        total = weighting(_objectives(1.0 / (step + 1), 2.0), dict(WEIGHTS))
        expect(
            torch.is_tensor(total) and total.shape == (), f"must return one scalar, a tensor of shape [], got {shape(total)}"
        )
        expect(torch.isfinite(total), f"is {total.item()} for the objectives 1 and 2")


def check_every_objective(cls):
    """A finite gradient reaches every objective and every parameter of its own."""
    weighting = make_example(cls).train()
    objectives = _objectives(1.0, 2.0)
    total = weighting(dict(objectives), dict(WEIGHTS))
    if total.requires_grad:
        total.backward()
    left_out = [name for name, objective in objectives.items() if objective.grad is None]
    expect(not left_out, f"leaves an objective out: no gradient reaches {left_out}; that task would never be learnt")
    expect(all(torch.isfinite(o.grad) for o in objectives.values()), "the gradient of an objective is not finite")
    silent = [n for n, p in weighting.named_parameters() if p.requires_grad and p.grad is None]
    expect(not silent, f"parameters without a gradient: {silent}; distributed training would hang")


def check_zero_objective(cls):
    """An objective that is zero, as in a batch without a label, gives a finite scalar and gradient."""
    weighting = make_example(cls).train()
    objectives = _objectives(0.0, 2.0)
    total = weighting(dict(objectives), dict(WEIGHTS))
    total.backward()
    finite = torch.isfinite(total) and all(o.grad is None or torch.isfinite(o.grad) for o in objectives.values())
    expect(
        finite,
        f"an objective of 0 makes the sum {total.item()} or its gradient not finite: a logarithm or division at zero?",
    )


def check_input_untouched(cls):
    """The dictionaries that it is given stay as they are: they are logged afterwards."""
    weighting = make_example(cls).train()
    objectives, weights = _objectives(1.0, 2.0), dict(WEIGHTS)
    before = dict(objectives)
    weighting(objectives, weights)
    same = objectives.keys() == before.keys() and all(objectives[k] is before[k] for k in before) and weights == WEIGHTS
    expect(same, "changes the dictionaries that it is given; make new ones")


def check_on_a_gpu(cls):
    """On a pretended GPU it does what it does on the CPU, in training too."""
    objectives = {"a": torch.tensor(1.0), "b": torch.tensor(2.0)}
    expect_same_on_a_gpu(lambda w, o: w(o, dict(WEIGHTS)), cls, objectives)


def _objectives(a, b):
    return {"a": torch.tensor(a, requires_grad=True), "b": torch.tensor(b, requires_grad=True)}


WEIGHTING = [check_one_scalar, check_every_objective, check_zero_objective, check_input_untouched, check_on_a_gpu]
