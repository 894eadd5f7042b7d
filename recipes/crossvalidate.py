#!/usr/bin/env python3
"""Leave one speaker out, several times: python recipes/crossvalidate.py hparams/mtl_aug.yaml --repeats=3 [--key=value ...]

Every fold (who is tested) of every repeat (its seed) is a cell: one training by recipes/train.py. Cells are independent,
run --jobs at a time, write their own folder, and are not run again when they are finished, so a killed grid goes on where
it stopped. Audio is read, and features that do not depend on chance are computed, once for all cells.
Then the folds of each repeat are pooled: predictions_seed_N.csv has their predictions, summary.json says what
came out, splits.json who trained, chose and was tested.

  --repeats=N         seeds seed, seed + 1, ... of the YAML (default 1)
  --folds=N           N folds of neighbouring speakers instead of one per speaker
  --leave_out=LABEL   a fold per value of a label instead, such as session
  --folds_file=FILE   these folds instead: JSON or YAML, {name of the fold: [test speakers]}
  --validate          for choosing settings: a cell's speakers validate, and those of the fold before, whom its choice will
                      be tested on, are left out altogether
  --jobs=N            cells at a time (default: one per core, on a GPU at most 8); they share the cores, unless
                      OMP_NUM_THREADS says how many threads each has: beside other work, threads that wait for each other are
                      slower than one
  --backend=ray       on a Ray cluster (RAY_ADDRESS, or one that is started here) instead of local processes; all machines
                      must see the folders under the same names. Needs pip install -e ".[cluster]"
  --cell_cpus=N       with Ray: CPUs of a cell (default 1)
  --cell_gpus=X       with Ray: GPUs of a cell, 0.25 for four cells on one (default 0)
  --output_folder=DIR everything goes there (default: results/<YAML's name>/<corpus>/crossvalidation)

All other keys are those of recipes/train.py.
"""

import argparse
import itertools
import json
import pathlib
import shutil
import sys
import urllib.parse

from cells import CACHE, add_worker_options, check_worker_options, run_grid

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.dataio.audio import AudioReader
from mtlaug_sb.dataio.folds import add_fold_options, make_folds
from mtlaug_sb.dataio.preparation import read_corpus
from mtlaug_sb.dataio.records import Records
from mtlaug_sb.dataio.shared_data import corpora_of, corpus_key
from mtlaug_sb.dataio.splits import exclude_speakers, keep_classes, without_strangers
from mtlaug_sb.evaluation.plots import plot_confusion
from mtlaug_sb.evaluation.summary import pool_predictions, splits, summarise
from mtlaug_sb.options import parse_own, read_arguments, read_settings


def main(arguments):
    """Run the grid and write its summary. Returns the summary."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return None
    own, rest = grid_options(arguments)
    hparams_file, run_opts, overrides = read_arguments(rest)
    if "test_speaker" in overrides:
        raise ValueError("--test_speaker is for recipes/train.py: a cross-validation tests every speaker")
    check_worker_options(own)
    hparams = read_settings(hparams_file, overrides)
    name = pathlib.Path(hparams_file).stem
    kind = "validation" if own.validate else "crossvalidation"
    folder = own.output_folder or pathlib.Path(f"results/{name}/{hparams['corpus']}/{kind}")
    read_audio = AudioReader(hparams["sample_rate"], hparams["cache_mb"])
    manifests = {corpus_key(*corpus): dict(read_corpus(*corpus, hparams, read_audio)) for corpus in corpora_of(hparams)}
    records = next(iter(manifests.values()))
    records = labelled(records, hparams)
    folds = make_folds(records, own.folds, own.leave_out, own.folds_file)
    excluded = fold_before(folds) if own.validate else {}
    tested = {s for speakers in folds.values() for s in speakers}
    n_utterances = sum(r["speaker"] in tested for r in records.values())
    seeds = [hparams["seed"] + r for r in range(own.repeats)]
    repeats, cells = {seed: [] for seed in seeds}, {}
    for seed, (fold, speakers) in itertools.product(seeds, folds.items()):
        path = fold_path(folder, seed, fold)
        repeats[seed].append(path)
        cell = {"seed": seed, "test_speaker": speakers, "output_folder": str(path), "tensorboard": False}
        if own.validate:
            cell["excluded_speakers"] = [*hparams["excluded_speakers"], *excluded[fold]]
        cells[path] = {**overrides, **cell}
    run_grid(folder, hparams_file, run_opts, overrides, cells, manifests, read_audio, own)
    summary = write_summary(folder, name, hparams, repeats, n_utterances)
    shutil.rmtree(folder / CACHE, ignore_errors=True)
    return summary


def grid_options(arguments):
    """This recipe's own options, and the arguments that are left."""
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    add_fold_options(parser)
    add_worker_options(parser)
    parser.add_argument("--validate", action="store_true")
    parser.add_argument("--output_folder", type=pathlib.Path)
    return parse_own(parser, arguments)


def fold_before(folds):
    """{fold: the speakers of the fold before it, around the circle}."""
    if len(folds) < 3:
        raise ValueError(
            f"--validate needs three folds: one left out, one to validate, one to train; there are {len(folds)}"
        )
    groups = list(folds.values())
    return dict(zip(folds, [groups[-1], *groups[:-1]], strict=True))


def read_labelled(hparams, read_audio):
    """The manifest of the corpus, its utterances of the classes only."""
    corpus = hparams["corpus"], hparams["corpus_options"], hparams["data_folder"]
    return labelled(read_corpus(*corpus, hparams, read_audio), hparams)


def labelled(records, hparams):
    """The records of the classes and of known speakers, without those of excluded ones; what is left out is said."""
    table = exclude_speakers(without_strangers(Records.of(records)), hparams["excluded_speakers"])
    kept = keep_classes(table, hparams["class_label"], hparams["classes"], hparams["corpus"])
    return {utterance: records[utterance] for utterance in kept}


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
    write_atomically(folder / "splits.json", json.dumps(splits(repeats), indent=1))
    write_atomically(folder / "summary.json", json.dumps(summary, indent=1))  # last: it says that the grid is finished
    print(f"{title} (pooled over {len(summary['folds'])} folds, {uar['n']} repeats; mean over folds {show(fold_mean)})")
    return summary


def show(spread):
    """Mean and standard deviation as people write them."""
    return f"{spread['mean']:.3f}" + (f" +- {spread['std']:.3f}" if spread["std"] is not None else "")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
