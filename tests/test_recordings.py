"""What is wrong with a recording is found by both readers, and mended in the same way."""

import numpy as np
import pytest
import soundfile

from mtlaug_sb.dataio.audio import AudioError, AudioReader, read_recordings
from mtlaug_sb.inference import sound_file
from mtlaug_sb.inference.stream import Stream
from mtlaug_sb.recordings import fault_of, is_silent, without_offset

NOISE = np.random.default_rng(0).normal(scale=0.05, size=8000).astype("float32")
NOISE -= NOISE.mean()


def write(path, samples, rate=16000):
    soundfile.write(path, samples, rate, "FLOAT")
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


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_both_readers_mend_alike_at_any_rate(tmp_path, rate):
    path = write(tmp_path / "a.wav", NOISE + 0.2, rate)
    trained, heard = AudioReader()(path).numpy(), sound_file.read_sound(path, 16000)
    sound = sound_file.read_sound(write(tmp_path / "b.wav", NOISE, rate), 16000)
    assert np.allclose(heard, sound, atol=1e-5)
    assert np.allclose(trained, AudioReader()(str(tmp_path / "b.wav")).numpy(), atol=1e-5)


def test_a_stream_is_heard_as_it_is():
    heard = []
    stream = Stream(lambda samples: heard.append(samples) or [1.0], ["anger"], 16000, 16000, 0.5, 0.5, 0.0)
    stream.push(NOISE + np.float32(0.2))
    assert np.array_equal(heard[0], NOISE + np.float32(0.2))


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_constant_voltage_is_silence(tmp_path, rate):
    path = write(tmp_path / "a.wav", np.full(8000, 0.2, "float32"), rate)
    for read in (AudioReader(), lambda path: sound_file.read_sound(path, 16000)):
        with pytest.raises(ValueError, match="is silent"):
            read(path)
    assert is_silent(np.zeros(0))


def test_a_rooms_response_keeps_its_mean(tmp_path):
    response = np.exp(-np.arange(800) / 100).astype("float32")
    write(tmp_path / "a.wav", response)
    assert np.array_equal(read_recordings(tmp_path, 16000, centred=False)[0].numpy(), response)
    assert abs(read_recordings(tmp_path, 16000)[0].mean()) < 1e-6


def test_a_path_that_cannot_be_is_an_audio_error():
    for read in (AudioReader(), lambda path: sound_file.read_sound(path, 16000)):
        with pytest.raises(ValueError, match=r"cannot be opened|no such file"):
            read("x" * 300 + ".wav")


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
    paths = sorted(real_data.rglob("*.flac"))[::20]
    assert len(paths) > 100
    for path in paths:
        samples = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(1)
        assert without_offset(samples) is samples, path
