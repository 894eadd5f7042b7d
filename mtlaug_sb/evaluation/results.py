"""What a finished run leaves behind: predictions.csv and results.json."""

import csv
import importlib.metadata
import io
import os
import pathlib
import platform

import torch

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.metrics.classification import figures

PACKAGES = ("mtlaug_sb", "speechbrain", "torch", "torchaudio", "hyperpyyaml", "numpy", "scipy", "soundfile")


def write_predictions(path, rows, records, names, more=None):
    """Write one line per test utterance: id, speaker, truth, prediction, a probability per class.

    Arguments
    ---------
    path : str
        CSV file.
    rows : list of (id, truth, probabilities)
        Truth is an index into ``names``.
    records : dict
        Manifest of the test split.
    names : list of str
        Classes in the order of the probabilities.
    more : dict or None
        Further columns: name -> {utterance: value}.
    """
    more = more or {}
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["id", "speaker", "truth", "prediction", *(f"p_{name}" for name in names), *more])
    place = {utterance: i for i, utterance in enumerate(records)}
    for utterance, truth, probabilities in sorted(rows, key=lambda row: place[row[0]]):
        best = max(range(len(names)), key=probabilities.__getitem__)
        shown = [f"{p:.6f}" for p in probabilities]
        further = [values[utterance] for values in more.values()]
        writer.writerow([utterance, records[utterance]["speaker"], names[truth], names[best], *shown, *further])
    write_atomically(path, table.getvalue())


def read_predictions(paths):
    """All rows of prediction files, as dictionaries.

    Raises
    ------
    ValueError
        If an utterance is in them twice.
    """
    rows = []
    for path in paths:
        with open(path, newline="", encoding="utf-8") as file:
            rows += csv.DictReader(file)
    if len({r["id"] for r in rows}) < len(rows):
        raise ValueError(f"an utterance occurs twice in {', '.join(map(str, paths))}")
    return rows


def count_confusions(rows, names):
    """Confusion matrix [truth, prediction] of rows with ``truth`` and ``prediction``."""
    confusion = torch.zeros(len(names), len(names), dtype=torch.long)
    for row in rows:
        confusion[names.index(row["truth"]), names.index(row["prediction"])] += 1
    return confusion


def collect_results(folder, hparams, splits, rows, training):
    """Write predictions.csv into the run's folder, and return what results.json is to hold.

    Arguments
    ---------
    folder : str
        Output folder.
    hparams : dict
        Of the run.
    splits : dict
        Manifests by split.
    rows : list
        As for ``write_predictions``.
    training : dict
        What is worth keeping of the training: settings, best epoch, seconds, figures of other tasks.
    """
    names = hparams["classes"]
    folder = pathlib.Path(folder)
    write_predictions(folder / "predictions.csv", rows, splits["test"], names)
    confusion = count_confusions(read_predictions([folder / "predictions.csv"]), names)
    return {
        "corpus": hparams["corpus"],
        "synthetic": any(r["corpus"] == "synthetic" for r in splits["test"].values()),
        "seed": hparams["seed"],
        "classes": names,
        "test": figures(confusion, names),
        "confusion": confusion.tolist(),
        "utterances": {split: len(records) for split, records in splits.items()},
        "speakers": {
            split: sorted({r["speaker"] for r in records.values() if r["speaker"] is not None})
            for split, records in splits.items()
        },
        **training,
        "machine": {
            "processor": platform.machine(),
            "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "versions": versions(),
    }


def versions():
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
