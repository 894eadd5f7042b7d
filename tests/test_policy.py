"""The augmentation policy: the label is what happened."""

import pytest
import torch
from torch import nn

from mtlaug_sb import make
from mtlaug_sb.augment.mixup import Mixup
from mtlaug_sb.augment.specaugment import SpecAugment
from mtlaug_sb.augment.speed import Speed
from mtlaug_sb.masking import absolute_lengths, valid_mask
from mtlaug_sb.policy import AugmentationPolicy


class InPadding(nn.Module):
    """Writes where nothing is heard."""

    def __init__(self, domain):
        super().__init__()
        self.domain = domain

    def forward(self, inputs, lengths, targets, generator):
        inputs[~valid_mask(lengths, inputs.shape[1])] = 7.0
        return inputs, lengths, targets


class Louder(nn.Module):
    """Writes into its input, as several of SpeechBrain's effects do."""

    domain = "waveform"

    def forward(self, inputs, lengths, targets, generator):
        inputs *= 2
        return inputs, lengths, targets


def paper_policy(**options):
    effects = {"speed": Speed([90, 110]), "specaugment": SpecAugment(), "mixup": Mixup()}
    return AugmentationPolicy(effects, **options)


def both_domains(policy, wavs, features, lengths, targets):
    """What the loop does, with features that do not come from the wavs; returns everything."""
    draw = policy.draw(len(wavs))
    new_wavs, wav_lengths, targets, draw = policy.apply("waveform", draw, wavs, lengths, targets)
    new_features, _, targets, draw = policy.apply("features", draw, features, lengths, targets)
    return new_wavs, wav_lengths, new_features, targets, draw


def test_exactly_what_the_label_says_has_happened():
    policy = paper_policy(seed=1)
    n = 64
    wavs, features, lengths = torch.rand(n, 1000), torch.rand(n, 50, 20), torch.linspace(0.3, 1, n)
    targets = {"identity": torch.eye(n)}
    new_wavs, wav_lengths, new_features, new_targets, draw = both_domains(policy, wavs, features, lengths, targets)
    names = [policy.names[t] for t in draw.types]
    assert set(names) == {"none", "speed", "specaugment", "mixup"}
    for i, name in enumerate(names):
        before = absolute_lengths(lengths[i : i + 1], 1000).item()
        after = absolute_lengths(wav_lengths[i : i + 1], new_wavs.shape[1]).item()
        length_changed = before != after
        inside = valid_mask(lengths[i : i + 1], 50)[0]
        features_changed = not torch.equal(new_features[i][inside], features[i][inside])
        target_changed = not torch.equal(new_targets["identity"][i], targets["identity"][i])
        assert length_changed == (name == "speed")
        assert features_changed == (name in ("specaugment", "mixup"))
        assert target_changed == (name == "mixup")


def test_labels_are_one_hot_in_the_order_of_the_names():
    policy = paper_policy()
    draw = policy.draw(32)
    labels = policy.labels(draw, "cpu")
    assert policy.names == ["none", "speed", "specaugment", "mixup"]
    assert torch.equal(labels.argmax(1), draw.types)
    assert torch.equal(labels.sum(1), torch.ones(32))


@pytest.mark.parametrize(
    "effect",
    [
        Speed([100]),
        SpecAugment(time_share=0.0, frequency_share=0.0, time_masks=1, frequency_masks=1),
        InPadding("waveform"),
        InPadding("features"),
    ],
)
def test_an_effect_without_effect_is_none(effect):
    if isinstance(effect, SpecAugment):
        effect.frequency_share = effect.time_share = -1e-9  # widths below one: nothing is hidden
    policy = AugmentationPolicy({"nothing": effect}, probabilities={"none": 0.0, "nothing": 1.0})
    inputs = torch.rand(4, 200) if effect.domain == "waveform" else torch.rand(4, 20, 10)
    new, lengths, _, draw = policy.apply(effect.domain, policy.draw(4), inputs, torch.tensor([1.0, 1.0, 0.5, 1.0]), {})
    assert draw.types.tolist() == [0, 0, 0, 0]
    assert not new[~valid_mask(lengths, new.shape[1])].any()


def test_a_mixup_row_without_partner_is_none():
    policy = AugmentationPolicy({"mixup": Mixup()}, probabilities={"none": 0.0, "mixup": 1.0})
    _, _, _, draw = policy.apply("features", policy.draw(1), torch.rand(1, 20, 10), torch.ones(1), {"a": torch.eye(1)})
    assert draw.types.tolist() == [0]


