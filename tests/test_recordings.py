"""What is wrong with a recording is found by both readers, and mended in the same way."""

import numpy as np
import pytest
import soundfile

from mtlaug_sb.dataio.audio import AudioError, AudioReader
from mtlaug_sb.inference import sound_file
from mtlaug_sb.inference.stream import Stream
from mtlaug_sb.recordings import fault_of, is_silent, without_offset

NOISE = np.random.default_rng(0).normal(scale=0.05, size=8000).astype("float32")
NOISE -= NOISE.mean()


def write(path, samples):
    soundfile.write(path, samples, 16000, "FLOAT")
    return str(path)


def test_a_small_offset_stays_and_a_large_one_goes():
    for offset in (0.0, 0.002):
        samples = NOISE + np.float32(offset)
        assert without_offset(samples) is samples
    for offset in (0.003, -0.4):
        mended = without_offset(NOISE + np.float32(offset))
        assert mended.dtype == np.float32
        assert np.allclose(mended, NOISE, atol=1e-6)
    assert len(without_offset(NOISE[:0])) == 0


def test_files_and_streams_are_around_zero(tmp_path):
    path = write(tmp_path / "a.wav", NOISE + 0.2)
    assert np.allclose(AudioReader()(path).numpy(), NOISE, atol=1e-6)
    assert np.allclose(sound_file.read_sound(path, 16000), NOISE, atol=1e-6)
    heard = []
    stream = Stream(lambda samples: heard.append(samples) or [1.0], ["anger"], 16000, 16000, 0.5, 0.5, 0.0)
    assert [s.label for s in stream.push(NOISE + np.float32(0.2))] == ["anger"]
    assert np.allclose(heard[0], NOISE, atol=1e-6)


def test_a_constant_voltage_is_silence(tmp_path):
    path = write(tmp_path / "a.wav", np.full(8000, 0.2, "float32"))
    for read in (AudioReader(), lambda path: sound_file.read_sound(path, 16000)):
        with pytest.raises(ValueError, match="is silent"):
            read(path)
    stream = Stream(lambda samples: [1.0], ["anger"], 16000, 16000, 0.5, 0.5, 0.0)
    assert [s.label for s in stream.push(np.full(8000, 0.2, "float32"))] == ["silence"]
    assert is_silent(np.zeros(0))


@pytest.mark.parametrize(
    ("samples", "says"), [(2e4 * NOISE, r"samples of up to \d+.*between -1 and 1"), (np.nan * NOISE, "NaN or infinite")]
)
def test_what_is_no_audio(tmp_path, samples, says):
    path = write(tmp_path / "a.wav", samples)
    with pytest.raises(AudioError, match=says):
        AudioReader()(path)
    with pytest.raises(sound_file.AudioError, match=says):
        sound_file.read_sound(path, 16000)
    stream = Stream(lambda samples: [1.0], ["anger"], 16000, 16000, 0.5, 0.5, 0.0)
    with pytest.raises(sound_file.AudioError, match=says):
        stream.push(samples)


def test_loud_floats_are_audio():
    assert fault_of(30 * NOISE) is None  # a recording above full scale


@pytest.mark.real_data
def test_no_real_recording_has_an_offset(real_data):
    for path in sorted(real_data.rglob("*.flac"))[::20]:
        samples = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(1)
        assert without_offset(samples) is samples, path
