"""The grid: every cell once, nothing lost, the summary is what the predictions say."""

import csv
import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import time
from unittest.mock import Mock

import numpy as np
import pytest
import soundfile
import torch

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture
def grid(arguments, tmp_path, monkeypatch):
    """Run recipes/crossvalidate.py in this process, on one thread."""
    import crossvalidate

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
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
            assert json.loads((folder / "splits.json").read_text())[str(seed)][fold.name] == results["speakers"]
            rows += csv.DictReader((fold / "predictions.csv").read_text().splitlines())
        assert len(rows) == len({r["id"] for r in rows}) == 32
        assert (folder / f"predictions_seed_{seed}.csv").read_text().count("\n") == 33
        uars.append(by_hand(rows))
        assert summary["repeats"][str(seed)]["UAR"] == pytest.approx(uars[-1])
    assert summary["UAR"]["mean"] == pytest.approx(sum(uars) / 2)


def test_validation_leaves_out_who_will_be_tested(grid, tmp_path):
    summary = grid("--validate")
    assert summary["utterances"] == 32  # everybody validates once
    for fold in (tmp_path / "run" / "seed_0").iterdir():
        tested, trained = (
            {r["speaker"] for r in json.loads((fold / "save" / f"{split}.json").read_text()).values()}
            for split in ("test", "train")
        )
        assert tested == {fold.name.removeprefix("fold_")}
        before = {"s01": "s04", "s02": "s01", "s03": "s02", "s04": "s03"}[tested.pop()]
        assert before not in trained
    with pytest.raises(ValueError, match="needs three folds"):
        grid("--validate", "--folds=2", f"--output_folder={tmp_path / 'other'}")


def test_excluded_speakers_are_neither_tested_nor_trained_on(grid, tmp_path):
    assert grid("--excluded_speakers=[s02]")["folds"] == [["s01"], ["s03"], ["s04"]]
    other = tmp_path / "other"
    grid("--validate", "--excluded_speakers=[s02]", "--n_valid_speakers=0", f"--output_folder={other}")
    for cell in other.glob("seed_*/fold_*/results.json"):
        assert "s02" not in {s for part in json.loads(cell.read_text())["speakers"].values() for s in part}


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


def table_of(tiny_corpus, path, change=lambda speaker, emotion: emotion):
    """A CSV of the tiny corpus, whose emotions may be others."""
    lines = ["path,speaker,emotion"]
    for file in sorted(tiny_corpus.rglob("*.wav")):
        speaker, emotion, _ = file.stem.split("_")
        lines.append(f"{file},{speaker},{change(speaker, emotion)}")
    path.write_text("\n".join(lines))
    return ["--corpus=folder", f"--data_folder={path}", "--corpus_options={}"]


def test_a_finished_grid_of_other_data_is_refused(grid, tiny_corpus, tmp_path):
    table = tmp_path / "list.csv"
    summary = grid(*table_of(tiny_corpus, table), "--folds=2")
    assert grid(*table_of(tiny_corpus, table), "--folds=2") == summary
    with pytest.raises(
        FileExistsError, match=r"fold_s01\+s02' was another \((train|valid): \d utterances, such as .*s03_sad"
    ):
        grid(*table_of(tiny_corpus, table, lambda s, e: "anger" if (s, e) == ("s03", "sadness") else e), "--folds=2")


def test_a_finished_grid_has_heard_no_speech_that_came_later(grid, tiny_corpus, tmp_path):
    table = tmp_path / "list.csv"
    grid(*table_of(tiny_corpus, table), "--folds=2")
    given = table_of(tiny_corpus, table)
    soundfile.write(tmp_path / "more.wav", np.random.default_rng(0).uniform(-0.1, 0.1, 8000), 16000)
    table.write_text(f"{table.read_text()}\n{tmp_path}/more.wav,s01,\n{tmp_path}/again.wav,s02,")
    shutil.copy(tmp_path / "more.wav", tmp_path / "again.wav")
    with pytest.raises(FileExistsError, match=r"was another \(unlabelled: [12] utterances, such as .*(more|again)"):
        grid(*given, "--folds=2")


def test_a_finished_grid_is_known_again_wherever_its_data_lie(grid, tiny_corpus, tmp_path):
    moved = shutil.copytree(tiny_corpus, tmp_path / "a")
    given = [f"--data_folder={moved}", "--folds=2", "--n_valid_speakers=0"]
    summary = grid(*given)
    moved.rename(tmp_path / "b")
    moved.symlink_to(tmp_path / "b")
    assert grid(*given) == summary
    (tmp_path / "run" / "seed_0" / "fold_s01+s02" / "save" / "train.json").unlink()
    assert grid(*given) == summary


