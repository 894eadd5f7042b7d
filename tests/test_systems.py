"""The comparison systems: what each differs in, and the parts that they alone have."""

import functools
import math
import os
import pathlib

import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from ruamel.yaml import YAML

from mtlaug_sb import load_plugins, make
from mtlaug_sb.experiment import read_experiment
from mtlaug_sb.task import Task

ROOT = pathlib.Path(__file__).parents[1]
ABLATIONS = sorted(p.stem for p in (ROOT / "hparams" / "ablations").glob("*.yaml"))
load_plugins(str(ROOT / "plugins"))


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A YAML's objects: system("ss_aae") -> hparams."""
    monkeypatch.chdir(ROOT)

    def build(name):
        overrides = {"output_folder": str(tmp_path), "data_folder": str(tmp_path)}
        text = read_experiment(ROOT / "hparams" / f"{name}.yaml")
        return load_hyperpyyaml(text, overrides, overrides_must_match=False)

    return build


def n_parameters(hparams):
    modules = [*hparams["modules"].values(), *filter(None, hparams["tasks"].values())]
    return sum(p.numel() for module in modules for p in module.parameters())


# ---------------------------------------------------------------------- ablations


def leaves(node, path=()):
    """{path: value} of a YAML; null is a leaf."""
    if isinstance(node, dict):
        return {k: v for key, value in node.items() for k, v in leaves(value, (*path, key)).items()}
    if isinstance(node, list):
        return {path: [str(getattr(v, "value", v)) for v in node]}
    return {path: str(getattr(node, "value", node))}


@functools.cache
def whole(name):
    """A YAML with its base put in, and nothing made of it."""
    return leaves(YAML().load(read_experiment(ROOT / "hparams" / name)))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("reconstruction_as_seen", ["tasks.reconstruction.target"]),
        ("without_augmentation_type", ["tasks.augmentation"]),
        ("without_center_loss", ["tasks.emotion.losses.center"]),
        ("without_discriminant", ["tasks.emotion.head.gain"]),
        ("without_mixup", ["augmentation.effects.mixup", "augmentation_types"]),
        ("without_reconstruction", ["tasks.reconstruction"]),
        ("without_specaugment", ["augmentation.effects.specaugment", "augmentation_types"]),
        ("without_speed", ["augmentation.effects.speed", "augmentation_types"]),
    ],
)
def test_an_ablation_differs_in_what_its_name_says(name, changes):
    base, own = whole("mtl_aug.yaml"), whole(f"ablations/{name}.yaml")
    changed = {".".join(k) for k in base.keys() | own.keys() if base.get(k) != own.get(k)} - {"system"}
    assert changed
    for change in changes:
        assert any(c.startswith(change) for c in changed), change
    assert [c for c in changed if not c.startswith(tuple(changes))] == []
    assert own[("system",)] == name
    assert name in ABLATIONS


def test_every_ablation_is_checked():
    assert len(ABLATIONS) == 8


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_can_be_made(system, name):
    hparams = system(f"ablations/{name}")
    left_out = name.removeprefix("without_")
    policy, tasks = hparams["augmentation"], {k: t for k, t in hparams["tasks"].items() if t is not None}
    assert left_out not in policy.names
    assert policy.names == hparams["augmentation_types"]
    assert policy.probabilities.sum().item() == pytest.approx(1)
    assert left_out not in tasks
    assert ("center" in tasks["emotion"].losses) == (name != "without_center_loss")
    assert ("augmentation" in tasks) == (name != "without_augmentation_type")
    if "augmentation" in tasks:
        assert tasks["augmentation"].head.output.out_features == len(policy.names)
    if "reconstruction" in tasks:
        assert (tasks["reconstruction"].target == "features") == (name == "reconstruction_as_seen")


def test_a_loss_that_is_none_is_left_out_and_its_weight_does_not_matter():
    losses = {"cross_entropy": make("loss/cross_entropy"), "center": None}
    task = Task("emotion", make("head/attentive", input_size=4, n_classes=2), losses, {"center": 0.1, "cross_entropy": 2.0})
    assert list(task.losses) == ["cross_entropy"]
    assert task.loss_weights == {"cross_entropy": 2.0}
    with pytest.raises(ValueError, match=r"loss_weights \['cross_entropy', 'centre'\] do not fit"):
        Task("emotion", task.head, losses, {"centre": 0.1})


# ---------------------------------------------------------------------- sizes


def test_systems_that_are_compared_are_of_about_one_size(system):
    ours = n_parameters(system("mtl_aug"))
    assert n_parameters(system("ss_aae")) == pytest.approx(ours, rel=0.15)
    assert n_parameters(system("mtl_aug_semi")) == ours


def test_acrnn_is_the_papers(system):
    hparams = system("acrnn")
    assert hparams["augmentation"] is None
    assert [k for k, task in hparams["tasks"].items() if task is not None] == ["emotion"]
    assert list(hparams["tasks"]["emotion"].losses) == ["cross_entropy"]
    encoder, head = hparams["modules"]["encoder"], hparams["tasks"]["emotion"].head
    assert [c.out_channels for c in encoder.convolutions] == [128, 256, 256, 256, 256, 256]
    assert (encoder.linear.in_features, encoder.linear.out_features) == (256 * 10, 768)
    assert (head.forwards.input_size, head.forwards.hidden_size, head.dense.out_features) == (768, 128, 64)
    assert hparams["modules"]["normalization"].mean.shape == (120,)


