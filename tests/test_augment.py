"""The augmentations against independent implementations and their own promises."""

import math

import numpy as np
import pytest
import scipy.signal
import torch

from mtlaug_sb import make
from mtlaug_sb.augment.mixup import Mixup
from mtlaug_sb.augment.specaugment import SpecAugment
from mtlaug_sb.augment.speed import Speed
from mtlaug_sb.masking import absolute_lengths


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# ---------------------------------------------------------------------- speed


@pytest.mark.parametrize("percent", [80, 90, 95, 105, 110, 120])
def test_speed_is_scipys_resampling(percent):
    time = torch.arange(8000) / 16000
    wav = (torch.sin(2 * math.pi * 440 * time) * torch.hann_window(8000)).unsqueeze(0)
    wavs, lengths, _ = Speed([percent])(wav, torch.ones(1), {}, seeded())
    reference = torch.from_numpy(scipy.signal.resample_poly(wav[0].double().numpy(), 100, percent))
    assert wavs.shape[1] == len(reference) == math.ceil(8000 * 100 / percent)
    assert (wavs[0] - reference).abs().max() < 0.01
    assert lengths.item() == 1.0


def test_speed_lengths_are_exact_for_every_row():
    size = 4001
    steps = torch.tensor([4001, 3999, 1234, 777])
    wavs, lengths, _ = Speed([90, 95, 105, 110])(torch.rand(4, size), steps / size, {}, seeded(1))
    possible = [{math.ceil(n * 100 / p) for p in (90, 95, 105, 110)} for n in steps.tolist()]
    assert all(n in options for n, options in zip(absolute_lengths(lengths, wavs.shape[1]).tolist(), possible, strict=True))


def test_speed_of_a_row_does_not_depend_on_the_batch():
    wavs = torch.rand(2, 3000)
    wavs[1, 2000:] = 0
    speed = Speed([90, 110])
    together, lengths = speed.vary(wavs, torch.tensor([1.0, 2 / 3]), torch.tensor([0, 1]))
    alone, _ = speed.vary(wavs[1:, :2000], torch.ones(1), torch.tensor([1]))
    n = absolute_lengths(lengths, together.shape[1])[1]
    assert torch.allclose(together[1, :n], alone[0], atol=1e-6)


def test_speed_draws_all_its_speeds():
    wavs, lengths, _ = Speed([50, 200])(torch.rand(100, 100), torch.ones(100), {}, seeded())
    assert set(absolute_lengths(lengths, wavs.shape[1]).tolist()) == {50, 200}


@pytest.mark.parametrize("percents", [[], [90.5], [0]])
def test_speed_refuses_what_is_no_whole_percent(percents):
    with pytest.raises(ValueError, match="whole numbers"):
        Speed(percents)


# ---------------------------------------------------------------------- specaugment


def test_specaugment_masks_only_inside_the_utterance_and_with_its_mean():
    features = torch.rand(50, 60, 20) + 1
    lengths = torch.linspace(0.2, 1, 50)
    masked, _, _ = SpecAugment()(features.clone(), lengths, {}, seeded())
    changed = masked != features
    for i, n in enumerate(absolute_lengths(lengths, 60)):
        assert not changed[i, n:].any()
        if changed[i].any():
            assert torch.allclose(masked[i][changed[i]], features[i, :n].mean())
    assert changed.any(2).any(1).float().mean() > 0.9


def test_specaugment_masks_are_bands_within_their_width():
    features = torch.rand(200, 100, 40)
    effect = SpecAugment(time_masks=1, time_share=0.2, frequency_masks=0)
    changed = (effect(features.clone(), torch.ones(200), {}, seeded())[0] != features).all(2)
    widths = changed.sum(1)
    assert widths.max() <= 20
    assert widths.min() == 0  # width 0 can be drawn: the policy must call that row "none"
    assert len(widths.unique()) > 15
    edges = (changed[:, 1:] != changed[:, :-1]).sum(1) + changed[:, 0] + changed[:, -1]
    assert set(edges.tolist()) <= {0, 2}  # one band, not several
    assert changed[:, 0].any()
    assert changed[:, -1].any()


