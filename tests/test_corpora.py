"""Corpus readers on generated trees in their format, and on the real files where they are."""

import unicodedata
from collections import Counter

import numpy as np
import pytest
import soundfile
from trees import lay_out

from mtlaug_sb.corpora.emodb import EMODB
from mtlaug_sb.corpora.folder import Folder
from mtlaug_sb.corpora.ravdess import RAVDESS
from mtlaug_sb.corpora.synthetic import Synthetic, SyntheticUnlabelled
from mtlaug_sb.dataio.audio import AudioReader
from mtlaug_sb.dataio.corpus_manifest import build_manifest


def test_emodb(tmp_path):
    names = ["99a01Wa.wav", "03b09Nc.WAV", "08a05Tb.flac", "._99a01Wa.wav", "readme.txt", "xx.wav"]
    lay_out(tmp_path, [*(f"wav/{n}" for n in names), "silb/99a01Wa.sil", "labsilb/99a01Wa.lab", "copy/99a01Wa.wav"])
    utterances = list(EMODB().read(tmp_path))
    found = {u.id: u for u in utterances}
    assert len(utterances) == len(found)
    assert {k: (u.speaker, u.labels["emotion"], u.labels["gender"]) for k, u in found.items()} == {
        "99a01Wa": ("99", "anger", "female"),
        "03b09Nc": ("03", "neutral", "male"),
        "08a05Tb": ("08", "sadness", "female"),
    }


def test_ravdess_counts_doubles_once_and_passes_songs_over(tmp_path):
    names = [
        "Actor_01/03-01-05-02-01-01-01.wav",
        "Actor_01/._03-01-05-02-01-01-01.wav",
        "audio_speech_actors_01-24/Actor_01/03-01-05-02-01-01-01.wav",
        "Actor_24/03-01-01-01-02-02-24.wav",
        "Actor_24/03-02-01-01-02-02-24.wav",
        "Actor_24/01-01-01-01-02-02-24.mp4",
    ]
    lay_out(tmp_path, names)
    utterances = list(RAVDESS().read(tmp_path))
    found = {u.id: u for u in utterances}
    assert len(utterances) == len(found)
    assert {k: (u.speaker, *u.labels.values()) for k, u in found.items()} == {
        "03-01-05-02-01-01-01": ("01", "anger", "male", 2.0, "01"),
        "03-01-01-01-02-02-24": ("24", "neutral", "female", 1.0, "02"),
    }


def test_two_channel_ravdess_files_are_read_as_their_one_channel(tmp_path):
    tone = 0.1 * np.sin(np.arange(8000) / 5)
    for name, samples in (("03-01-02-01-01-02-01", np.stack([tone, tone], axis=1)), ("03-01-02-01-01-01-01", tone)):
        soundfile.write(tmp_path / f"{name}.wav", samples, 48000)
    two, one = build_manifest(RAVDESS(), tmp_path, AudioReader()).values()
    assert two["recording"] == one["recording"]


def test_ravdess_and_emodb_say_what_is_missing_in_one_line(tmp_path, caplog):
    rest = [(f"0{i}", s, t, r) for i in (1, 2) for s in ("01", "02") for t in ("01", "02") for r in range(1, 25)]
    names = [f"03-01-{e:02}-{i}-{s}-{t}-{r:02}.wav" for e in range(1, 9) for i, s, t, r in rest if (e, i) != (1, "02")]
    lay_out(tmp_path, names)
    assert len(list(RAVDESS().read(tmp_path))) == 1440
    assert caplog.text == ""
    (tmp_path / names[0]).unlink()
    list(RAVDESS().read(tmp_path))
    letters = [letter for letter, n in zip("WLEAFTN", (127, 9, 32, 57, 71, 62, 79), strict=True) for _ in range(n)]
    versions = [(f"{k:02}", v) for k in range(1, 100) for v in "abcdef"]
    lay_out(tmp_path, [f"{k}a01{e}{v}.wav" for (k, v), e in zip(versions, letters, strict=False)])
    list(EMODB().read(tmp_path))
    assert [r.message for r in caplog.records] == [
        "corpus 'ravdess' is not as published: 1439 of 1440 recordings; neutral 95 of 96",
        "corpus 'emodb' is not as published: 437 of 535 recordings; boredom 9 of 81, disgust 32 of 46, fear 57 of 69",
    ]


