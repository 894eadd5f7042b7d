"""Noise, babble and rooms: the ratio that was asked for, and the same for every system."""

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from trees import lay_out

from mtlaug_sb.acoustics import put_into_room
from mtlaug_sb.dataio.audio import AudioError, AudioReader
from mtlaug_sb.robustness.cells import Utterance
from mtlaug_sb.robustness.surroundings import Babble, Noise, Room, person, read_environments


def utterance(seed=0, n=20000, speaker="a/1", name="u"):
    wav = torch.randn(n, generator=torch.Generator().manual_seed(seed)) * 0.05
    wav[: n // 2] = 0.0  # silence counts: the ratio is over the whole utterance
    record = {"corpus": "a", "speaker": speaker, "recording": f"r{seed}"}
    return Utterance(name, record, wav, "anger")


def noises(n=3, size=8000):
    return [torch.randn(size, generator=torch.Generator().manual_seed(100 + k)) * (k + 1) for k in range(n)]


@pytest.mark.parametrize("snr", [20.0, 10.0, 0.0, -5.0])
@pytest.mark.parametrize("size", [3000, 50000])
def test_the_ratio_recomputed(snr, size):
    u = utterance()
    noisy = Noise("x", noises(size=size), [snr]).hear(u, snr)
    speech, noise = u.wav.numpy().astype(float), noisy.numpy().astype(float) - u.wav.numpy()
    assert 10 * np.log10((speech**2).sum() / (noise**2).sum()) == pytest.approx(snr, abs=1e-3)
    assert noisy.shape == u.wav.shape


def test_one_noise_for_an_utterance_whatever_it_is_called_and_at_every_ratio():
    u, renamed = utterance(), utterance(name="joined/u", speaker="1")
    noise, again = Noise("x", noises(), [20, 0]), Noise("x", noises(), [0])
    assert torch.equal(noise.hear(u, 0.0), again.hear(renamed, 0.0))
    quiet, loud = (noise.hear(u, snr) - u.wav for snr in (20.0, 0.0))
    assert torch.allclose(quiet * 10, loud, atol=1e-6)
    assert not torch.equal(noise.hear(u, 0.0), Noise("x", noises(), [0], seed=1).hear(u, 0.0))
    assert not torch.equal(noise.noise(u), noise.noise(utterance(seed=1)))
    # recordings and places differ between utterances
    found = {round(float(noise.noise(utterance(seed=s)).std())) for s in range(20)}
    assert found == {1, 2, 3}


def test_silent_stretches_are_no_noise():
    half = torch.cat([torch.zeros(30000), torch.ones(1000)])
    u = utterance(n=1000)
    assert Noise("x", [half], [0]).noise(u).any()
    with pytest.raises(ValueError, match="'noise_x' are silent"):
        Noise("x", [torch.zeros(30000)], [0]).noise(u)


def test_what_would_sound_otherwise_has_another_fingerprint():
    recordings = noises()
    conditions = [Noise("x", r, [0]) for r in (recordings, noises(), recordings[::-1], recordings[:2])]
    assert conditions[0].settings == conditions[1].settings
    assert len({c.settings["recordings"] for c in conditions}) == 3
    heard = [[c.noise(utterance(seed=k)).tolist() for k in range(8)] for c in conditions]  # each draws its recording
    assert heard[0] == heard[1]
    assert heard[2] != heard[0] != heard[3]


def test_environments_by_their_folders(tmp_path, monkeypatch):
    files = ["day/street/a.wav", "night/street/b.wav", "cafe_2/ch01.wav", "cafe_2/ch02.wav", "cafe_2/ch16.wav", "rain/x.wav"]
    lay_out(tmp_path, files)
    found = read_environments(tmp_path, lambda path: path.removeprefix(f"{tmp_path}/"))
    assert found == {
        "cafe_2": ["cafe_2/ch01.wav"], "day_street": ["day/street/a.wav"], "night_street": ["night/street/b.wav"],
        "rain": ["rain/x.wav"],
    }  # fmt: skip
    monkeypatch.chdir(tmp_path / "rain")
    assert list(read_environments(".", lambda path: path)) == ["rain"]


@pytest.fixture
def speech(tmp_path):
    """Records of five speakers in two files each, a tone of its own per speaker."""
    records = []
    for s in range(5):
        for k in range(2):
            path = tmp_path / f"{s}_{k}.wav"
            soundfile.write(path, 0.1 * (s + 1) * np.sin(np.arange(9000) * 0.1 * (s + 1)), 16000)
            records.append({"corpus": "a", "speaker": f"a/{s}", "recording": f"{s}{k}", "path": str(path)})
    return records


def test_babble_is_of_others_and_all_are_equally_loud(speech):
    u = utterance(n=8192, speaker="1")  # of corpus a: the one called a/1 there
    babble = Babble(speech, AudioReader(), [10], talkers=4).noise(u)
    spectrum = np.abs(np.fft.rfft(babble.numpy() * np.hanning(8192)))
    at = [spectrum[round(0.1 * (s + 1) * 8192 / (2 * np.pi)) - 2 :][:5].max() for s in range(5)]
    assert at[1] < 0.01 * at[0]
    assert max(at[s] for s in (0, 2, 3, 4)) < 1.5 * min(at[s] for s in (0, 2, 3, 4))
    with pytest.raises(ValueError, match="babble of 5 needs as many other speakers; there are 4"):
        Babble(speech, AudioReader(), [10], talkers=5).noise(u)


def test_a_room_is_a_convolution_that_keeps_time_and_level():
    u = utterance()
    response = torch.zeros(3000)
    response[100], response[900] = 1.0, 0.5
    heard = Room("x", [response]).hear(u, None)
    expected = scipy.signal.fftconvolve(u.wav.numpy(), response.numpy())[100 : 100 + len(u.wav)]
    scale = float(heard.abs().mean()) / np.abs(expected).mean()
    assert np.allclose(heard.numpy(), scale * expected, atol=1e-4)
    assert float(heard.abs().mean()) == pytest.approx(float(u.wav.abs().mean()), rel=0.06)  # but for the tail
    assert torch.allclose(put_into_room(u.wav, torch.tensor([1.0])), u.wav, atol=1e-5)


def test_environments_of_a_folder_and_of_demand(tmp_path, caplog):
    lay_out(tmp_path, ["a/rain/x.wav", "a/rain/deep/y.wav", "a/car.wav", "d/TCAR_16k/ch01.wav", "d/TCAR_16k/ch02.wav"])
    for path in tmp_path.rglob("*.wav"):
        soundfile.write(path, np.random.default_rng(0).uniform(-0.1, 0.1, 100), 16000)
    counts = {k: len(v) for k, v in read_environments(tmp_path / "a", AudioReader()).items()}
    assert counts == {"a": 1, "rain": 1, "deep": 1}
    assert {k: len(v) for k, v in read_environments(tmp_path / "d", AudioReader()).items()} == {"TCAR": 1}
    soundfile.write(tmp_path / "a" / "rain" / "z.wav", np.zeros(100), 16000)
    with pytest.raises(AudioError, match=r"z.wav: is silent; mend it or take it out of '.*a'"):
        read_environments(tmp_path / "a", AudioReader())
    (tmp_path / "e").mkdir()
    with pytest.raises(FileNotFoundError, match="no audio file below"):
        read_environments(tmp_path / "e", AudioReader())
    with pytest.raises(FileNotFoundError, match="no folder of recordings"):
        read_environments(tmp_path / "nowhere", AudioReader())


def test_a_person_is_one_in_a_corpus_alone_or_joined():
    assert person({"corpus": "emodb", "speaker": "emodb/03"}) == person({"corpus": "emodb", "speaker": "03"})
    assert person({"corpus": "emodb", "speaker": None}) is None


@pytest.mark.real_data
def test_real_noise_at_ten_decibels(real_data):
    environments = read_environments(real_data / "noise", AudioReader())
    assert len(environments) == 6
    for name, recordings in environments.items():
        u = utterance()
        noise = Noise(name, recordings, [10]).hear(u, 10.0).double() - u.wav
        assert 10 * torch.log10(u.wav.double().square().sum() / noise.square().sum()) == pytest.approx(10, abs=1e-3)
