"""Log-mel features and their normalisation."""

import pytest
import torch
import torchaudio

from mtlaug_sb.feature_cache import FeatureCache
from mtlaug_sb.features.log_mel import LogMel
from mtlaug_sb.normalization import GlobalNormalization


@pytest.mark.parametrize("n_fft", [512, 1024])
def test_log_mel_is_torchaudios(n_fft):
    wavs = torch.randn(2, 16000) * 0.1
    ours, _ = LogMel(n_mels=40, n_fft=n_fft, floor=1e-6)(wavs, torch.ones(2))
    # torchaudio centres a short window in the transform; the power does not see where
    reference = torchaudio.transforms.MelSpectrogram(
        16000, n_fft=n_fft, win_length=400, hop_length=160, n_mels=40, pad_mode="constant"
    )
    expected = (reference(wavs) + 1e-6).log().transpose(1, 2)
    assert ours.shape == expected.shape == (2, 101, 40)
    assert torch.allclose(ours, expected, atol=1e-3)


OWN_SCALE = {"relative_floor": 0.1, "level": False, "trim_db": 30}


@pytest.mark.parametrize("options", [{}, {"relative_floor": 0.1}, {"trim_db": 30}, OWN_SCALE])
def test_features_of_real_lengths_are_the_same_alone_and_in_a_batch(options):
    steps = torch.tensor([16000, 15999, 8123, 401])
    wavs = torch.nn.utils.rnn.pad_sequence([torch.randn(n) for n in steps], batch_first=True)
    log_mel = LogMel(**options)
    together, lengths = log_mel(wavs, steps / 16000)
    for i, n in enumerate(steps):
        alone, _ = log_mel(wavs[i : i + 1, :n], torch.ones(1))
        assert round(lengths[i].item() * together.shape[1]) == alone.shape[1]
        assert alone.shape[1] == 1 + n // 160 or "trim_db" in options
        assert torch.allclose(together[i, : alone.shape[1]], alone[0], atol=1e-5)
        assert not together[i, alone.shape[1] :].any()


def test_floor_and_level_go_by_the_utterances_own_mean_power():
    wavs, whole = torch.randn(1, 8000) * torch.linspace(0.01, 1, 8000), torch.ones(1)
    power = LogMel(floor=0.0)(wavs, whole)[0].exp()
    assert torch.allclose(LogMel(relative_floor=0.2)(wavs, whole)[0].exp(), power + 0.2 * power.mean(), rtol=1e-3)
    scaled = LogMel(relative_floor=0.2, level=False)
    assert torch.allclose(scaled(wavs, whole)[0].exp(), power / power.mean() + 0.2, rtol=1e-3)
    assert torch.allclose(scaled(wavs, whole)[0], scaled(10 * wavs, whole)[0], atol=1e-4)
    assert scaled(torch.zeros(1, 8000), whole)[0].isfinite().all()  # silence


def test_silence_around_an_utterance_is_left_out_and_that_inside_is_kept():
    sound = torch.cat([torch.randn(4000), torch.zeros(3000), torch.randn(4000)])
    wav = torch.nn.functional.pad(sound, (5600, 8000)) + 1e-4 * torch.randn(24600)
    features, _ = LogMel(trim_db=30)(wav.unsqueeze(0), torch.ones(1))
    start, duration = LogMel(trim_db=30).heard(wav)
    assert start == pytest.approx(5600, abs=200)
    assert duration == pytest.approx(11000, abs=400)
    assert features.shape[1] == duration // 160
    whole, _ = LogMel()(wav.unsqueeze(0), torch.ones(1))
    assert torch.equal(features[0], whole[0, start // 160 :][: features.shape[1]])
    assert LogMel().heard(wav) == (0, 24600)


def test_window_longer_than_transform():
    with pytest.raises(ValueError, match="shorter than the window"):
        LogMel(n_fft=256)


def test_normalization_takes_the_statistics_of_valid_frames_over_batches():
    a, b = torch.rand(2, 10, 3) * 5, torch.rand(1, 4, 3) - 7
    a[1, 5:] = 1e6  # padding
    norm = GlobalNormalization(3)
    norm.fit([(a, torch.tensor([1.0, 0.5])), (b, torch.ones(1))])
    frames = torch.cat([a[0], a[1, :5], b[0]])
    assert torch.allclose(norm.mean, frames.mean(0), atol=1e-4)
    assert torch.allclose(norm.std, frames.std(0, correction=0), atol=1e-4)
    assert torch.allclose(norm(b, torch.ones(1)), (b - norm.mean) / norm.std, atol=1e-5)


def test_normalization_of_groups():
    a = torch.rand(2, 10, 6, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 7)
    norm = GlobalNormalization(6, groups=2)
    norm.fit([(a, torch.ones(2))])
    layers = a.view(20, 2, 3)
    assert torch.allclose(norm.mean, layers.mean((0, 2)).repeat_interleave(3), atol=1e-5)
    assert torch.allclose(norm.std, layers.std((0, 2), correction=0).repeat_interleave(3), atol=1e-5)
    with pytest.raises(ValueError, match="4 groups do not divide 6 dimensions"):
        GlobalNormalization(6, groups=4)


def test_normalization_without_centering_keeps_ratios():
    a = 3 + torch.rand(2, 10, 6, generator=torch.Generator().manual_seed(0))
    norm, centred = GlobalNormalization(6, groups=2, center=False), GlobalNormalization(6, groups=2)
    for each in (norm, centred):
        each.fit([(a, torch.ones(2))])
    assert torch.equal(norm.std, centred.std)
    assert torch.allclose(norm(a, torch.ones(2)), a / norm.std)


def test_cache_keeps_within_its_bound_and_tells_no_keys_apart_wrongly():
    asked = []

    def compute(rows):
        asked.append(list(rows))
        sizes = torch.tensor([r + 1.0 for r in rows])
        features = torch.zeros(len(rows), int(sizes.max()), 1)
        for k, row in enumerate(rows):
            features[k, : row + 1] = row + 0.1  # no number of 16 bits
        return features, sizes / sizes.max(), torch.tensor(rows)

    cache = FeatureCache(megabytes=4 * 3e-6)  # room for 3 values: rows 0 and 1
    for _ in range(2):
        features, lengths, notes = cache(["a", "b", "c", None], compute)
        assert features.squeeze(2).ceil().tolist() == [[1, 0, 0, 0], [2, 2, 0, 0], [3, 3, 3, 0], [4, 4, 4, 4]]
        assert (lengths * 4).tolist() == [1, 2, 3, 4]
        assert notes.tolist() == [0, 1, 2, 3]
    assert asked == [[0], [1], [2], [3], [2, 3]]
