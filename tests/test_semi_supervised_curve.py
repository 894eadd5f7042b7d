"""Fewer labelled speakers: who they are, what becomes of the others, and the curve."""

import csv
import itertools
import json
import pathlib
import tempfile

import pytest
from crossvalidate import read_settings

from mtlaug_sb.dataio.audio import AudioReader
from mtlaug_sb.dataio.labelled_speakers import draw_labelled_speakers
from mtlaug_sb.dataio.preparation import prepare
from mtlaug_sb.dataio.run_folder import write_settings
from mtlaug_sb.evaluation.results import write_predictions

ROOT = pathlib.Path(__file__).parents[1]
RECORDS = {
    f"{s}-{i}": {"speaker": s, "gender": g, "emotion": "anger"}
    for s, g in zip("abcdefgh", ["female"] * 4 + ["male"] * 4, strict=True)
    for i in range(2)
}


def speakers(records):
    return {r["speaker"] for r in records.values()}


def test_draws_are_nested_and_take_turns_of_gender():
    drawn = [speakers(draw_labelled_speakers(RECORDS, n, seed=3)[0]) for n in range(1, 9)]
    for n, (fewer, more) in enumerate(itertools.pairwise(drawn), start=1):
        assert len(fewer) == n
        assert fewer < more
    for n in (2, 4, 6):
        assert len(drawn[n - 1] & set("abcd")) == n / 2
    assert len({frozenset(speakers(draw_labelled_speakers(RECORDS, 2, seed)[0])) for seed in range(20)}) > 5


def test_everybodys_speech_is_in_one_part():
    labelled, left_out = draw_labelled_speakers(RECORDS, 3, seed=0)
    assert {**labelled, **left_out} == RECORDS
    assert speakers(labelled).isdisjoint(speakers(left_out))
    assert draw_labelled_speakers(RECORDS, None, seed=0) == (RECORDS, {})
    assert draw_labelled_speakers(RECORDS, 8, seed=0) == (RECORDS, {})


@pytest.mark.parametrize("n", [0, 9, -1, 1.5, "two"])
def test_a_number_that_cannot_be(n):
    with pytest.raises(ValueError, match=rf"n_train_speakers is {n!r}, and 8 speakers are left for training"):
        draw_labelled_speakers(RECORDS, n, seed=0)


@pytest.fixture
def splits(tiny_corpus, tmp_path):
    """What is written for these settings: splits(n_train_speakers=1) -> {split: manifest}."""

    def build(**changed):
        folder = pathlib.Path(tempfile.mkdtemp(dir=tmp_path))
        hparams = read_settings(str(ROOT / "hparams" / "mtl_aug.yaml"), {"output_folder": str(tmp_path)})
        options = {"n_speakers": 4, "n_utterances": 2}
        data = {"corpus_options": options, "data_folder": str(tiny_corpus), "n_valid_speakers": 1, "test_speaker": "s02"}
        prepare({**hparams, **data, "save_folder": str(folder), **changed}, AudioReader(16000))
        return {p.stem: json.loads(p.read_text()) for p in folder.glob("*.json")}

    return build


def test_left_out_speakers_are_dropped_or_train_without_their_labels(splits):
    dropped = splits(n_train_speakers=1, left_out_speakers="dropped")
    unlabelled = splits(n_train_speakers=1, left_out_speakers="unlabelled")
    for split in ("train", "valid", "test"):
        assert dropped[split] == unlabelled[split]
    assert "unlabelled" not in dropped
    (other,) = speakers(unlabelled["unlabelled"])
    assert {*speakers(dropped["train"]), *speakers(dropped["valid"]), "s02", other} == {"s01", "s02", "s03", "s04"}
    assert len(unlabelled["unlabelled"]) == 8
    assert not any("emotion" in record for record in unlabelled["unlabelled"].values())
    with pytest.raises(ValueError, match="left_out_speakers must be dropped or unlabelled, is 'test'"):
        splits(left_out_speakers="test")


def test_a_left_out_speakers_unlabelled_utterances_are_dropped_with_the_others(splits, tiny_corpus, tmp_path):
    rows = []
    for k, path in enumerate(sorted(tiny_corpus.rglob("*.wav"))):
        speaker, emotion, _ = path.stem.split("_")
        rows.append(f"{path},{speaker},{'' if k % 8 == 7 else emotion}")
    (tmp_path / "list.csv").write_text("path,speaker,emotion\n" + "\n".join(rows))
    folder = {"corpus": "folder", "data_folder": str(tmp_path / "list.csv"), "corpus_options": {}}
    dropped = splits(n_train_speakers=1, left_out_speakers="dropped", **folder)
    assert speakers(dropped["unlabelled"]) == speakers(dropped["train"])
    assert len(splits(n_train_speakers=1, left_out_speakers="unlabelled", **folder)["unlabelled"]) == 1 + 8


