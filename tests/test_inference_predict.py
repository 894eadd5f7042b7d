"""recipes/predict.py as a user runs it."""

import csv
import io
import json
import os
import subprocess
import sys

import predict
import pytest
from conftest import ROOT
from small_model import write_small_model, write_voices

from mtlaug_sb.inference import EmotionRecognizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    return write_voices(tmp_path_factory.mktemp("voices") / "deep" / "er", n=4)


@pytest.fixture
def run(folder, tmp_path):
    """Answer into a file: run(arguments...) -> (status, text)."""

    def call(*arguments):
        out = tmp_path / "out"
        out.unlink(missing_ok=True)
        status = predict.main([str(folder), *map(str, arguments), "--output", str(out), "--device", "cpu"])
        return status, out.read_text()

    return call


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_files_in_the_order_given(run, voices, folder):
    status, text = run(voices[2], voices[0], voices[1])
    assert status == 0
    assert [r["path"] for r in rows(text)] == [str(voices[i]) for i in (2, 0, 1)]
    model = EmotionRecognizer.from_hparams(folder, run_opts={"device": "cpu"})
    for row in rows(text):
        scores = model.classify_file(row["path"]).scores[0].tolist()
        assert [float(row[f"p_{n}"]) for n in model.labels] == pytest.approx(scores, abs=2e-6)
        assert row["label"] == model.labels[scores.index(max(scores))]


def test_answers_over_several_speeds(run, voices, folder):
    status, text = run(*voices, "--speeds", 90, 110)
    assert status == 0
    model = EmotionRecognizer.from_hparams(folder, overrides={"speeds": [90, 110]}, run_opts={"device": "cpu"})
    for row in rows(text):
        scores = model.classify_file(row["path"]).scores[0].tolist()
        assert [float(row[f"p_{n}"]) for n in model.labels] == pytest.approx(scores, abs=2e-6)
    assert text != run(*voices)[1]
    with pytest.raises(ValueError, match=r"speeds must be .* without 100, is \[100\]"):
        run(*voices, "--speeds", 100)


def test_what_is_usual_for_a_speaker(run, voices, folder):
    status, text = run(voices[0], "--speaker", *voices)
    assert status == 0
    model = EmotionRecognizer.from_hparams(folder, run_opts={"device": "cpu"})
    before = model.classify_file(voices[0]).scores[0].tolist()
    model.adapt_to_speaker(voices)
    after = model.classify_file(voices[0]).scores[0].tolist()
    given = [float(rows(text)[0][f"p_{name}"]) for name in model.labels]
    assert given == pytest.approx(after, abs=2e-6)
    assert given != pytest.approx(before, abs=1e-3)
    with pytest.raises(FileNotFoundError, match=r"--speaker: no audio file none\.wav"):
        predict.main([str(folder), str(voices[0]), "--speaker", "none.wav"])


def test_a_speaker_with_a_bad_recording_on_a_timeline(run, voices, tmp_path, capsys):
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    asked = (voices[0], "--timeline", "--speaker")
    status, text = run(*asked, *voices, tmp_path / "bad.wav")
    assert status == 0  # what was asked for is there
    assert "--speaker: " in (err := capsys.readouterr().err)
    assert "bad.wav" in err
    assert rows(text) == rows(run(*asked, *voices)[1])
    assert rows(text) != rows(run(*asked[:2])[1])


def test_folders_recursively_with_other_tasks_as_json(run, voices):
    (voices[0].parent / "notes.txt").write_text("no audio")
    status, text = run(voices[0].parents[2], "--format", "json", "--tasks", "augmentation")
    assert status == 0
    records = json.loads(text)
    assert [r["path"] for r in records] == [str(v) for v in voices]
    assert sum(records[0]["tasks"]["augmentation"].values()) == pytest.approx(1, abs=1e-5)


def test_bad_files_are_skipped_and_status_is_1(run, voices, tmp_path, capsys):
    (tmp_path / "bad.wav").write_text("no audio")
    status, text = run(tmp_path / "missing.wav", voices[1], tmp_path / "bad.wav", voices[0])
    assert status == 1
    assert [r["path"] for r in rows(text)] == [str(voices[1]), str(voices[0])]
    said = capsys.readouterr().err
    assert "bad.wav: not readable as audio" in said
    assert "missing.wav: no such file" in said
    assert "2 of 4 files could not be used" in said


@pytest.mark.parametrize("kind", ["csv", "json", "rttm"])
def test_timeline(run, voices, kind, tmp_path):
    options = ["--timeline", "--window_s", "1", "--hop_s", "0.5", "--format", kind, "--plot", tmp_path / "plots"]
    status, text = run(*voices[:2], *options)
    assert status == 0
    assert sorted(p.name for p in (tmp_path / "plots").iterdir()) == ["0.wav.png", "1.wav.png"]
    if kind == "rttm":
        assert all(len(line.split()) == 10 for line in text.splitlines())
        return
    segments = rows(text) if kind == "csv" else json.loads(text)
    assert {s["path"] for s in segments} == {str(v) for v in voices[:2]}
    assert len(segments) > 4
    merged = rows(run(*voices[:2], *options[:5], "--merge")[1])
    assert len(merged) <= len(segments)


def test_among(run, voices):
    status, text = run(*voices, "--among", "anger,happiness")
    assert status == 0
    assert {r["label"] for r in rows(text)} <= {"anger", "happiness"}
    assert all(float(r["p_neutral"]) == 0.0 for r in rows(text))


def test_unsure(run, voices):
    assert {r["label"] for r in rows(run(voices[0], "--unsure_below", 1)[1])} == {"unsure"}


@pytest.mark.parametrize(
    "arguments",
    [
        ["MODEL"],
        ["MODEL", "VOICE", "--format", "xml"],
        ["MODEL", "VOICE", "--batch", "2"],
        ["MODEL", "VOICE", "--batch_size", "0"],
        ["MODEL", "VOICE", "--merge"],
    ],
)
def test_wrong_usage_is_2(folder, voices, arguments, capsys):
    words = {"MODEL": str(folder), "VOICE": str(voices[0])}
    with pytest.raises(SystemExit) as info:
        predict.main([words.get(a, a) for a in arguments])
    assert info.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--tasks", "age"], "no task 'age'"),
        (["--unsure_below", "7"], "must be a number"),
        (["--device", "x"], "device 'x'"),
    ],
)
def test_wrong_values_are_errors(folder, voices, arguments, says):
    with pytest.raises(ValueError, match=says):
        predict.main([str(folder), str(voices[0]), *arguments])


def test_no_model_is_2(voices):
    done = _as_a_process(["/nowhere", str(voices[0])])
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert "error: " in done.stderr


def test_as_a_process(folder, voices, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    done = _as_a_process([str(folder), str(tmp_path / "bad.wav"), str(voices[0])])
    assert done.returncode == 1
    assert [r["path"] for r in rows(done.stdout)] == [str(voices[0])]
    assert "bad.wav" in done.stderr


def _as_a_process(arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "recipes" / "predict.py"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