def test_folder_and_csv(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.ones(10), 16000)
    lay_out(tmp_path, ["Angry/b.ogg", "Angry/._b.ogg", "Angry/notes.txt"])
    found = list(Folder(label_from_folder="emotion", rename={"Angry": "anger"}).read(tmp_path))
    assert [(u.id, u.labels["emotion"]) for u in found] == [("Angry/b", "anger"), ("a", tmp_path.name)]
    (found, _) = Folder(label_from_folder="speaker", rename={"Angry": "anger"}).read(tmp_path)
    assert (found.speaker, found.labels) == ("Angry", {})
    table = tmp_path / "list.csv"
    table.write_text("path,speaker,emotion,arousal\na.wav,03,Angry,2.5\nAngry/b.ogg,,,\n")
    first, second = Folder(rename={"Angry": "anger"}).read(table)
    assert (first.id, first.speaker, first.labels) == ("a.wav", "03", {"emotion": "anger", "arousal": "2.5"})
    assert (second.speaker, second.labels) == (None, {})


TABLE = """ path , id,speaker, emotion,,duration_s,note
a.wav,u1,anna, Angry ,x,1.5,"two
lines"
 ,,
/b.wav, ,,,,, sad
# short
,,,,,,,

c.wav,u3,ben,,,2,,,
"""


@pytest.mark.parametrize("chunk", [1, 2, 500])
def test_a_table_one_by_one_and_by_column(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr("mtlaug_sb.corpus_table.CHUNK", chunk)
    (tmp_path / "list.csv").write_text(TABLE)
    read = Folder(rename={"Angry": "anger"}).read(tmp_path / "list.csv")
    assert [(u.id, u.path, u.speaker, u.labels, u.duration_s) for u in read] == [
        ("u1", f"{tmp_path}/a.wav", "anna", {"emotion": "anger", "note": "two\nlines"}, 1.5),
        ("/b.wav", "/b.wav", None, {"note": "sad"}, None),
        ("# short", f"{tmp_path}/# short", None, {}, None),
        ("u3", f"{tmp_path}/c.wav", "ben", {}, 2.0),
    ]
    tables = list(read.columns())
    assert all(list(table) == ["id", "path", "speaker", "duration_s", "emotion", "note"] for table in tables)
    by_column = {key: [value for table in tables for value in table[key]] for key in tables[0]}
    assert by_column["speaker"] == ["anna", None, None, "ben"]
    assert by_column["emotion"] == ["anger", None, None, None]
    assert by_column["duration_s"] == [1.5, None, None, 2.0]


@pytest.mark.parametrize("chunk", [1, 3, 500])
@pytest.mark.parametrize(
    ("row", "says"),
    [
        (",u4,ben", "line 10 has no path"),
        ("d.wav,u4,ben,anger,,1 s", "line 10: duration_s must be a number of seconds, is '1 s'"),
        ("d.wav,u4,ben,anger,,nan", "line 10: duration_s must be a number of seconds, is 'nan'"),
        ("d.wav,u4,ben,anger,,0", "line 10: duration_s must be a number of seconds, is '0'"),
        ("d.wav,u4,ben,anger,,1,,,x", "line 10 has 9 cells, the header has 7"),
    ],
)
def test_rows_that_are_wrong_are_named_by_their_line(tmp_path, monkeypatch, chunk, row, says):
    monkeypatch.setattr("mtlaug_sb.corpus_table.CHUNK", chunk)
    (tmp_path / "list.csv").write_text(f"{TABLE}{row}\ne.wav,u5,ben\n")
    with pytest.raises(ValueError, match=says):
        list(Folder().read(tmp_path / "list.csv"))


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("file", "needs a column 'path', has \\['file'\\]$"),
        ("path;speaker;emotion", "cells are separated by commas"),
        ("path\tspeaker", "cells are separated by commas"),
        ("path,Speaker", "the column 'Speaker' must be called 'speaker'"),
        ("path,emotion,emotion", "two columns 'emotion'"),
    ],
)
def test_headers_that_do_not_say_what_is_what(tmp_path, header, says):
    table = tmp_path / "list.csv"
    table.write_text(f"{header}\na.wav\n")
    with pytest.raises(ValueError, match=says):
        list(Folder().read(table))


