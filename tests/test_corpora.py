"""Corpus readers on generated trees in their format, and on the real files where they are."""

from collections import Counter

import numpy as np
import pytest
import soundfile

from mtlaug_sb.corpora.emodb import EMODB
from mtlaug_sb.corpora.folder import Folder
from mtlaug_sb.corpora.librispeech import LibriSpeech
from mtlaug_sb.corpora.ravdess import RAVDESS
from mtlaug_sb.corpora.synthetic import Synthetic


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_emodb(tmp_path):
    for name in (
        "wav/99a01Wa.wav",
        "wav/03b09Nc.WAV",
        "wav/08a05Tb.flac",
        "silb/99a01Wa.sil",
        "wav/readme.txt",
        "wav/xx.wav",
    ):
        touch(tmp_path / name)
    found = {u.id: u for u in EMODB().read(tmp_path)}
    assert {k: (u.speaker, u.labels["emotion"], u.labels["gender"]) for k, u in found.items()} == {
        "99a01Wa": ("99", "anger", "female"),
        "03b09Nc": ("03", "neutral", "male"),
        "08a05Tb": ("08", "sadness", "female"),
    }


def test_ravdess_counts_doubles_once_and_passes_songs_over(tmp_path):
    for name in (
        "Actor_01/03-01-05-02-01-01-01.wav",
        "copy/Actor_01/03-01-05-02-01-01-01.wav",
        "Actor_24/03-01-01-01-02-02-24.wav",
        "Actor_24/03-02-01-01-02-02-24.wav",
        "Actor_24/01-01-01-01-02-02-24.mp4",
    ):
        touch(tmp_path / name)
    found = {u.id: u for u in RAVDESS().read(tmp_path)}
    assert {k: (u.speaker, *u.labels.values()) for k, u in found.items()} == {
        "03-01-05-02-01-01-01": ("01", "anger", "male", 2.0, "01"),
        "03-01-01-01-02-02-24": ("24", "neutral", "female", 1.0, "02"),
    }


def test_librispeech_with_transcripts_and_genders(tmp_path):
    touch(tmp_path / "dev-clean/9999/1/9999-1-0000.flac")
    touch(tmp_path / "dev-clean/9999/1/9999-1-0001.flac")
    touch(tmp_path / "test-clean/8888/2/8888-2-0000.flac")
    (tmp_path / "dev-clean/9999/1/9999-1.trans.txt").write_text("9999-1-0000 AN INVENTED SENTENCE\n")
    (tmp_path / "SPEAKERS.TXT").write_text("; comment | x\n9999 | F | dev-clean | 8.00 | A|B Reader\n")
    everything = list(LibriSpeech().read(tmp_path))
    assert [u.id for u in everything] == ["9999-1-0000", "9999-1-0001", "8888-2-0000"]
    assert everything[0].labels == {"gender": "female", "transcript": "AN INVENTED SENTENCE"}
    assert everything[1].labels == {"gender": "female"}
    assert everything[2].labels == {}
    assert [u.speaker for u in LibriSpeech(splits=["test-clean"]).read(tmp_path)] == ["8888"]
    assert len(list(LibriSpeech(splits=["dev-clean"]).read(tmp_path / "dev-clean"))) == 2
    with pytest.raises(FileNotFoundError, match="train-clean-100"):
        list(LibriSpeech(splits=["train-clean-100"]).read(tmp_path))


def test_folder_and_csv(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.ones(10), 16000)
    touch(tmp_path / "Angry/b.ogg")
    touch(tmp_path / "Angry/._b.ogg")
    touch(tmp_path / "Angry/notes.txt")
    found = list(Folder(label_from_folder="emotion", rename={"Angry": "anger"}).read(tmp_path))
    assert [(u.id, u.labels["emotion"]) for u in found] == [("Angry/b", "anger"), ("a", tmp_path.name)]
    table = tmp_path / "list.csv"
    table.write_text("path,speaker,emotion,arousal\na.wav,03,Angry,2.5\nAngry/b.ogg,,,\n")
    first, second = Folder(rename={"Angry": "anger"}).read(table)
    assert (first.id, first.speaker, first.labels) == ("a.wav", "03", {"emotion": "anger", "arousal": "2.5"})
    assert (second.speaker, second.labels) == (None, {})
    table.write_text("file\na.wav\n")
    with pytest.raises(ValueError, match="needs a column 'path'"):
        list(Folder().read(table))


def test_synthetic_is_the_same_twice_and_says_what_it_is(tmp_path):
    first, second = (list(Synthetic(n_speakers=2, n_utterances=1).read(tmp_path / n)) for n in "ab")
    assert len(first) == 8
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(soundfile.read(a.path)[0], soundfile.read(b.path)[0])
    assert {u.labels["gender"] for u in first} == {"female", "male"}
    assert "SYNTHETIC" in Synthetic.notice
    with pytest.raises(FileExistsError, match="generated with"):
        list(Synthetic(n_speakers=3).read(tmp_path / "a"))


@pytest.mark.real_data
def test_real_emodb(real_data):
    found = list(EMODB().read(real_data / "emodb"))
    emotions = Counter(u.labels["emotion"] for u in found)
    assert {e: emotions[e] for e in ("anger", "happiness", "neutral", "sadness")} == {
        "anger": 127, "happiness": 71, "neutral": 79, "sadness": 62,
    }  # fmt: skip
    assert {u.speaker for u in found} == {"03", "08", "09", "10", "11", "12", "13", "14", "15", "16"}


@pytest.mark.real_data
def test_real_ravdess(real_data):
    found = list(RAVDESS().read(real_data / "ravdess"))
    emotions = Counter(u.labels["emotion"] for u in found)
    assert emotions.pop("neutral") == 96
    assert set(emotions.values()) == {192}
    assert set(Counter(u.speaker for u in found).values()) == {60}


@pytest.mark.real_data
def test_real_librispeech(real_data):
    found = list(LibriSpeech(splits=["dev-clean"]).read(real_data / "librispeech"))
    assert len(found) > 150
    assert len({u.speaker for u in found}) == 5
    assert all({"gender", "transcript"} <= set(u.labels) for u in found)
