"""LibriSpeech's reader: splits, transcripts, and a budget of hours."""

import numpy as np
import pytest
import soundfile
from trees import lay_out

from mtlaug_sb.corpora.librispeech import LibriSpeech


def test_librispeech_with_transcripts_and_genders(tmp_path):
    chapter = "dev-clean/9999/1/9999-1"
    lay_out(tmp_path, [f"{chapter}-0000.flac", f"{chapter}-0001.flac", "test-clean/8888/2/8888-2-0000.flac"])
    lay_out(tmp_path, {"dev-clean/9999/1/._9999-1-0001.flac": b"x", "dev-clean-2/7777/1/7777-1-0000.wav": b"x"})
    text = "; comment | x\n9999 | F | dev-clean | 8.00 | A|B Reader\n"
    lay_out(tmp_path, {f"{chapter}.trans.txt": "9999-1-0000 AN INVENTED SENTENCE\n", "SPEAKERS.TXT": text})
    everything = list(LibriSpeech().read(tmp_path))
    assert [u.id for u in everything] == ["9999-1-0000", "9999-1-0001", "7777-1-0000", "8888-2-0000"]
    assert everything[0].labels == {"gender": "female", "transcript": "AN INVENTED SENTENCE"}
    assert everything[1].labels == {"gender": "female"}
    assert everything[3].labels == {}
    assert [u.speaker for u in LibriSpeech(splits=["test-clean"]).read(tmp_path)] == ["8888"]
    assert len(list(LibriSpeech(splits=["dev-clean"]).read(tmp_path / "dev-clean"))) == 2
    assert [u.speaker for u in LibriSpeech(splits=["dev-clean-2"]).read(tmp_path)] == ["7777"]  # of mini LibriSpeech
    assert len(list(LibriSpeech(splits=["dev-clean", "dev-clean"]).read(tmp_path))) == 2
    with pytest.raises(FileNotFoundError, match="train-clean-100"):
        list(LibriSpeech(splits=["train-clean-100"]).read(tmp_path))


@pytest.fixture
def speech(tmp_path):
    """Three speakers with 4, 4 and 40 utterances of 9 s, at 100 Hz: 0.12 h."""
    for speaker, n in (("11", 4), ("22", 4), ("33", 40)):
        folder = tmp_path / "here" / "train-clean-5" / speaker / "1"
        folder.mkdir(parents=True)
        for k in range(n):
            soundfile.write(folder / f"{speaker}-1-{k:04}.flac", np.zeros(900), 100)
    return tmp_path / "here"


def drawn(folder, **options):
    return [u.id for u in LibriSpeech(**options).read(folder)]


def test_hours_are_drawn_from_all_speakers_in_turn(speech):
    some = drawn(speech, hours=0.03)
    assert len(some) == 12  # 12 x 9 s are 0.03 h
    assert some == sorted(some)
    assert [sum(u.startswith(s) for u in some) for s in ("11", "22", "33")] == [4, 4, 4]
    assert len(drawn(speech, hours=0.031)) == 13


def test_the_draw_follows_the_seed_and_nothing_else(speech, tmp_path):
    first = drawn(speech, hours=0.05)
    assert first == drawn(speech, hours=0.05, splits=["train-clean-5"])
    assert first != drawn(speech, hours=0.05, seed=1)
    assert set(drawn(speech, hours=0.03)) < set(first)  # a smaller budget is a part of a larger one
    speech.rename(tmp_path / "elsewhere")
    assert first == drawn(tmp_path / "elsewhere", hours=0.05)


def test_a_budget_that_is_not_there(speech, caplog):
    assert len(drawn(speech, hours=1)) == 48
    assert "has 0.1 h, not the 1 h asked for" in caplog.text
    with pytest.raises(ValueError, match="hours must be above 0, is 0"):
        LibriSpeech(hours=0)


def test_an_unreadable_file_is_left_to_whoever_reads_it(speech):
    (speech / "train-clean-5/11/1/11-1-0000.flac").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    assert "11-1-0000" in drawn(speech, hours=0.1)


@pytest.mark.real_data
def test_real_librispeech(real_data):
    found = list(LibriSpeech(splits=["dev-clean"]).read(real_data / "librispeech"))
    assert len(found) > 150
    assert len({u.speaker for u in found}) == 5
    assert all({"gender", "transcript"} <= set(u.labels) for u in found)