# ---------------------------------------------------------------------- mixup


def test_mixup_mixes_power_and_targets_with_one_weight():
    power = torch.rand(2, 5, 3) + 0.1
    targets = {"emotion": torch.eye(2)}
    mixed, _, new = Mixup(alpha=1.0)(power.log(), torch.ones(2), targets, seeded())
    for i in (0, 1):
        weight = new["emotion"][i, i]
        assert 0.5 <= weight < 1
        expected = weight * power[i] + (1 - weight) * power[1 - i]
        assert torch.allclose(mixed[i].exp(), expected, rtol=1e-5)
        assert new["emotion"][i].sum().item() == pytest.approx(1)


def test_mixup_keeps_the_length_of_the_row_and_ends_with_the_partner():
    power = torch.ones(2, 4, 1)
    lengths = torch.tensor([1.0, 0.5])
    mixed, new_lengths, targets = Mixup()(power.log(), lengths, {"a": torch.eye(2)}, seeded(3))
    assert torch.equal(new_lengths, lengths)
    weight = targets["a"][0, 0]
    assert torch.allclose(mixed[0].exp().squeeze(), torch.tensor([1, 1, weight, weight]))


def test_mixup_without_partner_changes_nothing():
    features, targets = torch.rand(1, 5, 3), {"a": torch.eye(1), "b": torch.full((1, 2), torch.nan)}
    mixed, _, new = Mixup()(features, torch.ones(1), targets, seeded())
    assert torch.equal(mixed, features)
    assert torch.equal(new["a"], targets["a"])


def test_mixup_pairs_labelled_with_labelled():
    emotion = torch.eye(4)
    emotion[2:] = torch.nan
    for seed in range(20):
        _, _, new = Mixup()(torch.rand(4, 5, 3), torch.ones(4), {"emotion": emotion}, seeded(seed))
        assert new["emotion"].isnan().all(1).tolist() == [False, False, True, True]


def test_mixup_of_linear_features():
    features = torch.rand(2, 5, 3)
    mixed, _, new = Mixup(log_power=False)(features, torch.ones(2), {"a": torch.eye(2)}, seeded())
    weight = new["a"][0, 0]
    assert torch.allclose(mixed[0], weight * features[0] + (1 - weight) * features[1])


# ---------------------------------------------------------------------- coloured noise


