"""CREMA-D's reader on generated trees in its format, traps included."""

from collections import Counter

import pytest
from trees import lay_out

from mtlaug_sb.corpora.cremad import CREMAD
from mtlaug_sb.dataio.audio import AudioError, AudioReader
from mtlaug_sb.dataio.corpus_manifest import build_manifest

NAMES = ["1001_IEO_ANG_HI", "1001_IEO_NEU_XX", "1002_DFA_FEA_XX", "1040_ITH_SAD_X", "1091_WSI_HAP_XX"]
PEOPLE = '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n1002,"","Female","",""\n'
VOTES = (
    '"","FileName","VoiceVote","VoiceLevel","FaceVote"\n'
    '"1","1001_IEO_ANG_HI","D","60","A"\n"2","1001_IEO_NEU_XX","N:S","50:50","N"\n'
    '"3","1002_DFA_FEA_XX","F","70","A"\n"4","1040_ITH_SAD_XX","S","70","S"\n'
)


@pytest.fixture
def tree(tmp_path):
    others = [
        "AudioWAV/._1001_IEO_ANG_HI.wav",
        "AudioWAV/readme.txt",
        "AudioWAV/1000_IEO_ANG_HI.wav",  # actors are 1001 to 1091
        "AudioWAV/1092_IEO_ANG_HI.wav",
        "AudioMP3/1001_IEO_ANG_HI.mp3",
        "copy/1001_IEO_ANG_HI.wav",
    ]
    lay_out(tmp_path, [*(f"AudioWAV/{n}.wav" for n in NAMES), *others])
    return lay_out(tmp_path, {"VideoDemographics.csv": PEOPLE, "processedResults/summaryTable.csv": VOTES})


def read(folder, **options):
    return {u.id: u for u in CREMAD(**options).read(str(folder))}


def test_labels_from_names_and_tables(tree):
    found = read(tree)
    assert list(found) == NAMES
    assert found["1001_IEO_ANG_HI"].speaker == "1001"
    assert found["1001_IEO_ANG_HI"].path == str(tree / "AudioWAV/1001_IEO_ANG_HI.wav")
    assert found["1001_IEO_ANG_HI"].labels == {
        "emotion": "anger", "acted_emotion": "anger", "perceived_emotion": "disgust", "intensity": 3.0, "text": "IEO",
        "gender": "male", "age": 51.0,
    }  # fmt: skip
    assert found["1002_DFA_FEA_XX"].labels == {
        "emotion": "fear", "acted_emotion": "fear", "perceived_emotion": "fear", "text": "DFA", "gender": "female",
    }  # fmt: skip
    assert found["1040_ITH_SAD_X"].labels == {
        "emotion": "sadness", "acted_emotion": "sadness", "perceived_emotion": "sadness", "text": "ITH",
    }  # fmt: skip
    assert "perceived_emotion" not in found["1001_IEO_NEU_XX"].labels


def test_the_perceived_label_leaves_ties_and_recordings_without_votes_out(tree):
    assert {k: u.labels["emotion"] for k, u in read(tree, label="perceived").items()} == {
        "1001_IEO_ANG_HI": "disgust", "1002_DFA_FEA_XX": "fear", "1040_ITH_SAD_X": "sadness",
    }  # fmt: skip


def test_the_tables_are_found_beside_the_audio_folder(tree):
    found = read(tree / "AudioWAV", label="perceived")
    assert found["1001_IEO_ANG_HI"].labels["age"] == 51.0
    (tree / "processedResults/summaryTable.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"summaryTable\.csv"):
        read(tree, label="perceived")
    assert list(read(tree)) == NAMES
    with pytest.raises(ValueError, match="'acted' or 'perceived', is 'voice'"):
        CREMAD(label="voice")


def test_git_lfs_pointers_are_refused(tree):
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 80000\n"
    lay_out(tree, dict.fromkeys([f"AudioWAV/{n}.wav" for n in NAMES], pointer))
    with pytest.raises(AudioError, match=r"5 of 5 files of corpus 'cremad' cannot be used.*Git LFS pointer"):
        build_manifest(CREMAD(), tree, AudioReader())


def test_the_published_numbers_are_checked(tmp_path, caplog):
    names = [
        f"{1001 + k % 91}_{'ABCDEFGHIJKLMN'[k // 91]}AA_{e}_XX"
        for e in ("ANG", "DIS", "FEA", "HAP", "SAD")
        for k in range(1271)
    ]
    names += [f"{1001 + k % 91}_{'ABCDEFGHIJKLMN'[k // 91]}AA_NEU_XX" for k in range(1087)]
    lay_out(tmp_path, [f"AudioWAV/{n}.wav" for n in names])
    assert Counter(u.labels["emotion"] for u in read(tmp_path).values())["neutral"] == 1087
    assert caplog.text == ""
    (tmp_path / "AudioWAV" / f"{names[0]}.wav").unlink()
    read(tmp_path)
    assert [r.message for r in caplog.records] == [
        "corpus 'cremad' is not as published: 7441 of 7442 recordings; anger 1270 of 1271"
    ]
