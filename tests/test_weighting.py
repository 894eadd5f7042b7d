"""Weightings: values worked out by hand, an independent PCGrad, and trainings with each."""

import math
import os
import pathlib
import subprocess
import sys

import pytest
import torch
from test_loop import Utterances, build, fit
from test_resume import SETTINGS, final_state
from torch import nn

from mtlaug_sb import describe, make
from mtlaug_sb.brain import MultiTaskBrain
from mtlaug_sb.schedule import Cosine, Curve, Sigmoid, Step

ROOT = pathlib.Path(__file__).parents[1]
TASKS = "[emotion, reconstruction, augmentation]"
BLOCKS = {
    "uncertainty": ["plugin: weighting/uncertainty", f"tasks: {TASKS}", "regression: [reconstruction]"],
    "dwa": ["plugin: weighting/dwa", f"tasks: {TASKS}"],
    "pcgrad": ["plugin: weighting/pcgrad", "shared: !ref <modules[encoder]>"],
}


def scalars(**values):
    return {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}


def ones(objectives):
    return dict.fromkeys(objectives, 1.0)


# ---------------------------------------------------------------------- uncertainty


def test_uncertainty_by_hand():
    weighting = make("weighting/uncertainty", tasks=["c", "r"], regression=["r"])
    with torch.no_grad():
        weighting.log_variances.copy_(torch.tensor([math.log(2.0), math.log(4.0)]))
    objectives = scalars(c=3.0, r=8.0)
    total = weighting(objectives, {"c": 1.0, "r": 0.1})
    # 3 / 2 + ln 2 / 2, and a tenth of 8 / (2 * 4) + ln 4 / 2
    assert total.item() == pytest.approx(1.5 + math.log(2) / 2 + 0.1 * (1 + math.log(4) / 2))
    total.backward()
    assert objectives["r"].grad.item() == pytest.approx(0.1 / 8)
    # d/ds: -exp(-s) L + 1/2, and a tenth of -exp(-s) L / 2 + 1/2
    assert weighting.log_variances.grad.tolist() == pytest.approx([-1.5 + 0.5, 0.1 * (-1 + 0.5)])


@pytest.mark.parametrize("weight", [1.0, 0.01])
def test_the_weight_of_a_task_is_not_learned_away(weight):
    weighting = make("weighting/uncertainty", tasks=["c", "r"], regression=["r"])
    with torch.no_grad():
        weighting.log_variances.copy_(torch.tensor([4.0, 2.0]).log())  # 2 L, and L: the mean square
    weighting({"c": torch.tensor(2.0), "r": torch.tensor(2.0)}, {"c": 1.0, "r": weight}).backward()
    assert weighting.log_variances.grad.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


def test_uncertainty_learns_nothing_from_a_batch_without_labels():
    weighting = make("weighting/uncertainty", tasks=["a", "b"])
    objectives = {"a": torch.ones(3, requires_grad=True)[:0].sum(), "b": torch.tensor(1.0)}
    total = weighting(objectives, ones(objectives))
    total.backward()
    assert weighting.log_variances.grad.tolist() == [0.0, -0.5]
    assert torch.isfinite(total)


@pytest.mark.parametrize("plugin", ["weighting/uncertainty", "weighting/dwa"])
def test_an_unknown_task_is_named_and_the_known_ones_are(plugin):
    weighting = make(plugin, tasks=["emotion", "speaker"])
    with pytest.raises(ValueError, match="no task 'gender'; its tasks are emotion, speaker"):
        weighting(scalars(gender=1.0), {"gender": 1.0})


def test_uncertainty_refuses_a_regression_that_is_no_task():
    with pytest.raises(ValueError, match=r"regression names \['x'\]; the tasks are \['a'\]"):
        make("weighting/uncertainty", tasks=["a"], regression=["x"])


# ---------------------------------------------------------------------- dynamic weight average


def epoch(weighting, *batches):
    for batch in batches:
        objectives = scalars(**batch)
        weighting(objectives, ones(objectives))
    weighting.end_epoch()