# ---------------------------------------------------------------------- the adversarial prior


def test_discriminator_loss_by_hand_over_valid_frames():
    loss = make("loss/prior_discriminator")
    logits = torch.tensor([[[0.0, 0.0], [math.log(3), -math.log(4)]], [[2.0, 1.0], [99.0, -99.0]]])
    values = loss(logits, torch.zeros(2, 1), torch.tensor([1.0, 0.5]))
    # softplus(0) = log 2; softplus(log 3) = log 4; softplus(log 4) = log 5
    assert values[0].item() == pytest.approx((2 * math.log(2) + math.log(4) + math.log(5)) / 2, abs=1e-6)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits[1, 0], torch.tensor([0.0, 1.0]), reduction="sum")
    assert values[1].item() == pytest.approx(expected.item(), abs=1e-6)


def test_generator_loss_by_hand():
    values = make("loss/prior_generator")(torch.tensor([[0.0, -math.log(3)]]), torch.zeros(1, 1), torch.ones(1))
    assert values.item() == pytest.approx((math.log(2) + math.log(4)) / 2, abs=1e-6)


def test_one_backward_pass_gives_each_side_the_gradient_of_its_own_turn():
    torch.manual_seed(0)
    head = make("head/prior_discriminator", input_size=3, hidden=4)
    code, lengths = torch.randn(2, 5, 3), torch.tensor([1.0, 0.6])

    def losses(frames):
        torch.manual_seed(1)  # the same samples each time
        judged, generated = head(frames, lengths).values()
        discriminator = make("loss/prior_discriminator")(judged, None, lengths).mean()
        return discriminator, make("loss/prior_generator")(generated, None, lengths).mean()

    together = code.clone().requires_grad_()
    sum(losses(together)).backward()
    both = [p.grad.clone() for p in head.parameters()]
    # the discriminator's turn: the code is given, by plain layers
    head.zero_grad()
    torch.manual_seed(1)
    samples = torch.randn_like(code)
    logits = torch.cat([head.layers(code), head.layers(samples)], dim=2)
    make("loss/prior_discriminator")(logits, None, lengths).mean().backward()
    assert all(torch.allclose(a, p.grad, atol=1e-7) for a, p in zip(both, head.parameters(), strict=True))
    # the generator's turn: the discriminator is given
    alone = code.clone().requires_grad_()
    make("loss/prior_generator")(head.layers(alone).squeeze(2), None, lengths).mean().backward()
    assert torch.allclose(together.grad, alone.grad, atol=1e-7)
    assert together.grad[0].any()
    assert not together.grad[1, 3:].any()


def test_the_code_comes_to_look_like_the_prior():
    torch.manual_seed(0)
    inputs, lengths = torch.randn(8, 16, 2), torch.ones(8)
    scale, shift = (torch.nn.Parameter(torch.tensor(v)) for v in ([0.3, 0.3], [2.0, -1.0]))
    head = make("head/prior_discriminator", input_size=2, hidden=16)
    discriminator, generator = make("loss/prior_discriminator"), make("loss/prior_generator")
    optimizer = torch.optim.Adam([scale, shift, *head.parameters()], 0.01, betas=(0.5, 0.9))
    for _ in range(220):
        judged, generated = head(inputs * scale + shift, lengths).values()
        loss = (discriminator(judged, None, lengths) + generator(generated, None, lengths)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert torch.allclose(scale.abs(), torch.ones(2), atol=0.25)
    assert torch.allclose(shift, torch.zeros(2), atol=0.35)


# ---------------------------------------------------------------------- more speech


def test_the_embedded_unlabelled_speech_knows_no_emotion(tmp_path):
    corpus = make("corpus/synthetic_unlabelled", n_speakers=2, n_utterances=1)
    utterances = list(corpus.read(tmp_path))
    assert len(utterances) == 8
    assert {frozenset(u.labels) for u in utterances} == {frozenset({"gender", "transcript"})}


@pytest.mark.real_data
def test_seven_classes_of_emodb_are_an_option(arguments, real_data, tmp_path, monkeypatch):
    import train

    monkeypatch.chdir(ROOT)
    classes = "--classes=[anger, boredom, disgust, fear, happiness, neutral, sadness]"
    corpus = ["--corpus=emodb", f"--data_folder={real_data / 'emodb'}", "--corpus_options={}", "--test_speaker=03"]
    more = ["--number_of_epochs=1", "--n_valid_speakers=1", "--batches={batch_size: 32}", "--seed=1"]
    results = train.main(arguments("hparams/acrnn.yaml", *corpus, classes, *more))
    assert len(results["classes"]) == 7
    assert sum(map(sum, results["confusion"])) == results["utterances"]["test"] == 49
    assert os.path.exists(tmp_path / "run" / "model")
