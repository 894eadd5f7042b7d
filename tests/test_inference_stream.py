"""Long recordings: the stream, the timeline, and the files they are written to."""

import csv
import io
import itertools
import json
import random
import tracemalloc

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from small_model import write_small_model, write_voices

from mtlaug_sb.inference import AudioError, EmotionRecognizer, Segment
from mtlaug_sb.inference.resampling import Resampler
from mtlaug_sb.inference.segments import csv_lines, json_lines, merge, rttm_lines, write_segments
from mtlaug_sb.inference.sound_file import to_mono
from mtlaug_sb.inference.timeline_plot import plot_timeline


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = write_small_model(tmp_path_factory.mktemp("model") / "model")
    return EmotionRecognizer.from_hparams(folder, run_opts={"device": "cpu"})


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """(path, samples) of eleven seconds of several voices, as floats."""
    folder = tmp_path_factory.mktemp("recording")
    wav = np.concatenate([soundfile.read(p, dtype="float32")[0] for p in write_voices(folder)])
    soundfile.write(folder / "call.wav", wav, 16000, "FLOAT")
    return folder / "call.wav", wav


def pushed(stream, wav, sizes):
    segments, i = [], 0
    while i < len(wav):
        n = next(sizes)
        segments += stream.push(wav[i : i + n])
        i += n
    return segments + stream.finish()


def test_any_chunking_gives_the_same_segments_as_the_timeline(model, recording):
    path, wav = recording
    whole = list(model.timeline(path))
    assert len({round(s.probabilities["anger"], 3) for s in whole}) > 5
    for seed in range(4):
        draw = random.Random(seed)
        largest = (50, 3000, 40_000, len(wav))[seed]
        sizes = iter(lambda draw=draw, largest=largest: draw.randint(1, largest), None)
        assert pushed(model.stream(), wav, sizes) == whole  # to the bit


@pytest.mark.parametrize("rate", [44100, 8000, 22050])
def test_any_chunking_at_another_rate_and_in_stereo(model, recording, tmp_path, rate):
    wav = recording[1][: 5 * 16000]  # another rate makes it another voice, which does not matter here
    stereo = np.stack([wav, 0.5 * wav], 1)
    soundfile.write(tmp_path / "a.wav", stereo, rate, "FLOAT")
    whole = list(model.timeline(tmp_path / "a.wav", window_s=1, hop_s=0.5))
    assert len(whole) > 2
    draw = random.Random(0)
    assert pushed(model.stream(rate, 1, 0.5), stereo, iter(lambda: draw.randint(1, 7000), None)) == whole


@pytest.mark.real_data
def test_stream_equals_timeline_on_real_speech(model, real_data, tmp_path):
    wav = np.concatenate([soundfile.read(p, dtype="float32")[0] for p in sorted(real_data.glob("emodb/wav/*"))[:8]])
    soundfile.write(tmp_path / "a.wav", wav, 16000, "FLOAT")
    draw = random.Random(0)
    whole = list(model.timeline(tmp_path / "a.wav"))
    assert pushed(model.stream(), wav, iter(lambda: draw.randint(1, 9000), None)) == whole


def test_segments_are_those_of_windows_answered_alone(model, recording):
    wav = recording[1]
    segments = list(model.timeline(recording[0], window_s=2, hop_s=0.5))
    for k in (0, 3, 7):
        alone = model.classify_batch(torch.from_numpy(wav[8000 * k : 8000 * k + 32000])).scores[0].tolist()
        assert list(segments[k].probabilities.values()) == pytest.approx(alone, abs=1e-6)
    last = model.classify_batch(torch.from_numpy(wav[-32000:])).scores[0].tolist()
    assert list(segments[-1].probabilities.values()) == pytest.approx(last, abs=1e-6)


@pytest.mark.parametrize("seconds", [0.05, 1.0, 3.0, 3.01, 4.0, 6.7])
def test_segments_follow_each_other_without_a_gap(model, seconds):
    wav = np.random.default_rng(0).normal(size=round(seconds * 16000)).astype(np.float32) * 0.1
    stream = model.stream()
    segments = [*stream.push(wav), *stream.finish()]
    assert segments[0].start_s == 0
    assert segments[-1].end_s == pytest.approx(seconds)
    for one, two in itertools.pairwise(segments):
        assert one.end_s == two.start_s
    assert all(sum(s.probabilities.values()) == pytest.approx(1, abs=1e-6) for s in segments)


def test_answers_come_as_soon_as_their_window_is_full(model):
    stream = model.stream(window_s=1.0, hop_s=0.5)
    wav = np.random.default_rng(0).normal(size=16000).astype(np.float32) * 0.1
    assert stream.push(wav[:-1]) == []
    (segment,) = stream.push(wav[-1:])
    assert (segment.start_s, segment.end_s) == (0.0, 0.75)


def test_silence_and_unsure(model, recording):
    wav = np.concatenate([np.zeros(16000 * 8, np.float32), recording[1][: 16000 * 4]])
    stream = model.stream(unsure_below=1.0)
    labels = {s.label for s in [*stream.push(wav), *stream.finish()]}
    assert labels == {"silence", "unsure"}