def test_dwa_by_hand():
    weighting = make("weighting/dwa", tasks=["a", "b"], temperature=2.0)
    epoch(weighting, {"a": 3.0, "b": 1.0}, {"a": 5.0, "b": 1.0})
    assert weighting.factors().tolist() == [1.0, 1.0]  # one epoch has no ratio
    epoch(weighting, {"a": 1.0, "b": 1.0}, {"a": 3.0, "b": 1.0})
    # ratios 2 / 4 and 1; w = 2 exp(r / 2) / (exp(1 / 4) + exp(1 / 2))
    expected = [2 * math.exp(r / 2) / (math.exp(0.25) + math.exp(0.5)) for r in (0.5, 1.0)]
    assert weighting.factors().tolist() == pytest.approx(expected)
    objectives = scalars(a=1.0, b=10.0)
    weighting(objectives, {"a": 0.5, "b": 2.0}).backward()
    assert [o.grad.item() for o in objectives.values()] == pytest.approx([0.5 * expected[0], 2.0 * expected[1]])


def test_dwa_leaves_out_what_has_no_value():
    weighting = make("weighting/dwa", tasks=["a", "b", "c"])
    epoch(weighting, {"a": 4.0, "b": 1.0, "c": 1.0}, {"a": math.nan, "b": 0.0}, {"a": math.inf, "b": 3.0})
    assert weighting.averages[0].tolist() == [4.0, 2.0, 1.0]
    epoch(weighting, {"a": 4.0, "b": 2.0})  # c has no value in this epoch
    assert weighting.averages[0].isnan().tolist() == [False, False, True]
    assert weighting.factors().tolist() == [1.0, 1.0, 1.0]


def test_dwa_remembers_nothing_of_evaluation():
    weighting = make("weighting/dwa", tasks=["a"]).eval()
    weighting(scalars(a=3.0), {"a": 1.0})
    assert not weighting.sums.any()


# ---------------------------------------------------------------------- PCGrad


def tiny_net():
    torch.manual_seed(3)
    shared = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    heads = nn.ModuleDict({name: nn.Linear(3, 1) for name in "abc"})
    x, targets = torch.randn(6, 4), torch.randn(3, 6, 1)
    weights = {"a": 1.0, "b": 0.5, "c": 2.0}

    def objectives():
        return {name: (heads[name](shared(x)) - t).square().mean() for name, t in zip("abc", targets, strict=True)}

    return shared, heads, objectives, weights


def by_the_paper(gradients, orders):
    """Algorithm 1, projection after projection."""
    total = torch.zeros_like(gradients[0])
    for i, order in enumerate(orders):
        g = gradients[i].clone()
        for j in order:
            if j != i and g @ gradients[j] < 0:
                g = g - (g @ gradients[j]) / (gradients[j] @ gradients[j]) * gradients[j]
        total = total + g
    return total


@pytest.mark.parametrize("step", range(4))
def test_pcgrad_is_the_papers_on_shared_parameters_and_plain_on_heads(step):
    shared, heads, objectives, weights = tiny_net()
    weighting = make("weighting/pcgrad", shared=shared, seed=7)
    weighting.calls += step
    generator = torch.Generator().manual_seed(7 + step)
    orders = [torch.randperm(3, generator=generator).tolist() for _ in range(3)]
    parameters = list(shared.parameters())
    gradients = []
    for name, objective in objectives().items():
        pieces = torch.autograd.grad(weights[name] * objective, parameters)
        gradients.append(torch.cat([p.flatten() for p in pieces]))
    assert any(a @ b < 0 for a in gradients for b in gradients)  # else there is nothing to see
    plain = sum(weights[name] * objective for name, objective in objectives().items())
    plain.backward()
    on_heads = {n: p.grad.clone() for n, p in heads.named_parameters()}
    summed = torch.cat([p.grad.flatten() for p in parameters])
    nn.ModuleList([shared, heads]).zero_grad()

    total = weighting(objectives(), weights)
    total.backward()
    assert total.item() == plain.item()
    ours = torch.cat([p.grad.flatten() for p in parameters])
    assert torch.allclose(ours, by_the_paper(gradients, orders), atol=1e-6)
    assert not torch.allclose(ours, summed, atol=1e-3)
    for name, p in heads.named_parameters():
        assert torch.equal(p.grad, on_heads[name])


