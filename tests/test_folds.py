"""Who is tested together: one speaker, neighbours, a label's value, or what a file says."""

import json

import pytest

from mtlaug_sb.dataio.folds import make_folds

RECORDS = {
    f"{speaker}_{k}": {"speaker": speaker, "session": session, "style": "improvised" if k else "scripted"}
    for session, pair in {1: ("01", "02"), 2: ("03", "04"), 10: ("05", "06")}.items()
    for speaker in pair
    for k in range(2)
}
SPEAKERS = ["01", "02", "03", "04", "05", "06"]


def test_one_speaker_or_neighbours():
    assert make_folds(RECORDS) == {s: [s] for s in SPEAKERS}
    assert make_folds(RECORDS, n_folds=2) == {"01to03": SPEAKERS[:3], "04to06": SPEAKERS[3:]}
    assert make_folds(RECORDS, n_folds=3) == {"01+02": ["01", "02"], "03+04": ["03", "04"], "05+06": ["05", "06"]}
    assert make_folds({**RECORDS, "x": {"speaker": None}}) == make_folds(RECORDS)
    for n in (0, 1, 7):
        with pytest.raises(ValueError, match=f"{n} folds need"):
            make_folds(RECORDS, n_folds=n)


def test_leave_a_session_out():
    assert make_folds(RECORDS, leave_out="session") == {"1": ["01", "02"], "10": ["05", "06"], "2": ["03", "04"]}
    with pytest.raises(
        ValueError, match="--leave_out=style: each speaker must have one style; speaker '01' has improvised, scr"
    ):
        make_folds(RECORDS, leave_out="style")
    with pytest.raises(ValueError, match="speaker '01' has and none"):
        make_folds(RECORDS, leave_out="accent")
    with pytest.raises(ValueError, match="two folds are needed, and the only session is 1"):
        make_folds({k: r for k, r in RECORDS.items() if r["session"] == 1}, leave_out="session")


def test_given_folds(tmp_path, caplog):
    file = tmp_path / "folds.json"
    file.write_text(json.dumps({"a": ["01", 5], "b": ["02", "03", "04", "06"]}))
    assert make_folds(RECORDS, folds_file=file) == {"a": ["01", "05"], "b": ["02", "03", "04", "06"]}
    (tmp_path / "folds.yaml").write_text("one: [01, 02]\n2: ['03']\n")
    assert caplog.text == ""
    assert make_folds(RECORDS, folds_file=tmp_path / "folds.yaml") == {"one": ["01", "02"], "2": ["03"]}
    assert "never tested, always in training: 04, 05, 06" in caplog.text


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"a": ["01"], "b": ["01"]}', "speaker '01' is tested more than once"),
        ('{"a": ["99"]}', r"folds\.json: no speaker '99'"),
        ('{"a": []}', "none of them is empty"),
        ("[1]", "folds are"),
        ("", "folds are"),
        ("{", "neither JSON nor YAML"),
    ],
)
def test_bad_files(tmp_path, content, says):
    (tmp_path / "folds.json").write_text(content)
    with pytest.raises(ValueError, match=says):
        make_folds(RECORDS, folds_file=tmp_path / "folds.json")


def test_two_ways_at_once():
    with pytest.raises(ValueError, match="--folds and --leave_out exclude one another"):
        make_folds(RECORDS, n_folds=2, leave_out="session")
