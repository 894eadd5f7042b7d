"""The grid: every cell once, nothing lost, the summary is what the predictions say."""

import csv
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def grid(arguments, tmp_path):
    """Run recipes/crossvalidate.py in this process."""
    import crossvalidate

    before = os.getcwd()
    os.chdir(ROOT)
    given = [a for a in arguments("hparams/stl.yaml", "--number_of_epochs=1") if a != "--noprogressbar"]
    yield lambda *more: crossvalidate.main([*given, "--jobs=1", "--noprogressbar", *more])
    os.chdir(before)


def by_hand(rows):
    """UAR from rows, with nothing of the library."""
    recalls = []
    for emotion in sorted({r["truth"] for r in rows}):
        of_class = [r for r in rows if r["truth"] == emotion]
        recalls.append(sum(r["prediction"] == emotion for r in of_class) / len(of_class))
    return sum(recalls) / len(recalls)


def test_folds_are_pooled_and_nobody_is_tested_twice(grid, tmp_path):
    summary = grid("--repeats=2")
    folder = tmp_path / "run"
    assert summary == json.loads((folder / "summary.json").read_text())
    uars = []
    for seed in (0, 1):
        rows = []
        for fold in sorted((folder / f"seed_{seed}").iterdir()):
            results = json.loads((fold / "results.json").read_text())
            assert results["seed"] == seed
            sets = [set(results["speakers"][s]) for s in ("train", "valid", "test")]
            assert sum(map(len, sets)) == len(set().union(*sets)) == 4
            rows += csv.DictReader((fold / "predictions.csv").read_text().splitlines())
        assert len(rows) == len({r["id"] for r in rows}) == 32
        assert (folder / f"predictions_seed_{seed}.csv").read_text().count("\n") == 33
        uars.append(by_hand(rows))
        assert summary["repeats"][str(seed)]["UAR"] == pytest.approx(uars[-1])
    assert summary["UAR"]["mean"] == pytest.approx(sum(uars) / 2)


def test_finished_cells_are_not_run_again_and_a_lost_one_is(grid, tmp_path):
    first = grid("--folds=2")
    cells = sorted((tmp_path / "run" / "seed_0").iterdir())
    assert [c.name for c in cells] == ["fold_s01+s02", "fold_s03+s04"]
    stamps = [(c / "results.json").stat().st_mtime_ns for c in cells]
    (cells[1] / "results.json").unlink()
    assert grid("--folds=2") == first
    again = [(c / "results.json").stat().st_mtime_ns for c in cells]
    assert again[0] == stamps[0]
    assert again[1] != stamps[1]


def test_other_settings_in_the_same_folder_are_refused(grid):
    grid("--folds=2")
    with pytest.raises(FileExistsError, match=r"other settings \(lr, opt_class\)"):
        grid("--folds=2", "--lr=0.1")


def test_fewer_speakers_than_folds(grid):
    with pytest.raises(ValueError, match="5 folds need at least as many speakers, and more than one; there are 4"):
        grid("--folds=5")


def test_wrong_settings_end_the_grid_at_once(grid):
    with pytest.raises(ValueError, match="4 speakers are too few"):
        grid("--n_valid_speakers=3")
    for more in ("--jobs=0", "--repeats=0", "--test_speaker=s01", "--folds=x"):
        with pytest.raises(ValueError, match=more.split("=")[0]):
            grid(more)


def test_speakers_with_awkward_names(arguments, grid, tiny_corpus, tmp_path):
    # and classes that are numbers
    numbers = {"anger": 1, "happiness": 2, "neutral": 3, "sadness": 4}
    lines = [f"{p},lab/{p.parent.name},{numbers[p.stem.split('_')[1]]}" for p in sorted(tiny_corpus.rglob("*.wav"))]
    (tmp_path / "list.csv").write_text("path,speaker,emotion\n" + "\n".join(lines))
    summary = grid(
        "--corpus=folder", f"--data_folder={tmp_path / 'list.csv'}", "--corpus_options={}", "--classes=[1, 2, 3, 4]"
    )
    assert summary["utterances"] == 32


def test_a_failing_cell_is_reported_and_the_others_are_kept(grid, tmp_path, monkeypatch):
    import train

    run = train.run

    def fails_on_the_first(hparams_file, run_opts, overrides, *args, **options):
        if overrides["test_speaker"] == ["s01", "s02"]:
            raise RuntimeError("planted")
        return run(hparams_file, run_opts, overrides, *args, **options)

    monkeypatch.setattr(train, "run", fails_on_the_first)
    with pytest.raises(RuntimeError, match=r"(?s)1 of 2 cells did not finish.*planted"):
        grid("--folds=2")
    monkeypatch.undo()
    assert (tmp_path / "run" / "seed_0" / "fold_s03+s04" / "results.json").exists()


def test_two_workers_give_what_one_gives(arguments, grid, tmp_path):
    one = grid("--folds=2")
    command = [sys.executable, ROOT / "recipes" / "crossvalidate.py"]
    command += arguments("hparams/stl.yaml", "--number_of_epochs=1", "--folds=2", "--jobs=2", folder=tmp_path / "two")
    subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, capture_output=True)
    assert json.loads((tmp_path / "two" / "summary.json").read_text()) == one


@pytest.mark.real_data
def test_real_speech_is_learned(arguments, real_data, tmp_path):
    """A short training on EMODB beats chance by far on an unseen speaker."""
    import train

    emodb = ["--corpus=emodb", f"--data_folder={real_data / 'emodb'}", "--corpus_options={}", "--number_of_epochs=8"]
    results = train.main(
        arguments("hparams/mtl_aug.yaml", *emodb, "--test_speaker=03", "--batches={batch_size: 16}", "--n_valid_speakers=2")
    )
    assert results["utterances"] == {"train": 224, "valid": 76, "test": 39} or sum(results["utterances"].values()) == 339
    assert results["speakers"]["test"] == ["03"]
    assert results["test"]["UAR"] > 0.4
