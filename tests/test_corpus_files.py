"""What all readers have in common: where they look, and what they pass over."""

import re

import pytest
from trees import lay_out

from mtlaug_sb import make
from mtlaug_sb.corpora.folder import Folder
from mtlaug_sb.corpora.librispeech import LibriSpeech
from mtlaug_sb.corpora.msp_improv import MSPImprov
from mtlaug_sb.corpus_files import files_below
from mtlaug_sb.robustness.surroundings import read_environments

TURN = "[1.0 - 2.0]\tSes02F_impro01_F000\tneu\t[2.5, 2.0, 3.0]\n"
ONE_OF = {  # in its own folder, with an ending in capitals where there may be one
    "emodb": {"part/03a01Wa.WAV": None},
    "ravdess": {"part/03-01-05-01-01-01-02.WAV": None},
    "cremad": {"part/1001_IEO_ANG_HI.WAV": None},
    "demand": {"part/TCAR/CH01.WAV": None},
    "librispeech": {"part/9/1/9-1-0000.FLAC": None},
    "msp_improv": {"part/MSP-IMPROV-S01A-F01-P-FM01.WAV": None, "Evalution.txt": "UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2;"},
    "iemocap": {
        "part/dialog/EmoEvaluation/Ses02F_impro01.txt": TURN,
        "part/sentences/wav/Ses02F_impro01/Ses02F_impro01_F000.WAV": None,
    },
    "folder": {"part/a.WAV": None},
}


@pytest.mark.parametrize("corpus", ONE_OF)
def test_readers_follow_links_and_take_endings_in_capitals(tmp_path, corpus):
    lay_out(tmp_path / "corpus", {name: text for name, text in ONE_OF[corpus].items() if "part/" not in name})
    lay_out(tmp_path / "disk", {name: text for name, text in ONE_OF[corpus].items() if "part/" in name})
    (tmp_path / "corpus").mkdir(exist_ok=True)
    (tmp_path / "corpus" / "part").symlink_to(tmp_path / "disk" / "part", target_is_directory=True)
    assert len(list(make(f"corpus/{corpus}").read(str(tmp_path / "corpus")))) == 1


def test_a_folder_is_entered_once(tmp_path):
    lay_out(tmp_path, ["a/x.wav", "b/y.flac", "b/._y.flac", "b/notes.txt"])
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)  # a ring
    (tmp_path / "c").symlink_to(tmp_path / "b", target_is_directory=True)
    assert [p.relative_to(tmp_path).as_posix() for p in files_below(tmp_path)] == ["a/x.wav", "b/y.flac"]


def test_librispeech_with_what_macs_and_old_tables_leave(tmp_path):
    chapter = "dev-clean/9999/1/"
    lay_out(tmp_path, [f"{chapter}9999-1-0000.flac", "train-clean-5/9999/1/9999-1-0000.flac", "x/03-01-05-01-01-01-01.wav"])
    texts = {f"{chapter}9999-1.trans.txt": b"\xef\xbb\xbf9999-1-0000 ONE\n", f"{chapter}._9999-1.trans.txt": b"\x00\xff"}
    lay_out(tmp_path, texts | {"SPEAKERS.TXT": "9999 | M | dev-clean | 8 | J\xfcrgen\n".encode("latin-1")})
    (found,) = LibriSpeech().read(tmp_path)
    assert (found.id, found.labels) == ("9999-1-0000", {"gender": "male", "transcript": "ONE"})
    assert len(list(LibriSpeech(splits="dev-clean").read(tmp_path))) == 1


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("path,transcript,speaker,emotion\na.wav,hello, world,s1,anger\n", "line 2 has 5 cells, the header has 4"),
        ("path,emotion,emotion\na.wav,anger,fear\n", "has two columns 'emotion'"),
        (f"path,text\na.wav,{'x' * 200_000}\n", "line 2: field larger than"),
        ("", r"needs a column 'path', has \[\]"),
    ],
)
def test_tables_that_would_be_misread_are_refused(tmp_path, table, message):
    file = lay_out(tmp_path, {"list.csv": table}) / "list.csv"
    with pytest.raises(ValueError, match=f"{re.escape(str(file))}: {message}"):
        list(Folder().read(file))


def test_blanks_in_a_table_do_not_count(tmp_path):
    text = "path, speaker ,emotion\na.wav,anna ,anger\n  ,\n\nb.wav, anna, fear,,\n"
    found = list(Folder().read(lay_out(tmp_path, {"list.csv": text}) / "list.csv"))
    assert [(u.speaker, u.labels) for u in found] == [("anna", {"emotion": "anger"}), ("anna", {"emotion": "fear"})]


def test_raw_samples_do_not_say_their_rate_and_are_passed_over(tmp_path):
    assert [u.id for u in Folder().read(lay_out(tmp_path, ["a.wav", "b.raw"]))] == ["a"]


def test_msp_improv_takes_the_text_that_has_labels(tmp_path):
    files = ONE_OF["msp_improv"] | {"Documents/Evaluation.txt": "How the evaluation was done.\n", "Evaluation.txt": ""}
    (found,) = MSPImprov().read(lay_out(tmp_path, files))
    assert found.labels["emotion"] == "neutral"
    assert len(list(MSPImprov().read(tmp_path / "part"))) == 1  # the labels are beside it
    (tmp_path / "Evalution.txt").write_text("nothing\n")
    with pytest.raises(ValueError, match=r"Evaluation.txt: has no line like 'UTD-IMPROV-"):
        list(MSPImprov().read(tmp_path))


@pytest.mark.parametrize("corpus", ["msp_improv", "iemocap"])
def test_labels_without_any_recording(tmp_path, corpus):
    lay_out(tmp_path, {name: text for name, text in ONE_OF[corpus].items() if text})
    with pytest.raises(FileNotFoundError, match=r"1 label.*, and no.* recording"):
        list(make(f"corpus/{corpus}").read(tmp_path))


@pytest.mark.parametrize("name", ["VideoDemographics.csv", "summaryTable.csv"])
def test_cremad_tables_that_are_none(tmp_path, name):
    stub = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    lay_out(tmp_path, ONE_OF["cremad"] | {name: stub})
    with pytest.raises(ValueError, match=rf"{name}: has no column '\w+'; it is a Git LFS pointer"):
        list(make("corpus/cremad").read(tmp_path))
    (tmp_path / name).write_bytes(b"ActorID,Age,Sex,FileName,VoiceVote\n1001\nJ\xfcrgen\n")
    assert len(list(make("corpus/cremad").read(tmp_path))) == 1


def test_noise_beside_demands_folders_is_heard_too(tmp_path):
    files = ["TCAR_16k/ch01.wav", "TCAR_16k/ch02.wav", "TCAR_48k/ch03.wav", "rain/1.wav", "rain/2.wav", "factory1/ch01.wav"]
    files += ["kitchen/ch01.wav", "kitchen/ch02.wav", "kitchen/take2.wav", "tcar/1.wav"]
    found = read_environments(lay_out(tmp_path, files), lambda path: path)
    assert {e: [p.removeprefix(f"{tmp_path}/") for p in paths] for e, paths in found.items()} == {
        "TCAR": ["TCAR_16k/ch01.wav"],
        "factory1": ["factory1/ch01.wav"],
        "kitchen": ["kitchen/ch01.wav", "kitchen/take2.wav"],  # no folder of DEMAND, which has channels only
        "tcar": ["tcar/1.wav"],
        "rain": ["rain/1.wav", "rain/2.wav"],
    }
