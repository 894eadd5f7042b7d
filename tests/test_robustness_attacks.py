"""Attacks: inside their budget, never on padding, as effective as a linear model's closed form says."""

import numpy as np
import pytest
import torch
from small_model import write_small_model, write_voices
from torch import nn

from mtlaug_sb.dataio.audio import AudioReader
from mtlaug_sb.masking import valid_mask
from mtlaug_sb.robustness.cells import Cell, Utterance
from mtlaug_sb.robustness.systems import TrainedNetwork

pytest.importorskip("art", reason="the Adversarial Robustness Toolbox (extra [attacks]) is not installed")
from mtlaug_sb.robustness.attacks import Attack
from mtlaug_sb.robustness.perturbation import worst_changes

CELL = Cell(None, "0", "fold_a", {})


class Linear(nn.Module):
    """Logits from the sum of all values in the mask, each with a weight."""

    def __init__(self, weight, mask):
        super().__init__()
        self.weight, self.mask = weight, mask

    def forward(self, x):
        return torch.einsum("bfd,fdc->bc", x * self.mask, self.weight)


@pytest.fixture
def linear():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 6, 5, generator=generator)
    mask = valid_mask(torch.tensor([1.0, 0.5, 4 / 6, 1.0]), 6).unsqueeze(2).expand_as(x)
    weight = torch.randn(6, 5, 2, generator=generator)
    return Linear(weight, mask), x, mask, weight


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
def test_closed_form_of_a_linear_model(linear, method):
    model, x, mask, weight = linear
    truths = torch.tensor([0, 1, 1, 0])
    budgets = [0.0, 0.01, 0.3]
    towards = weight[..., 1] - weight[..., 0]  # raises class 1 over class 0
    direction = torch.where(truths == 0, 1.0, -1.0).view(-1, 1, 1) * towards.sign() * mask
    for budget, change in zip(budgets, worst_changes(model, x, truths, mask, budgets, method), strict=True):
        assert torch.allclose(change, budget * direction, atol=1e-5)
        # the margin grows by the budget times the sum of the weights' sizes
        before, after = (m[:, 1] - m[:, 0] for m in (model(x), model(x + change)))
        assert torch.allclose((after - before).abs(), budget * (towards.abs() * mask).sum((1, 2)), atol=1e-3)


@pytest.mark.parametrize("method", ["fgsm", "pgd"])
@pytest.mark.parametrize("gap", [20.0, 120.0, 1000.0])
def test_a_model_that_is_sure_is_attacked_all_the_same(linear, method, gap):
    model, x, mask, weight = linear
    truths = torch.tensor([0, 1, 1, 0])
    sure = nn.functional.one_hot(truths, 2) * gap
    (change,) = worst_changes(_Shifted(model, sure), x, truths, mask, [0.1], method)
    towards = torch.where(truths == 0, 1.0, -1.0).view(-1, 1, 1) * (weight[..., 1] - weight[..., 0]).sign()
    assert torch.allclose(change, 0.1 * towards * mask, atol=1e-5)


class _Shifted(nn.Module):
    def __init__(self, model, shift):
        super().__init__()
        self.model, self.shift = model, shift

    def forward(self, x):
        return self.model(x) + self.shift


def test_the_toolbox_is_watched(linear, monkeypatch):
    from art.attacks.evasion import FastGradientMethod

    model, x, mask, _ = linear
    honest = FastGradientMethod.generate
    monkeypatch.setattr(FastGradientMethod, "generate", lambda self, x, y, mask: honest(self, x, y))  # forgets the mask
    moved = Linear(model.weight, torch.ones_like(mask))
    with pytest.raises(RuntimeError, match="changed padding"):
        worst_changes(moved, x, torch.tensor([0, 1, 1, 0]), mask, [0.1], "fgsm")
    monkeypatch.setattr(FastGradientMethod, "generate", lambda self, x, y, mask: x + 2 * mask)
    with pytest.raises(RuntimeError, match=r"changed a value by 0\.2, its budget is 0\.1"):
        worst_changes(model, x, torch.tensor([0, 1, 1, 0]), mask, [0.1], "fgsm")


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    return TrainedNetwork(write_small_model(tmp_path_factory.mktemp("model") / "model"), batch_size=3)


@pytest.fixture(scope="module")
def utterances(system, tmp_path_factory):
    """Four of different lengths; the truths are what the system answers, so that there is something to lose."""
    read, paths = AudioReader(), write_voices(tmp_path_factory.mktemp("voices"), n=4)
    wavs = [read(str(p))[: 8000 + 1500 * i] for i, p in enumerate(paths)]
    truths = [system.classes[k] for k in system.probabilities(wavs).argmax(1)]
    return [Utterance(f"u{i}", {"recording": str(i)}, w, t) for i, (w, t) in enumerate(zip(wavs, truths, strict=True))]


def true_probabilities(probabilities, utterances, system):
    return probabilities[range(len(utterances)), [system.classes.index(u.truth) for u in utterances]]