def test_nothing_pushed_gives_nothing(model):
    stream = model.stream()
    assert [*stream.push(np.zeros(0, np.float32)), *stream.finish(), *stream.finish()] == []
    with pytest.raises(ValueError, match="is finished"):
        stream.push(np.zeros(1, np.float32))


def test_bad_chunks_and_settings_are_refused(model, tmp_path):
    with pytest.raises(AudioError, match="NaN"):
        model.stream().push(np.array([np.nan], np.float32))
    with pytest.raises(AudioError, match="samples must be"):
        model.stream().push(np.zeros((2, 2, 2), np.float32))
    with pytest.raises(ValueError, match="longer than window_s"):
        model.stream(window_s=1, hop_s=2)
    with pytest.raises(ValueError, match="sample_rate"):
        model.stream(sample_rate=44100.5)
    with pytest.raises(AudioError, match="no such file"):  # at once, not at the first segment
        model.timeline(tmp_path / "missing.wav")


def test_whole_numbers_are_steps_of_full_scale():
    assert to_mono(np.array([16384, -32768], np.int16)).tolist() == [0.5, -1.0]
    assert to_mono(np.array([[1.0, 0.0]])).tolist() == [0.5]


def test_memory_does_not_grow_with_the_recording(model, tmp_path, monkeypatch):
    monkeypatch.setattr(model, "answer_alone", lambda samples: [0.25] * 4)  # not the network's memory
    peaks = []
    for seconds in (40, 200):
        with soundfile.SoundFile(tmp_path / "long.wav", "w", 44100, 2) as file:
            for _ in range(seconds // 20):
                file.write(np.random.default_rng(0).normal(size=(44100 * 20, 2)) * 0.1)
        tracemalloc.start()
        assert sum(1 for _ in model.timeline(tmp_path / "long.wav")) == pytest.approx(seconds, abs=3)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 60e6


# ---------------------------------------------------------------------- resampling


@pytest.mark.parametrize(
    "rates", [(8000, 16000), (44100, 16000), (48000, 16000), (22050, 16000), (16000, 8000), (16000, 16000)]
)
def test_resampling_is_torchaudios(rates):
    wav = np.random.default_rng(0).normal(size=20_011).astype(np.float32)
    resampler = Resampler(*rates)
    ours = np.concatenate([resampler.push(wav), resampler.finish()])
    theirs = torchaudio.functional.resample(torch.from_numpy(wav).double(), *rates).numpy()
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)


@pytest.mark.parametrize("rate", [16001, 399_989, 1000])
def test_resampling_of_odd_rates_stays_small(rate):
    tracemalloc.start()
    resampler = Resampler(rate, 16000)
    out = np.concatenate([resampler.push(np.ones(rate // 10, np.float32)), resampler.finish()])
    assert tracemalloc.get_traced_memory()[1] < 400e6
    tracemalloc.stop()
    assert len(out) == -(-(rate // 10) * 16000 // rate)
    assert out[len(out) // 2] == pytest.approx(1, abs=0.01)


# ---------------------------------------------------------------------- files


SEGMENTS = [
    Segment(0.0, 1.0, "very happy", {"very happy": 0.7, "sad": 0.3}),
    Segment(1.0, 2.5, "very happy", {"very happy": 0.6, "sad": 0.4}),
    Segment(2.5, 3.0, "silence", {"very happy": 0.5, "sad": 0.5}),
    Segment(3.0, 4.0, "sad", {"very happy": 0.1, "sad": 0.9}),
]
LABELS = ["very happy", "sad"]


def test_csv_json_and_rttm():
    rows = list(csv.DictReader(io.StringIO("".join(csv_lines(SEGMENTS, LABELS)))))
    assert [r["label"] for r in rows] == [s.label for s in SEGMENTS]
    assert rows[1] == {
        "start_s": "1.000",
        "end_s": "2.500",
        "label": "very happy",
        "p_very happy": "0.600000",
        "p_sad": "0.400000",
    }
    assert json.loads("".join(json_lines(SEGMENTS)))[3]["probabilities"] == {"very happy": 0.1, "sad": 0.9}
    assert json.loads("".join(json_lines([]))) == []
    lines = [line.split() for line in rttm_lines(SEGMENTS, "my call")]
    assert all(len(line) == 10 and line[:3] == ["SPEAKER", "my_call", "1"] for line in lines)
    assert [(line[3], line[4], line[7]) for line in lines] == [("0.000", "2.500", "very_happy"), ("3.000", "1.000", "sad")]


def test_merging_weighs_by_time():
    merged = list(merge(SEGMENTS))
    assert [(s.start_s, s.end_s) for s in merged] == [(0.0, 2.5), (2.5, 3.0), (3.0, 4.0)]
    assert merged[0].probabilities["sad"] == pytest.approx((0.3 * 1 + 0.4 * 1.5) / 2.5)


def test_written_by_ending_and_as_a_picture(tmp_path):
    for kind in ("csv", "json", "rttm"):
        write_segments(SEGMENTS, tmp_path / f"a.{kind}", LABELS)
        assert (tmp_path / f"a.{kind}").stat().st_size > 100
    with pytest.raises(ValueError, match="csv, json or rttm, not 'txt'"):
        write_segments(SEGMENTS, tmp_path / "a.txt", LABELS)
    plot_timeline(SEGMENTS, LABELS, tmp_path / "a.png", "$call_1.wav$")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
