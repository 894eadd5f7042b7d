"""From the cells of a cross-validation to one figure with its spread."""

import csv
import json
import math
import pathlib
import statistics

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.evaluation.results import count_confusions, read_predictions
from mtlaug_sb.metrics.classification import figures


def summarise(repeats, classes):
    """Pool the folds of each repeat.

    Arguments
    ---------
    repeats : dict
        Seed -> folders of the finished folds of that repeat.
    classes : list of str
        In the order of the confusion matrix.

    Returns
    -------
    dict
        ``UAR``: mean and standard deviation over repeats of the UAR pooled over all test predictions of a repeat, which is
        the headline; the same for the mean of the folds' UARs and for the cross entropy of the true class; every
        repeat's figures; ``folds``: the speakers that are tested together; the confusion matrix of all repeats together.

    Raises
    ------
    ValueError
        If two repeats have different folds.
    """
    tables, folds = {}, {}
    for seed, folders in repeats.items():
        tables[seed] = read_predictions([pathlib.Path(f) / "predictions.csv" for f in folders])
        folds[seed] = [_results(folder)["speakers"]["test"] for folder in folders]
    if any(fold != folds[first] for first in folds for fold in folds.values()):
        raise ValueError(f"the repeats have different folds: {folds}")
    return summarise_rows(tables, next(iter(folds.values())), classes)


def summarise_rows(tables, folds, classes):
    """The same from rows of predictions.

    Arguments
    ---------
    tables : dict
        Seed -> rows, as ``read_predictions`` gives them.
    folds : list of list of str
        Speakers that are tested together; each fold has a UAR of its own.
    classes : list of str
        In the order of the confusion matrix.
    """
    per_repeat, total = {}, 0
    for seed, rows in tables.items():
        confusion = count_confusions(rows, classes)
        parts = [[r for r in rows if r["speaker"] in set(speakers)] for speakers in folds]
        per_repeat[str(seed)] = {
            **figures(confusion, classes),
            "mean_of_folds_UAR": statistics.mean(figures(count_confusions(p, classes), classes)["UAR"] for p in parts),
            # the files have six decimals
            "cross_entropy": statistics.mean(-math.log(max(float(r[f"p_{r['truth']}"]), 1e-6)) for r in rows),
        }
        total = total + confusion
    return {
        "classes": list(classes),
        "folds": folds,
        "utterances": int(total.sum()) // len(tables),
        "UAR": _spread([r["UAR"] for r in per_repeat.values()]),
        "cross_entropy": _spread([r["cross_entropy"] for r in per_repeat.values()]),
        "mean_of_folds_UAR": _spread([r["mean_of_folds_UAR"] for r in per_repeat.values()]),
        "repeats": per_repeat,
        "confusion": total.tolist(),
    }


def splits(repeats):
    """{seed: {cell: its training, validation and test speakers}} of finished cells, {seed: folders}."""
    return {seed: {pathlib.Path(f).name: _results(f)["speakers"] for f in folders} for seed, folders in repeats.items()}


def pool_predictions(paths, pooled, ids=None):
    """Write the rows of the folds' prediction files into one; with ``ids``, of these utterances only."""
    tables = [pathlib.Path(p).read_text(encoding="utf-8").splitlines(keepends=True) for p in paths]
    lines = [line for table in tables for line in table[1:]]
    if ids is not None:
        lines = [line for line in lines if next(csv.reader([line]))[0] in ids]
    write_atomically(pooled, "".join([tables[0][0], *lines]))


def _results(folder):
    return json.loads((pathlib.Path(folder) / "results.json").read_text(encoding="utf-8"))


def _spread(values):
    """Mean and sample standard deviation (None for a single value)."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "std": deviation, "n": len(values)}
