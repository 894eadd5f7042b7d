#!/usr/bin/env python3
"""Leave one speaker out, several times: python recipes/crossvalidate.py hparams/mtl_aug.yaml --repeats=3 [--key=value ...]

Every fold (who is tested) of every repeat (its seed) is a cell: one training by recipes/train.py. Cells are independent,
run --jobs at a time, write their own folder, and are not run again when they are finished, so a killed grid goes on where
it stopped. Then the folds of each repeat are pooled: predictions_seed_N.csv has their predictions, summary.json says what
came out.

  --repeats=N         seeds seed, seed + 1, ... of the YAML (default 1)
  --folds=N           N folds of neighbouring speakers instead of one per speaker
  --leave_out=LABEL   a fold per value of a label instead, such as session
  --folds_file=FILE   these folds instead: JSON or YAML, {name of the fold: [test speakers]}
  --jobs=N            cells at a time (default: one per core)
  --output_folder=DIR everything goes there (default: results/<YAML's name>/<corpus>/crossvalidation)

All other keys are those of recipes/train.py.
"""

import argparse
import itertools
import json
import os
import pathlib
import sys
import traceback
import urllib.parse

import joblib
import torch
import train
from hyperpyyaml import resolve_references
from ruamel.yaml import YAML
from tqdm import tqdm

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.dataio.audio import AudioReader
from mtlaug_sb.dataio.folds import add_fold_options, make_folds
from mtlaug_sb.dataio.preparation import read_corpus
from mtlaug_sb.dataio.run_folder import is_finished
from mtlaug_sb.dataio.splits import keep_classes
from mtlaug_sb.evaluation.plots import plot_confusion
from mtlaug_sb.evaluation.summary import pool_predictions, summarise
from mtlaug_sb.options import read_arguments

ROUNDS = 3  # a cell that crashed is tried so often
_caches = {}  # cells of one worker share audio and features: they have the same corpus and the same front end


def main(arguments):
    """Run the grid and write its summary. Returns the summary."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return None
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--repeats", type=int, default=1)
    add_fold_options(parser)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--output_folder", type=pathlib.Path)
    try:
        own, rest = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ValueError(str(error)) from None
    hparams_file, run_opts, overrides = read_arguments(rest)
    if "test_speaker" in overrides:
        raise ValueError("--test_speaker is for recipes/train.py: a cross-validation tests every speaker")
    if min(own.repeats, own.jobs) < 1:
        raise ValueError(f"--repeats and --jobs must be at least 1, are {own.repeats} and {own.jobs}")
    hparams = read_settings(hparams_file, overrides)
    name = pathlib.Path(hparams_file).stem
    folder = own.output_folder or pathlib.Path(f"results/{name}/{hparams['corpus']}/crossvalidation")
    records = read_labelled(hparams, AudioReader(hparams["sample_rate"], hparams["cache_mb"]))
    folds = make_folds(records, own.folds, own.leave_out, own.folds_file)
    tested = {s for speakers in folds.values() for s in speakers}
    n_utterances = sum(r["speaker"] in tested for r in records.values())
    seeds = [hparams["seed"] + r for r in range(own.repeats)]
    repeats, cells = {seed: [] for seed in seeds}, {}
    for seed, (fold, speakers) in itertools.product(seeds, folds.items()):
        path = fold_path(folder, seed, fold)
        repeats[seed].append(path)
        cell = {"seed": seed, "test_speaker": speakers, "output_folder": str(path), "tensorboard": False}
        cells[path] = {**overrides, **cell}
    failures = run_cells(hparams_file, run_opts, cells, own.jobs)
    if failures:
        listed = "\n".join(f"{path}: {error}" for path, error in failures.items())
        raise RuntimeError(f"{len(failures)} of {len(cells)} cells did not finish (call again to retry them):\n{listed}")
    seconds = {str(p.relative_to(folder)): json.loads((p / "results.json").read_text())["train_seconds"] for p in cells}
    write_atomically(folder / "train_seconds.json", json.dumps(seconds, indent=1))
    return write_summary(folder, name, hparams, repeats, n_utterances)


def read_settings(hparams_file, overrides):
    """The YAML's values, nothing made of them."""
    with open(hparams_file, encoding="utf-8") as file:
        hparams = YAML(typ="rt").load(resolve_references(file, overrides))
    hparams["classes"] = [str(name) for name in hparams["classes"]]
    return hparams