@pytest.fixture
def own_yaml(tiny_corpus, tmp_path, monkeypatch):
    """Writes a YAML of one's own on the tiny corpus, with further lines; gives its path."""
    monkeypatch.chdir(ROOT)

    def write(more=""):
        yaml = tmp_path / "own.yaml"
        yaml.write_text(
            f"base: {ROOT}/hparams/stl.yaml\ncorpus_options: {{n_speakers: 4, n_utterances: 2}}\nnumber_of_epochs: 1\n"
            f"data_folder: {tiny_corpus}\nn_valid_speakers: 1\n{more}"
        )
        return yaml

    return write


def test_options_of_the_command_line_join_those_of_the_yaml(own_yaml, tmp_path):
    import crossvalidate

    yaml = own_yaml()
    with pytest.raises(FileExistsError, match=r"generated with .*'n_utterances': 2.*'n_utterances': 3"):
        crossvalidate.main([str(yaml), "--corpus_options={n_utterances: 3}", f"--output_folder={tmp_path}/run", "--jobs=1"])
    before = logging.root.manager.disable
    logging.disable(logging.DEBUG)
    try:
        given = [str(yaml), "--corpus_options={n_utterances: 2}", f"--output_folder={tmp_path}/run", "--jobs=1", "--folds=2"]
        assert crossvalidate.main(given)["utterances"] == 32
        assert logging.root.manager.disable == logging.DEBUG
    finally:
        logging.disable(before)


def test_a_cell_may_have_unlabelled_speech_of_its_own(own_yaml, tmp_path):
    import crossvalidate

    yaml = own_yaml(
        "unlabelled_corpus: synthetic_unlabelled\n"
        f"unlabelled_options: {{n_speakers: 1, n_utterances: 1}}\nunlabelled_folder: !ref {tmp_path}/speech_<seed>\n"
    )
    given = [str(yaml), f"--output_folder={tmp_path}/run", "--jobs=1", "--folds=2", "--repeats=2"]
    summary = crossvalidate.main(given)
    assert crossvalidate.main(given) == summary


def test_a_fold_that_cannot_be_is_said_before_any_is_trained(grid, tiny_corpus, tmp_path):
    given = table_of(tiny_corpus, tmp_path / "list.csv", lambda s, e: "neutral" if s != "s03" and e == "sadness" else e)
    with pytest.raises(ValueError, match=r"fold_s03: class 'sadness' has no training utterance where s03 is tested"):
        grid(*given, "--n_valid_speakers=0")
    assert not list((tmp_path / "run").rglob("results.json"))


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


@pytest.mark.parametrize("kind", [RuntimeError, ValueError])
def test_a_failing_cell_is_tried_again_and_reported_and_the_others_are_kept(grid, tmp_path, monkeypatch, kind):
    import train

    run, tried = train.run, []

    def fails_on_the_first(hparams_file, run_opts, overrides, *args, **options):
        if overrides["test_speaker"] == ["s01", "s02"]:
            tried.append(overrides)
            raise kind("planted")
        return run(hparams_file, run_opts, overrides, *args, **options)

    monkeypatch.setattr(train, "run", fails_on_the_first)
    with pytest.raises(RuntimeError, match=r"(?s)1 of 2 cells did not finish.*planted"):
        grid("--folds=2")
    monkeypatch.undo()
    assert (tmp_path / "run" / "seed_0" / "fold_s03+s04" / "results.json").exists()
    assert len(tried) == 3


def test_what_every_cell_says_ends_the_grid_at_once(grid, monkeypatch):
    import train

    tried = []

    def fails(hparams_file, run_opts, overrides, *args, **options):
        tried.append(overrides)
        raise ValueError("wrong settings")

    monkeypatch.setattr(train, "run", fails)
    with pytest.raises(ValueError, match="wrong settings"):
        grid("--folds=4")
    assert len(tried) == 2


def test_two_workers_killed_and_called_again_give_what_undisturbed_ones_give(arguments, grid, tmp_path):
    grid("--folds=2", "--jobs=2")  # as many threads to a cell as below: another number may change the last bits
    command = [sys.executable, ROOT / "recipes" / "crossvalidate.py"]
    more = ["--number_of_epochs=1", "--folds=2", "--jobs=2"]
    command += arguments("hparams/stl.yaml", *more, folder=tmp_path / "two")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    until(lambda: list((tmp_path / "two").glob("seed_*/*/save/train.json")))
    workers = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()  # the parent alone: its workers have to notice
    process.wait()
    until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in workers))
    assert not list((tmp_path / "two").rglob("results.json")), "a worker went on alone"
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    for name in ("summary.json", "predictions_seed_0.csv"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "run" / name).read_bytes()
    assert not (tmp_path / "two" / "cells.cache").exists()


def until(condition, seconds=200):
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.1)


# stands in for recipes/crossvalidate.py; the first worker that begins the first cell kills itself
CRASH = """
import os, pathlib, sys
sys.path.insert(0, {recipes!r})
import cells, crossvalidate

run_cell = cells.run_cell

def crashing(hparams_file, run_opts, overrides, *args):
    flag = pathlib.Path({flag!r})
    if overrides["test_speaker"] == ["s01", "s02"] and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), 9)
    return run_cell(hparams_file, run_opts, overrides, *args)

cells.run_cell = crashing  # defined in the main module, and so sent to the workers whole
if __name__ == "__main__":
    crossvalidate.main(sys.argv[1:])
"""