def test_pcgrad_with_what_a_batch_may_bring():
    shared, _, objectives, weights = tiny_net()
    weighting = make("weighting/pcgrad", shared=shared)
    parameters = list(shared.parameters())
    found = objectives()
    alone = torch.autograd.grad(weighting({"b": found["b"]}, weights), parameters, retain_graph=True)
    zero = shared(torch.zeros(0, 4)).sum()  # no labelled row: zero, with a graph
    with_zero = torch.autograd.grad(
        weighting({"b": found["b"], "z": zero}, {"b": 0.5, "z": 1.0}), parameters, retain_graph=True
    )
    plain = torch.autograd.grad(0.5 * found["b"], parameters, retain_graph=True)
    for a, b, c in zip(alone, with_zero, plain, strict=True):
        assert torch.equal(a, c)
        assert torch.allclose(b, c)
    # in evaluation, and without gradients: the weighted sum
    weighting.eval()
    evaluated = torch.autograd.grad(weighting(found, weights), parameters, retain_graph=True)
    summed = torch.autograd.grad(sum(weights[n] * o for n, o in found.items()), parameters)
    assert all(torch.allclose(a, b) for a, b in zip(evaluated, summed, strict=True))
    with torch.no_grad():
        weighting.train()(objectives(), weights)
    assert weighting.calls == 2


def test_pcgrad_leaves_what_one_task_alone_reaches():
    lower, upper = nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False)
    weighting = make("weighting/pcgrad", shared=nn.Sequential(lower, upper))
    x = torch.tensor([1.0, 2.0])
    found = {"top": upper(lower(x)).sum(), "low": -upper.weight.detach()[0] @ lower(x)}  # opposite on the lower layer
    weighting(found, ones(found)).backward()
    assert torch.allclose(upper.weight.grad, lower(x))
    assert torch.allclose(lower.weight.grad, torch.zeros(2, 2), atol=1e-6)


def test_pcgrad_registers_nothing_twice_and_is_plain_data():
    encoder = make("encoder/cnn", input_size=8)
    weighting = make("weighting/pcgrad", shared=encoder)
    assert list(weighting.parameters()) == []
    assert list(weighting.state_dict()) == ["calls"]
    assert describe(weighting)["shared"] == {"plugin": "encoder/cnn", "input_size": 8}
    assert describe(make(**describe(weighting))) == describe(weighting)


TWO_PROCESSES = """
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from mtlaug_sb import make

distributed.init_process_group("gloo")
torch.manual_seed(3)
shared, heads = nn.Linear(4, 3), nn.ModuleList(nn.Linear(3, 1) for _ in "abc")
x, targets = torch.randn(2, 6, 4), torch.randn(2, 3, 6, 1)

def gradients(encode, heads, rank):
    frames = encode(x[rank])
    objectives = {str(i): (head(frames) - t).square().mean() for i, (head, t) in enumerate(zip(heads, targets[rank]))}
    make("weighting/pcgrad", shared=shared)(objectives, dict.fromkeys(objectives, 1.0)).backward()
    parameters = [*shared.parameters(), *(p for head in heads for p in head.parameters())]
    found = torch.cat([p.grad.flatten() for p in parameters])
    for p in parameters:
        p.grad = None
    return found

each = [gradients(shared, heads, rank) for rank in (0, 1)]
wrapped = [DistributedDataParallel(head) for head in heads]
ours = gradients(DistributedDataParallel(shared), wrapped, distributed.get_rank())
assert not torch.allclose(each[0], each[1], atol=0.01)
assert torch.allclose(ours, (each[0] + each[1]) / 2, atol=1e-6), (ours, each)
"""