@pytest.mark.parametrize(("colour", "exponent"), [("white", 0), ("pink", 1), ("brown", 2)])
def test_coloured_noise_has_its_ratio_and_its_slope(colour, exponent):
    wav = torch.randn(1, 64000, generator=torch.Generator().manual_seed(0))
    noisy, lengths = make("augmentation/coloured_noise", colours=[colour], snrs_db=[5]).vary(
        wav, torch.tensor([0.75]), torch.zeros(1, dtype=torch.long)
    )
    assert lengths.tolist() == [0.75]
    assert torch.equal(noisy[0, 48000:], wav[0, 48000:])
    noise = (noisy - wav)[0, :48000].double().numpy()
    assert 10 * np.log10(np.mean(wav[0, :48000].double().numpy() ** 2) / np.mean(noise**2)) == pytest.approx(5, abs=1e-3)
    frequencies, density = scipy.signal.welch(noise, fs=16000, nperseg=2048)
    band = (frequencies > 200) & (frequencies < 7000)
    slope = np.polyfit(np.log(frequencies[band]), np.log(density[band]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.1)


def test_coloured_noise_is_another_one_for_another_utterance_and_another_variant():
    effect = make("augmentation/coloured_noise", colours=["white", "brown"], snrs_db=[10, 0])
    assert effect.variants == ["white 10", "white 0", "brown 10", "brown 0"]
    wavs = torch.randn(2, 9000, generator=torch.Generator().manual_seed(0)).repeat_interleave(4, 0)
    noise = effect.vary(wavs, torch.ones(8), torch.arange(8) % 4)[0] - wavs
    powers = noise[:4].square().mean(1) / wavs[0].square().mean()
    assert powers.tolist() == pytest.approx([0.1, 1, 0.1, 1], rel=1e-3)
    alike = torch.corrcoef(noise) - torch.eye(8)
    assert alike.abs().max() < 0.3


def test_coloured_noise_leaves_silence_as_it_is():
    wavs = torch.zeros(2, 500)
    assert torch.equal(make("augmentation/coloured_noise").vary(wavs, torch.ones(2), torch.tensor([0, 5]))[0], wavs)


def test_coloured_noise_refuses_other_colours_and_nothing():
    with pytest.raises(ValueError, match="of white, pink, brown, and 'blue' is none"):
        make("augmentation/coloured_noise", colours=["blue"])
    with pytest.raises(ValueError, match="needs a colour and a signal-to-noise ratio"):
        make("augmentation/coloured_noise", snrs_db=[])


# ---------------------------------------------------------------------- babble


def test_babble_has_its_ratio_and_is_the_same_alone_and_in_a_batch():
    effect = make("augmentation/babble", snrs_db=[10, -5])
    assert effect.variants == [10, -5]
    wavs = torch.randn(2, 12000, generator=seeded())
    lengths = torch.tensor([0.5, 1.0])
    noisy, new_lengths = effect.vary(wavs, lengths, torch.tensor([0, 1]))
    assert torch.equal(new_lengths, lengths)
    assert torch.equal(noisy[0, 6000:], wavs[0, 6000:])
    babble = (noisy - wavs).double()
    for row, n, ratio in ((0, 6000, 10), (1, 12000, -5)):
        speech = wavs[row, :n].double()
        assert 10 * (speech.square().mean() / babble[row, :n].square().mean()).log10() == pytest.approx(ratio, abs=1e-3)
    alone = effect.vary(wavs[:1, :6000], torch.ones(1), torch.tensor([0]))[0]
    assert torch.equal(alone[0], noisy[0, :6000])


@pytest.mark.parametrize("percent", [80, 125])
def test_babble_is_the_utterance_backwards_at_another_speed_from_somewhere(percent):
    # of low frequencies, which any resampling keeps
    wav = torch.cumsum(torch.randn(1, 8000, generator=seeded()), 1).sin()
    babble = (
        make("augmentation/babble", snrs_db=[0], percents=[percent]).vary(wav, torch.ones(1), torch.tensor([0]))[0] - wav
    )
    voice = scipy.signal.resample_poly(wav[0].numpy(), 100, percent)[::-1]
    long = np.tile(voice, 4)
    places = np.lib.stride_tricks.sliding_window_view(long, 8000)[: len(voice)]
    alike = places @ babble[0].numpy() / np.linalg.norm(places, axis=1) / babble[0].norm().item()
    assert alike.max() > 0.99


def test_babble_begins_elsewhere_for_another_utterance():
    effect = make("augmentation/babble", snrs_db=[0])
    wavs = torch.randn(1, 9000, generator=seeded()).repeat(2, 1)
    wavs[1, 0] += 1e-3
    noise = effect.vary(wavs, torch.ones(2), torch.zeros(2, dtype=torch.long))[0] - wavs
    assert torch.corrcoef(noise)[0, 1].abs() < 0.5


def test_behind_silence_there_is_no_babble():
    wavs = torch.zeros(2, 500)
    assert torch.equal(make("augmentation/babble").vary(wavs, torch.ones(2), torch.tensor([0, 1]))[0], wavs)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"snrs_db": []}, "needs a signal-to-noise ratio and a voice"),
        ({"snrs_db": [math.nan]}, "needs a signal-to-noise ratio and a voice"),
        ({"percents": []}, "needs a signal-to-noise ratio and a voice"),
        ({"percents": [90.5]}, "positive whole numbers"),
        ({"percents": [0]}, "positive whole numbers"),
    ],
)
def test_babble_refuses_what_it_cannot_do(arguments, said):
    with pytest.raises(ValueError, match=said):
        make("augmentation/babble", **arguments)