@pytest.fixture
def guesses(monkeypatch):
    """Cells that prepare their data and guess: what the curve makes of them does not depend on a training."""
    import cells
    import crossvalidate

    def run(hparams_file, run_opts, overrides, caches=None, quiet=False):
        hparams = read_settings(hparams_file, overrides)
        folder, names = pathlib.Path(hparams["output_folder"]), hparams["classes"]
        write_settings(hparams_file, overrides)
        (folder / "save").mkdir(exist_ok=True)
        hparams["save_folder"] = str(folder / "save")
        splits = prepare(hparams, caches["audio"], caches["manifests"])
        n = len(speakers(splits["train"]))
        truths = [(k, names.index(r["emotion"])) for k, r in splits["test"].items()]
        # a class more is known for each labelled speaker
        rows = [(k, t, [float(i == (t if t < n else 0)) for i in range(len(names))]) for k, t in truths]
        write_predictions(folder / "predictions.csv", rows, splits["test"], names)
        results = {
            "speakers": {s: sorted(speakers(r) - {None}) for s, r in splits.items()},
            "utterances": {s: len(r) for s, r in splits.items()},
            "test": {"UAR": n / len(names)},
            "train_seconds": 0.0,
        }
        (folder / "results.json").write_text(json.dumps(results))

    monkeypatch.setattr(cells.train, "run", run)
    monkeypatch.setattr(crossvalidate, "plot_confusion", lambda *_: None)  # takes half of the time


def test_the_curve_is_its_grids_and_goes_on_where_it_stopped(arguments, guesses, tmp_path, monkeypatch):
    import semi_supervised_curve

    monkeypatch.chdir(ROOT)
    (tmp_path / "folds.json").write_text('{"one": ["s01"]}')
    given = arguments("hparams/mtl_aug_semi.yaml", f"--folds_file={tmp_path / 'folds.json'}", "--jobs=1")
    rows = semi_supervised_curve.main([*given, "--labelled_speakers=1", "--unlabelled=without,with,left_out"])
    folder = tmp_path / "run"
    table = list(csv.DictReader((folder / "curve.csv").read_text().splitlines()))
    assert [(r["unlabelled"], r["labelled_speakers"]) for r in table] == [("without", "1"), ("with", "1"), ("left_out", "1")]
    cells = {}
    for row in table:
        point = folder / f"{row['unlabelled']}_1"
        assert float(row["UAR"]) == json.loads((point / "summary.json").read_text())["UAR"]["mean"] == 0.25
        cells[point.name] = json.loads((point / "seed_0" / "fold_one" / "results.json").read_text())
    assert {k: (len(c["speakers"]["train"]), len(c["speakers"].get("unlabelled", []))) for k, c in cells.items()} == {
        "without_1": (1, 0),
        "with_1": (1, 2),
        "left_out_1": (1, 1),
    }
    assert (folder / "curve.png").stat().st_size > 0
    assert "| 1 | 0.250 | 0.250 | 0.250 |" in (folder / "curve.md").read_text()
    assert json.loads((folder / "curve.json").read_text()) == rows
    finished = (folder / "with_1" / "seed_0" / "fold_one" / "results.json").stat().st_mtime_ns
    more = semi_supervised_curve.main([*given, "--labelled_speakers=1,2", "--unlabelled=with"])
    assert [(r["labelled_speakers"], r["UAR"]) for r in more] == [(1, 0.25), (2, 0.5)]
    assert (folder / "with_1" / "seed_0" / "fold_one" / "results.json").stat().st_mtime_ns == finished


def test_a_point_whose_cells_crash_loses_no_other(arguments, tmp_path, monkeypatch):
    import semi_supervised_curve

    spread = {"mean": 0.5, "std": None, "n": 1}
    summary = {"UAR": spread, "mean_of_folds_UAR": spread, "cross_entropy": spread}

    def grid(arguments):
        if "--n_train_speakers=2" in arguments:
            raise RuntimeError("1 of 1 cells did not finish")
        return summary

    monkeypatch.chdir(ROOT)
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(semi_supervised_curve.crossvalidate, "main", grid)
    with pytest.raises(RuntimeError, match="without, 2 labelled speakers: 1 of 1 cells did not finish"):
        semi_supervised_curve.main(arguments("hparams/mtl_aug.yaml", "--labelled_speakers=1,2", "--unlabelled=without"))
    assert [r["labelled_speakers"] for r in json.loads((tmp_path / "run" / "curve.json").read_text())] == [1]
    with pytest.raises(ValueError, match="3 are too many: 2 speakers are left to train"):  # before any grid
        semi_supervised_curve.main(arguments("hparams/mtl_aug.yaml", "--labelled_speakers=1,3", "--unlabelled=without"))


def test_what_the_curve_is_not_given(arguments, monkeypatch):
    import semi_supervised_curve

    monkeypatch.chdir(ROOT)
    for more, match in (
        ("--labelled_speakers=2,x", "whole numbers above 0 between commas"),
        ("--unlabelled=some", "there is no 'some'; there are without, with, left_out"),
        ("--n_train_speakers=2", "are what the curve is over"),
        ("--folds=x", "--folds"),
        ("--unlabelled=with", "neither the YAML nor the command line has an unlabelled_corpus"),
    ):
        with pytest.raises(ValueError, match=match):
            semi_supervised_curve.main(arguments("hparams/stl.yaml", more))
