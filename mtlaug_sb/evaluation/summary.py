"""From the cells of a cross-validation to one figure with its spread."""

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
    per_repeat, total, folds = {}, 0, {}
    for seed, folders in repeats.items():
        paths = [pathlib.Path(f) / "predictions.csv" for f in folders]
        rows = read_predictions(paths)
        confusion = count_confusions(rows, classes)
        cells = [json.loads((pathlib.Path(f) / "results.json").read_text()) for f in folders]
        folds[seed] = [cell["speakers"]["test"] for cell in cells]
        per_repeat[str(seed)] = {
            **figures(confusion, classes),
            "mean_of_folds_UAR": statistics.mean(cell["test"]["UAR"] for cell in cells),
            # the files have six decimals
            "cross_entropy": statistics.mean(-math.log(max(float(r[f"p_{r['truth']}"]), 1e-6)) for r in rows),
        }
        total = total + confusion
    if any(fold != folds[first] for first in folds for fold in folds.values()):
        raise ValueError(f"the repeats have different folds: {folds}")
    return {
        "classes": list(classes),
        "folds": next(iter(folds.values())),
        "utterances": int(total.sum()) // len(repeats),
        "UAR": _spread([r["UAR"] for r in per_repeat.values()]),
        "cross_entropy": _spread([r["cross_entropy"] for r in per_repeat.values()]),
        "mean_of_folds_UAR": _spread([r["mean_of_folds_UAR"] for r in per_repeat.values()]),
        "repeats": per_repeat,
        "confusion": total.tolist(),
    }


def pool_predictions(paths, pooled):
    """Write the rows of the folds' prediction files into one."""
    tables = [pathlib.Path(p).read_text(encoding="utf-8").splitlines(keepends=True) for p in paths]
    write_atomically(pooled, "".join([tables[0][0], *(line for table in tables for line in table[1:])]))


def _spread(values):
    """Mean and sample standard deviation (None for a single value)."""
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "std": deviation, "n": len(values)}