@pytest.mark.parametrize("probabilities", [None, {"none": 0.0, "louder": 1.0, "mixup": 0.0}])
def test_nothing_is_changed_in_place(probabilities):
    policy = AugmentationPolicy({"louder": Louder(), "mixup": Mixup()}, probabilities)
    wavs, features, targets = torch.rand(16, 100), torch.rand(16, 20, 10), {"a": torch.eye(16)}
    before = wavs.clone(), features.clone(), targets["a"].clone()
    new_wavs, _, _, _, draw = both_domains(policy, wavs, features, torch.ones(16), targets)
    assert torch.equal(wavs, before[0])
    assert torch.equal(features, before[1])
    assert torch.equal(targets["a"], before[2])
    louder = draw.types == 1
    assert torch.equal(new_wavs[louder], 2 * wavs[louder])
    assert torch.equal(new_wavs[~louder], wavs[~louder])
    assert louder.any()


def test_types_come_per_utterance_with_the_probabilities():
    policy = paper_policy(probabilities={"none": 0.4, "speed": 0.3, "specaugment": 0.2, "mixup": 0.1})
    counts = torch.bincount(policy.draw(20000).types, minlength=4) / 20000
    assert torch.allclose(counts, torch.tensor([0.4, 0.3, 0.2, 0.1]), atol=0.02)


def test_the_generator_alone_decides():
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        policy = paper_policy(seed=5)
        ramp = torch.arange(32 * 200.0).view(32, 20, 10)
        out = both_domains(policy, torch.ones(32, 100), ramp, torch.ones(32), {"a": torch.eye(32)})
        states.append((out[2], out[3]["a"], out[4].types))
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))
    assert len(states[0][2].unique()) == 4


def test_rows_keep_their_place_and_padding_is_zero():
    policy = AugmentationPolicy({"speed": Speed([50])})
    wavs = torch.arange(1.0, 9).unsqueeze(1).expand(8, 100).contiguous()
    new, lengths, _, draw = policy.apply("waveform", policy.draw(8), wavs, torch.ones(8), {})
    assert new.shape == (8, 200)
    for i, type_ in enumerate(draw.types):
        n = 200 if type_ else 100
        assert absolute_lengths(lengths, 200)[i] == n
        assert new[i, 20:80].mean().round() == i + 1
        assert not new[i, n:].any()


def test_probabilities_must_fit():
    with pytest.raises(ValueError, match="sum to 1"):
        paper_policy(probabilities={"none": 0.5, "speed": 0.5, "specaugment": 0.5, "mixup": 0.5})
    with pytest.raises(ValueError, match="must be given"):
        paper_policy(probabilities={"none": 1.0})
    with pytest.raises(ValueError, match="untouched"):
        AugmentationPolicy({"none": Mixup()})


def test_fitted_outcomes():
    speed = make("augmentation/speed", percents=[80, 90, 110])
    policy = AugmentationPolicy({"louder": Louder(), "speed": speed}, fitted={"speed": [90, 70, 110]})
    assert policy.outcomes() == [(0, 0), (2, 1), (2, 2)]
    draw = policy.draw_of(2, 2, 1)
    wavs, _, _, happened = policy.apply("waveform", draw, torch.rand(2, 900), torch.ones(2), {})
    assert wavs.shape == (2, 1000)
    assert happened.types.tolist() == [2, 2]
    assert AugmentationPolicy({"speed": None}, fitted={"speed": [90]}).outcomes() == [(0, 0)]


@pytest.mark.parametrize("fitted", [{"louder": [90]}, {"nothing": [90]}, {"mixup": [90]}])
def test_fitted_names_effects_on_the_waveform_with_variants(fitted):
    with pytest.raises(ValueError, match=r"fitted: .* is no effect on the waveform with variants"):
        AugmentationPolicy({"louder": Louder(), "mixup": Mixup()}, fitted=fitted)


def test_an_effect_that_is_null_is_left_out_and_the_others_share_its_probability():
    effects = {"speed": make("augmentation/speed"), "mixup": None}
    policy = AugmentationPolicy(effects, {"none": 0.3, "speed": 0.3, "mixup": 0.4})
    assert policy.names == ["none", "speed"]
    assert policy.probabilities.tolist() == pytest.approx([0.5, 0.5])