def read_labelled(hparams, read_audio):
    """The manifest of the corpus, its utterances of the classes only."""
    records = read_corpus(hparams["corpus"], hparams["corpus_options"], hparams["data_folder"], hparams, read_audio)
    return keep_classes(records, hparams["class_label"], hparams["classes"], hparams["corpus"])


def fold_path(folder, seed, fold):
    """The folder of one cell."""
    return folder / f"seed_{seed}" / f"fold_{urllib.parse.quote(fold, safe='+')}"


def write_summary(folder, name, hparams, repeats, n_utterances):
    """Pool the finished cells, {seed: [folders]}, into summary.json, predictions_seed_N.csv and a picture."""
    summary = summarise(repeats, hparams["classes"])
    if summary["utterances"] != n_utterances:
        raise RuntimeError(f"{summary['utterances']} utterances were tested, the corpus has {n_utterances}")
    for seed, paths in repeats.items():
        pool_predictions([p / "predictions.csv" for p in paths], folder / f"predictions_seed_{seed}.csv")
    uar, fold_mean = summary["UAR"], summary["mean_of_folds_UAR"]
    title = f"{name} on {hparams['corpus']}: UAR {show(uar)}"
    plot_confusion(summary["confusion"], summary["classes"], title, folder / "confusion.png")
    write_atomically(folder / "summary.json", json.dumps(summary, indent=1))  # last: it says that the grid is finished
    print(f"{title} (pooled over {len(summary['folds'])} folds, {uar['n']} repeats; mean over folds {show(fold_mean)})")
    return summary


def run_cells(hparams_file, run_opts, cells, jobs):
    """Run what is not finished, ``jobs`` at a time; returns {path: error} of what failed in every round."""
    failures = {}
    open_cells = [p for p in cells if not is_finished(hparams_file, cells[p])]
    bar = tqdm(total=len(cells), initial=len(cells) - len(open_cells), unit="cell", smoothing=0)
    for _ in range(ROUNDS):
        if not open_cells:
            break
        threads = max(1, os.cpu_count() // jobs)
        work = [joblib.delayed(run_cell)(hparams_file, run_opts, cells[p], threads) for p in open_cells]
        try:
            for path, error, hopeless in joblib.Parallel(jobs, return_as="generator_unordered", batch_size=1)(work):
                bar.update(error is None)
                failures[path] = error
                if hopeless:  # wrong settings or data: every cell would say the same, as often as it is tried
                    raise ValueError(error)
        except joblib.externals.loky.process_executor.TerminatedWorkerError as error:
            # a worker was killed: what it had finished is on disk
            bar.write(f"a worker died: {str(error).splitlines()[0]}")
        open_cells = [p for p in open_cells if not (p / "results.json").exists()]
    bar.close()
    return {p: failures.get(str(p), "its worker died") for p in open_cells}


def run_cell(hparams_file, run_opts, overrides, threads):
    """Train one cell; returns its folder, its error or None, and whether trying again is of no use."""
    torch.set_num_threads(threads)
    path = overrides["output_folder"]
    try:
        train.run(hparams_file, run_opts, overrides, _caches, quiet=True)
    except (ValueError, TypeError, FileNotFoundError, FileExistsError) as error:
        return path, f"{path}: {error}", True
    except Exception:
        return path, traceback.format_exc(limit=-3), False
    return path, None, False


def show(spread):
    """Mean and standard deviation as people write them."""
    return f"{spread['mean']:.3f}" + (f" +- {spread['std']:.3f}" if spread["std"] is not None else "")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