def test_letters_with_accents_have_one_form(tmp_path):
    table = tmp_path / "list.csv"
    apart = unicodedata.normalize("NFD", "Colère")
    assert apart != "Colère"
    table.write_text(f"path,speaker,emotion\n{apart}.wav,{apart},{apart}\n", encoding="utf-8")
    (found,) = Folder().read(table)
    assert (found.speaker, found.labels) == ("Colère", {"emotion": "Colère"})
    assert found.path.endswith(f"{apart}.wav")  # as the file is called
    (renamed,) = Folder(rename={apart: apart.lower()}).read(table)
    assert renamed.labels == {"emotion": "colère"}
    table.write_text("path,emotion\na.wav,1\n")
    assert next(iter(Folder(rename={1: "anger"}).read(table))).labels == {"emotion": "anger"}


def test_audio_that_cannot_be_read_is_passed_over_and_counted(tmp_path, caplog):
    lay_out(tmp_path, ["a.wav", "b.m4a", "c/d.M4A", "e.aac", "f.txt", "g.wave"])
    assert [u.id for u in Folder().read(tmp_path)] == ["a", "g"]
    assert [r.message.partition(": ")[2] for r in caplog.records] == [
        "passed over 1 .aac, 2 .m4a, which cannot be read: what is only there must be converted"
    ]


def test_synthetic_is_the_same_twice_and_says_what_it_is(tmp_path):
    first, second = (list(Synthetic(n_speakers=2, n_utterances=1).read(tmp_path / n)) for n in "ab")
    assert len(first) == 8
    for a, b in zip(first, second, strict=True):
        assert np.array_equal(soundfile.read(a.path)[0], soundfile.read(b.path)[0])
    assert {u.labels["gender"] for u in first} == {"female", "male"}
    assert "corpus is SYNTHETIC" in Synthetic.notice
    assert "unlabelled speech is SYNTHETIC" in SyntheticUnlabelled.notice
    with pytest.raises(FileExistsError, match="generated with"):
        list(Synthetic(n_speakers=3).read(tmp_path / "a"))


@pytest.mark.real_data
def test_real_emodb(real_data, caplog):
    found = list(EMODB().read(real_data / "emodb"))
    assert "437 of 535 recordings; boredom 9 of 81" in caplog.text
    emotions = Counter(u.labels["emotion"] for u in found)
    assert {e: emotions[e] for e in ("anger", "happiness", "neutral", "sadness")} == {
        "anger": 127, "happiness": 71, "neutral": 79, "sadness": 62,
    }  # fmt: skip
    assert {u.speaker for u in found} == {"03", "08", "09", "10", "11", "12", "13", "14", "15", "16"}


@pytest.mark.real_data
def test_real_ravdess(real_data, caplog):
    found = list(RAVDESS().read(real_data / "ravdess"))
    emotions = Counter(u.labels["emotion"] for u in found)
    assert caplog.text == ""
    assert emotions.pop("neutral") == 96
    assert set(emotions.values()) == {192}
    assert set(Counter(u.speaker for u in found).values()) == {60}