@pytest.mark.parametrize("on", ["features", "waveform"])
def test_stronger_never_helps_and_strength_zero_changes_nothing(system, utterances, on):
    clean = system.probabilities([u.wav for u in utterances])
    levels = {"features": [0.0, 0.05, 1.0], "waveform": [np.inf, 40.0, 5.0]}[on]
    found = {}
    for method in ("fgsm", "pgd"):
        attack = Attack(method, on, levels, steps=4)
        assert attack.levels == levels
        answers = list(attack.answers(system, utterances, CELL))
        assert torch.allclose(answers[0][0], clean, atol=1e-6)
        right = [(p.argmax(1) == clean.argmax(1)).sum() for p, _ in answers]
        assert right[0] == 4
        assert right[0] >= right[1] >= right[2]
        found[method] = [true_probabilities(p, utterances, system).mean() for p, _ in answers]
        assert found[method][2] <= found[method][1] <= found[method][0]
        for level, (_, columns) in zip(levels, answers, strict=True):
            (values,) = columns.values()
            sizes = [float(values[u.id]) for u in utterances]
            assert all(s >= level - 0.01 if on == "waveform" else s <= level * 1.001 for s in sizes)
    assert found["pgd"][2] < found["pgd"][1] < found["pgd"][0]
    assert found["pgd"][1] <= found["fgsm"][1] + 1e-3


@pytest.mark.parametrize(("on", "level"), [("features", 0.05), ("waveform", 30.0)])
def test_fgsm_spends_its_whole_budget(system, utterances, on, level):
    _, columns = next(Attack("fgsm", on, [level]).answers(system, utterances, CELL))
    (values,) = columns.values()
    spent = [float(v) for v in values.values() if float(v) not in (0, np.inf)]  # those whom the attack harmed
    assert spent
    assert spent == pytest.approx([level] * len(spent), rel=0.02)


def test_a_front_end_without_gradient_is_told_of(system, utterances, monkeypatch):
    monkeypatch.setattr(system.network.features, "differentiable", False, raising=False)
    with pytest.raises(ValueError, match="no gradient to the waveform: attack its --on=features"):
        next(Attack("fgsm", "waveform", [30]).answers(system, utterances, CELL))


def test_an_utterance_is_attacked_alone_as_in_a_batch(system, utterances):
    together, _ = next(Attack("fgsm", "waveform", [30]).answers(system, utterances, CELL))
    alone = torch.cat([next(Attack("fgsm", "waveform", [30]).answers(system, [u], CELL))[0] for u in utterances])
    assert torch.allclose(together, alone, atol=0.02)  # the sign of a gradient near zero may differ


def test_gradients_flow_through_the_front_end(system, utterances):
    wavs = utterances[0].wav[:4000].double().unsqueeze(0).clone()
    network = system.network.double()
    try:
        for buffer in ("taper", "bands"):
            assert getattr(network.features, buffer).dtype == torch.float64
        logit = lambda x: network(x, torch.ones(1), ["emotion"])["emotion"]["logits"][0, 0]  # noqa: E731
        wavs.requires_grad_(True)
        (gradient,) = torch.autograd.grad(logit(wavs), wavs)
        assert gradient.abs().sum() > 0
        step = torch.randn(wavs.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1e-6
        with torch.no_grad():
            numeric = logit(wavs + step) - logit(wavs - step)
        assert float(2 * (gradient * step).sum()) == pytest.approx(float(numeric), rel=1e-3)
    finally:
        network.float()


def test_a_transferred_attack_is_made_on_the_other_system(system, utterances, tmp_path):
    from mtlaug_sb.inference.model_folder import read_model, write_model

    # a copy with other weights
    description, network = read_model(write_small_model(tmp_path / "model"))
    with torch.no_grad():
        network.heads["emotion"].output.weight.mul_(-1)
    write_model(tmp_path / "other", description, network)
    other = TrainedNetwork(tmp_path / "other")
    own, _ = next(Attack("fgsm", "features", [0.5]).answers(other, utterances, CELL))
    given = Attack("fgsm", "features", [0.5], source=lambda cell: system, source_name="stl")
    transferred, _ = next(given.answers(other, utterances, CELL))
    assert given.name == "fgsm_features_from_stl"
    assert not torch.allclose(own, transferred, atol=1e-3)
    back = Attack("fgsm", "features", [0.5], source=lambda cell: system, source_name="itself")
    on_itself, _ = next(back.answers(system, utterances, CELL))
    direct, _ = next(Attack("fgsm", "features", [0.5]).answers(system, utterances, CELL))
    assert torch.allclose(on_itself, direct, atol=1e-6)


def test_what_makes_no_sense(utterances):
    with pytest.raises(ValueError, match="an attack is one of fgsm, pgd on features or waveform, not 'cw'"):
        Attack("cw", "features", [0.1])
    with pytest.raises(ValueError, match="levels at least 0; got 10 and"):
        Attack("pgd", "features", [-0.1])
    with pytest.raises(ValueError, match="no gradients"):
        next(Attack("pgd", "features", [0.1]).answers(object(), utterances, CELL))