@pytest.mark.parametrize("backend", ["loky", "ray"])
def test_a_cell_that_kills_its_process_is_retried_and_loses_nothing(arguments, grid, tmp_path, backend):
    if backend == "ray":
        pytest.importorskip("ray", reason="Ray is not installed (extra [cluster])")
    grid("--folds=2")
    crash = tmp_path / "crash.py"
    crash.write_text(CRASH.format(recipes=str(ROOT / "recipes"), flag=str(tmp_path / "flag")))
    command = [sys.executable, crash, *arguments("hparams/stl.yaml", "--number_of_epochs=1", folder=tmp_path / "two")]
    command += ["--folds=2", "--jobs=2", f"--backend={backend}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "flag").exists()
    assert ("a worker died" in done.stdout) == (backend == "loky")  # Ray begins it again itself
    assert (tmp_path / "two" / "summary.json").read_bytes() == (tmp_path / "run" / "summary.json").read_bytes()


def test_what_a_cluster_must_have(grid):
    with pytest.raises(ValueError, match="--cell_cpus and --cell_gpus are for --backend=ray"):
        grid("--cell_gpus=0.5")
    with pytest.raises(ValueError, match="--backend"):
        grid("--backend=dask")


def test_cells_share_the_cores_unless_their_threads_are_stated(monkeypatch):
    import cells

    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert [cells.local_workers(jobs)["threads"] for jobs in (None, 1, 3, 9)] == [1, 8, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert cells.local_workers(1)["threads"] == 2
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert [cells.local_workers(jobs, "cuda:0")["backend"]["n_jobs"] for jobs in (None, 3, 12)] == [8, 3, 12]


def test_a_process_whose_gpu_has_failed_ends(monkeypatch, tmp_path):
    import cells

    ended = []

    def fail(*_, **__):
        raise torch.AcceleratorError("an illegal memory access was encountered")

    monkeypatch.setattr(cells.train, "run", fail)
    monkeypatch.setattr(cells, "SharedData", lambda folder: Mock(manifests={}))
    monkeypatch.setattr(cells, "die_with", lambda parent: None)
    monkeypatch.setattr(cells.os, "_exit", ended.append)
    cell = ("x.yaml", None, {"output_folder": "cell"}, 1, str(tmp_path), 1.0, os.getcwd())
    path, error, hopeless = cells.run_cell(*cell, None)
    assert (path, hopeless, ended) == ("cell", False, [])
    assert "illegal memory access" in error
    cells.run_cell(*cell, os.getpid() + 1)
    assert ended == [1]


def test_features_that_were_kept_on_another_device_are_not_taken(grid, tmp_path, monkeypatch):
    import cells

    from mtlaug_sb.dataio.audio import AudioReader

    reader = AudioReader(16000, 1.0)
    cpu, again, gpu = (cells.share(tmp_path / "cache", ("yaml", d, 1), {}, reader, 1.0) for d in ("cpu", "cpu", "cuda:0"))
    assert cpu == again != gpu
    assert not cpu.exists()  # a resumed grid on another machine must not meet them
    seen, share = [], cells.share
    monkeypatch.setattr(
        cells, "share", lambda folder, features_of, *rest: seen.append(features_of) or share(folder, features_of, *rest)
    )
    grid("--folds=2", "--device=cpu")
    assert seen[0][1:] == ("cpu", 1)


def test_leave_out_and_given_folds(grid, tmp_path):
    (tmp_path / "folds.json").write_text('{"one": ["s03"], "two": ["s01"]}')
    summary = grid(f"--folds_file={tmp_path / 'folds.json'}")
    assert summary["folds"] == [["s03"], ["s01"]]
    assert summary["utterances"] == 16
    assert [c.name for c in sorted((tmp_path / "run" / "seed_0").iterdir())] == ["fold_one", "fold_two"]
    with pytest.raises(ValueError, match="each speaker must have one emotion"):
        grid("--leave_out=emotion")


def test_cells_read_no_audio_and_compute_no_shared_features(grid, tmp_path, monkeypatch):
    import cells
    import soundfile

    import mtlaug_sb.dataio.preparation as preparation

    first = grid("--folds=2")
    read, opened = preparation.build_manifest, []
    monkeypatch.setattr(preparation, "build_manifest", lambda *a: opened.append("manifest") or read(*a))
    sound = soundfile.SoundFile
    monkeypatch.setattr(soundfile, "SoundFile", lambda *a, **k: opened.append("audio") or sound(*a, **k))
    cells._caches.clear()
    again = grid("--folds=2", f"--output_folder={tmp_path / 'again'}")
    assert (opened.count("manifest"), opened.count("audio")) == (1, 32)  # by the parent
    assert again == first


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
