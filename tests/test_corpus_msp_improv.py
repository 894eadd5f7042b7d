"""MSP-IMPROV's reader on generated trees in its format, traps included."""

import pytest
from trees import lay_out

from mtlaug_sb.corpora.msp_improv import MSPImprov
from mtlaug_sb.dataio.splits import keep_classes

LABELS = """UTD-IMPROV-S01A-F01-P-FM01.avi; N; A:2.600000; V:3.200000; D:2.800000 ; N:4.100000;
WORKER_0001-p1; Neutral; Neutral,Concerned; A:3.000000; V:3.000000; D:3.000000; N:4.000000;
WORKER_0002-p1; Happy; Other ("so; so", he said); A:2.000000; V:4.000000; D:NaN; N:5.000000;
WORKER_0001-p1; Neutral; Neutral; A:3.000000; V:3.000000; D:3.000000; N:4.000000;
WORKER_0003-p1; Sad; A:1; A:2.000000; V:4.000000; D:NaN; N:5.000000;

UTD-IMPROV-S20S-M06-T-MF102.avi; A; A:4.000000; V:1.500000; D:NaN ; N:NaN;
WORKER_0001-p1; Angry; ; A:3.000000; V:3.000000; D:3.000000; N:4.000000;

UTD-IMPROV-S01A-F01-R-FF03.avi; X; A:3; V:3.0; D:3.0; N:3.0;

UTD-IMPROV-S02H-F02-S-FM01.avi;O;A:3.000000;V:3.000000;D:3.000000;N:3.000000;

UTD-IMPROV-S02H-F02-S-FM02.avi; H; A:3.000000; V:3.000000; D:3.000000 ; N:3.000000;

"""
NAMES = ["S01A-F01-P-FM01", "S20S-M06-T-MF102", "S01A-F01-R-FF03", "S02H-F02-S-FM01"]


def wav(name, folder="Audio/"):
    return f"{folder}session{int(name[6:8])}/{name[:4]}/{name[9]}/MSP-IMPROV-{name}.wav"


def read(tree):
    return {u.id.removeprefix("MSP-IMPROV-"): u for u in MSPImprov().read(str(tree))}


@pytest.mark.parametrize("label_file", ["Evalution.txt", "Evaluation.txt", "labels/Evalution.txt"])
@pytest.mark.parametrize("folder", ["", "Audio/"])
def test_labels_of_either_spelling_and_recordings_anywhere(tmp_path, label_file, folder):
    lay_out(tmp_path, [wav(n, folder) for n in NAMES] + ["session1/S01A/P/._MSP-IMPROV-S01A-F01-P-FM01.wav"])
    lay_out(tmp_path, {wav("S03A-F01-P-FM01", folder): None, "._Evalution.txt": b"\x00\xff", label_file: LABELS})
    found = read(tmp_path)
    assert {
        k: (u.speaker, *(u.labels[x] for x in ("emotion", "gender", "session", "scenario"))) for k, u in found.items()
    } == {
        "S01A-F01-P-FM01": ("F01", "neutral", "female", "1", "natural"),
        "S01A-F01-R-FF03": ("F01", "no_agreement", "female", "1", "target_read"),
        "S02H-F02-S-FM01": ("F02", "other", "female", "2", "other_improvised"),
        "S20S-M06-T-MF102": ("M06", "anger", "male", "6", "target_improvised"),
    }
    records = {k: {"speaker": u.speaker, **u.labels} for k, u in found.items()}
    assert list(keep_classes(records, "emotion", ["neutral", "anger"], "msp_improv")) == [NAMES[0], NAMES[1]]


def test_values_that_are_no_numbers_are_left_out(tmp_path):
    lay_out(tmp_path, {**dict.fromkeys(map(wav, NAMES)), "Evalution.txt": LABELS.replace("\n", "\r\n")})
    found = read(tmp_path)
    dimensions = ("valence", "arousal", "dominance", "naturalness")
    assert [found[NAMES[0]].labels[d] for d in dimensions] == [3.2, 2.6, 2.8, 4.1]
    assert {d: found[NAMES[1]].labels.get(d) for d in dimensions} == {
        "valence": 1.5, "arousal": 4.0, "dominance": None, "naturalness": None,
    }  # fmt: skip
    assert "dominance" not in found[NAMES[1]].labels
    assert found[NAMES[0]].labels["acted_emotion"] == "anger"


def test_a_rater_listed_twice_counts_once(tmp_path):
    lay_out(tmp_path, {**dict.fromkeys(map(wav, NAMES)), "Evalution.txt": LABELS})
    labels = read(tmp_path)[NAMES[0]].labels
    assert (labels["n_raters"], labels["agreement"]) == (3, 1 / 3)
    assert "n_raters" not in read(tmp_path)[NAMES[3]].labels


def test_no_label_file(tmp_path):
    lay_out(tmp_path, [wav(NAMES[0])])
    with pytest.raises(FileNotFoundError, match=r"Evalution\.txt"):
        read(tmp_path)


@pytest.mark.parametrize(("anger", "says"), [(792, ""), (760, ""), (700, "anger 700 of 792")])
def test_the_published_numbers_are_checked_with_tolerance(tmp_path, caplog, anger, says):
    text = []
    for code, n in {"A": anger, "S": 885, "H": 2644, "N": 3477}.items():
        names = [f"S01A-F01-S-FM{code == 'A':d}{'SHN'.find(code) + 1}{k:04}" for k in range(n)]
        lay_out(tmp_path / "session1", [f"MSP-IMPROV-{name}.wav" for name in names])
        text += [f"UTD-IMPROV-{name}.avi; {code}; A:3.0; V:3.0; D:3.0 ; N:3.0;\n\n" for name in names]
    lay_out(tmp_path, {"Evalution.txt": "".join(text)})
    assert len(read(tmp_path)) == anger + 885 + 2644 + 3477
    assert says in caplog.text
    assert bool(caplog.text) == bool(says)
