"""IEMOCAP's reader on generated trees in its format, traps included."""

import pytest
from trees import lay_out

from mtlaug_sb.corpora import iemocap
from mtlaug_sb.corpora.iemocap import IEMOCAP


def block(turn, label, values="[2.5000, 2.0000, 3.0000]"):
    """A turn of a label file with its raters' lines."""
    return (
        f"[10.0000 - 12.5000]\t{turn}\t{label}\t{values}\n"
        "C-E2:\tNeutral;\t()\nC-E3:\tNeutral; Frustration;\t(d\xe9j\xe0 comment)\nC-F1:\tAnger;\t()\n"
        "A-E3:\tval 3; act 2; dom  3;\t()\nA-E4:\tval 2; act 3; dom  ;\t()\n\n"
    )


def labels(*blocks):
    text = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n" + "".join(blocks)
    return text.encode("latin-1")


@pytest.fixture
def tree(tmp_path):
    evaluation = "IEMOCAP_full_release/Session1/dialog/EmoEvaluation"
    turns = [
        ("Ses01F_impro05a_F000", "neu"),
        ("Ses01F_impro05a_M000", "exc"),
        ("Ses01F_impro05a_M001", "xxx"),
        ("Ses01F_impro05a_MXX0", "ang"),
        ("Ses01F_impro05a_FXX0", "sad"),
    ]
    script = [("Ses01M_script01_1b_F003", "hap"), ("Ses01M_script01_1b_M003", "fru")]
    wavs = [f"IEMOCAP_full_release/Session1/sentences/wav/{t[:-5]}/{t}.wav" for t, _ in turns + script if "FXX0" not in t]
    lay_out(tmp_path, wavs)
    return lay_out(
        tmp_path,
        {
            f"{evaluation}/Ses01F_impro05a.txt": labels(*(block(*turn) for turn in turns)),
            f"{evaluation}/Ses01M_script01_1b.txt": labels(*(block(t, e, "[4.5000, 3.2500, 1.0000]") for t, e in script)),
            f"{evaluation}/._Ses01F_impro05a.txt": b"\x00\x05\x16\x07" + labels(block("Ses01F_impro05a_F000", "ang")),
            # raters' own files, in the same format
            f"{evaluation}/Categorical/Ses01F_impro05a_e2_cat.txt": labels(block("Ses01F_impro05a_F000", "ang")),
            f"{evaluation}/Attribute/Ses01F_impro05a_e2_atr.txt": labels(block("Ses01F_impro05a_F000", "ang")),
            f"{evaluation}/Self-evaluation/Ses01F_impro05a_f.txt": labels(block("Ses01F_impro05a_F000", "ang")),
            "IEMOCAP_full_release/Session1/dialog/transcriptions/Ses01F_impro05a.txt": (
                "Ses01F_impro05a_F000 [010.0000-012.5000]: Invented sentence here.\nM: Not a turn.\n"
                "Ses01F_impro05a_M000 [012.5000-014.0000]: Another: with a colon.\n"
            ),
        },
    )


def read(tree, **options):
    return {u.id: u for u in IEMOCAP(**options).read(str(tree))}


def test_speakers_are_the_last_letter_and_labels_without_a_recording_are_passed_over(tree):
    found = read(tree)
    assert {k: (u.speaker, u.labels["emotion"], u.labels["gender"], u.labels["style"]) for k, u in found.items()} == {
        "Ses01F_impro05a_F000": ("1F", "neutral", "female", "improvised"),
        "Ses01F_impro05a_M000": ("1M", "happiness", "male", "improvised"),
        "Ses01F_impro05a_M001": ("1M", "no_agreement", "male", "improvised"),
        "Ses01F_impro05a_MXX0": ("1M", "anger", "male", "improvised"),
        "Ses01M_script01_1b_F003": ("1F", "happiness", "female", "scripted"),
        "Ses01M_script01_1b_M003": ("1M", "frustration", "male", "scripted"),
    }
    assert {u.labels["session"] for u in found.values()} == {"1"}


def test_dimensions_and_transcripts(tree):
    labels = read(tree)["Ses01M_script01_1b_F003"].labels
    assert (labels["valence"], labels["arousal"], labels["dominance"]) == (4.5, 3.25, 1.0)
    assert "transcript" not in labels
    assert read(tree)["Ses01F_impro05a_F000"].labels["transcript"] == "Invented sentence here."
    assert read(tree)["Ses01F_impro05a_M000"].labels["transcript"] == "Another: with a colon."


def test_excitement_and_styles_are_options(tree):
    emotions = {k: u.labels["emotion"] for k, u in read(tree, merge_excited=False).items()}
    assert emotions["Ses01F_impro05a_M000"] == "excitement"
    assert emotions["Ses01M_script01_1b_F003"] == "happiness"
    assert {k.split("_")[1] for k in read(tree, style="improvised")} == {"impro05a"}
    assert {k.split("_")[1] for k in read(tree, style="scripted")} == {"script01"}
    with pytest.raises(ValueError, match="style must be 'both', 'improvised' or 'scripted', is 'impro'"):
        IEMOCAP(style="impro")


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="EmoEvaluation"):
        read(tmp_path)


def full_tree(root):
    """The published numbers of turns: per speaker, and per class over all of them."""
    classes = [
        code for code, n in {"ang": 1103, "hap": 595, "exc": 1041, "neu": 1708, "sad": 1084}.items() for _ in range(n)
    ]
    for session in range(1, 6):
        base, dialog = root / f"Session{session}", f"Ses0{session}F_impro01"
        speakers = [(s[1], n) for s, n in iemocap.PUBLISHED_SPEAKERS.items() if s[0] == str(session)]
        turns = [f"{dialog}_{letter}{k:03}" for letter, n in speakers for k in range(n)]
        lay_out(base / "sentences" / "wav" / dialog, [f"{t}.wav" for t in turns])
        text = labels(*(block(t, classes.pop()) for t in turns))
        lay_out(base / "dialog" / "EmoEvaluation", {f"{dialog}.txt": text})
    return root


def test_the_published_numbers_are_checked(tmp_path, caplog):
    assert sum(iemocap.PUBLISHED.values()) == sum(iemocap.PUBLISHED_SPEAKERS.values()) == 5531
    full_tree(tmp_path)
    assert len(read(tmp_path, style="scripted")) == 0  # the check is of the corpus, not of what is asked for
    assert len(read(tmp_path)) == 5531
    assert caplog.text == ""
    wavs = tmp_path / "Session5/sentences/wav/Ses05F_impro01"
    (wavs / "Ses05F_impro01_F000.wav").rename(wavs / "gone.wav")
    read(tmp_path)
    assert [r.message.split(";")[0] for r in caplog.records] == [
        "corpus 'iemocap' is not as published: 5530 of 5531 recordings"
    ]


def test_wrong_speakers_are_noticed(tmp_path, caplog, monkeypatch):
    full_tree(tmp_path)
    monkeypatch.setitem(iemocap.PUBLISHED_SPEAKERS, "1F", 557)
    read(tmp_path)
    assert "1F 528 of 557" in caplog.text