def test_pcgrad_of_two_processes_is_the_mean_of_each_ones(tmp_path):
    (tmp_path / "two.py").write_text(TWO_PROCESSES)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(tmp_path / "two.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert process.returncode == 0, process.stderr


# ---------------------------------------------------------------------- in the loop


def yaml_with(name, folder):
    """mtl_aug.yaml with another weighting."""
    text = (ROOT / "hparams" / "mtl_aug.yaml").read_text()
    fixed = "!apply:mtlaug_sb.make {plugin: weighting/fixed}"
    assert fixed in text
    block = "".join(f"\n        {line}" for line in BLOCKS[name])
    (folder / "system.yaml").write_text(text.replace(fixed, f"!apply:mtlaug_sb.make{block}"))
    return folder / "system.yaml"


def remembered(folder):
    """The weighting's part of the kept checkpoint."""
    (checkpoint,) = (folder / "save").glob("CKPT*")
    state = torch.load(checkpoint / "weighting.ckpt")
    assert not set(torch.load(checkpoint / "encoder.ckpt")) & set(state)
    return state


def test_uncertainty_is_learned_by_a_recipe(train, tmp_path):
    train(yaml_with("uncertainty", tmp_path))
    assert remembered(tmp_path / "run")["log_variances"].all()


def test_the_epochs_end_is_told_to_any_module_that_asks(tmp_path):
    brain = build(tmp_path)
    told = []
    brain.hparams.modules["encoder"].end_epoch = lambda: told.append(brain.optimizer_step)
    fit(brain, Utterances(10))
    assert told == [5]


@pytest.mark.parametrize("name", ["dwa", "pcgrad"])
def test_interrupted_and_resumed_is_uninterrupted(train, tmp_path, monkeypatch, name):
    yaml, more = yaml_with(name, tmp_path), [*SETTINGS, "--ckpt_interval_steps=1"]
    train(yaml, *more, folder=tmp_path / "whole")
    step, seen = MultiTaskBrain.fit_batch, []

    def fit_batch(self, batch):
        seen.append(batch)
        if len(seen) == 6:  # in the third epoch, the first with ratios of averages
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(MultiTaskBrain, "fit_batch", fit_batch)
    with pytest.raises(KeyboardInterrupt):
        train(yaml, *more, folder=tmp_path / "stopped")
    train(yaml, *more, folder=tmp_path / "stopped")
    assert len(seen) == 7  # one batch was left
    (whole, *texts), (resumed, *others) = final_state(tmp_path / "whole"), final_state(tmp_path / "stopped")
    assert [k for k in whole if not torch.equal(whole[k], resumed[k])] == []
    assert texts == others
    state, again = remembered(tmp_path / "whole"), remembered(tmp_path / "stopped")
    assert all(torch.equal(state[k], again[k]) for k in state)
    if name == "dwa":
        assert torch.isfinite(state["averages"][0]).all()
        assert not state["sums"].any()
    else:
        assert state["calls"] > 0


# ---------------------------------------------------------------------- schedules


def test_shapes_of_schedules():
    warm_up = Curve([[0, 0.0], [0.1, 1.0], [0.5, 1.0], [1, 0.2]])
    assert [warm_up(p) for p in (0, 0.05, 0.3, 0.75, 1)] == pytest.approx([0, 0.5, 1, 0.6, 0.2])
    assert [Step([[0, 0.1], [0.5, 1.0]])(p) for p in (0, 0.499, 0.5, 1)] == [0.1, 0.1, 1.0, 1.0]
    assert [Cosine(1.0, 0.2)(p) for p in (0, 0.5, 1)] == pytest.approx([1.0, 0.6, 0.2])
    assert [Sigmoid()(p) for p in (0, 0.1, 1)] == pytest.approx([0, math.tanh(0.5), math.tanh(5)])  # the same function
