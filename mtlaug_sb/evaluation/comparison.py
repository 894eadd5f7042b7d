"""Several systems in one table, with how sure it is."""

import csv
import io
import statistics

import numpy as np
import torch

from mtlaug_sb.evaluation.grid_results import check_comparable, fold_uars
from mtlaug_sb.evaluation.significance import compare_pairs, interval, resample_speakers, resampled_uars
from mtlaug_sb.metrics.classification import figures

TEST_NOTE = (
    "Two-sided Wilcoxon signed-rank tests on the UARs of the pairs (differences of zero by Pratt's method), corrected by "
    "Holm's method for {}. Pairs of one speaker with several seeds are not independent, which makes p too small: the "
    "interval of the difference, over speakers, is the safer guide."
)


def compare(results, resamples=10000, seed=0):
    """The comparison as plain data: a row per system, a test per pair of systems.

    Arguments
    ---------
    results : list of GridResult
        Over the same classes, utterances and folds; in whatever order each has its classes, the first one's is used.
    resamples : int
        Of the bootstrap over speakers.
    seed : int
        Of the bootstrap.

    Raises
    ------
    ValueError
        If the systems cannot be compared (see ``check_comparable``).
    """
    check_comparable(results)
    first = results[0]
    counts = resample_speakers(len(first.speakers), resamples, seed)
    return {
        "classes": first.classes,
        "utterances": len(first.truths),
        "left_out": {result.name: result.left_out for result in results if result.left_out},
        "speakers": len(first.speakers),
        "folds": len(first.folds),
        "resamples": resamples,
        "resampling_seed": seed,
        "systems": [_row(result, first.classes, counts) for result in results],
        "tests": compare_pairs(results, counts),
    }


def _row(result, classes, counts):
    """One system's figures."""
    order = [result.classes.index(name) for name in classes]
    pooled = result.confusions.sum(1)[:, order][:, :, order]
    repeats = [figures(torch.from_numpy(confusion), classes) for confusion in pooled]
    mean = {key: statistics.mean(r[key] for r in repeats) for key in repeats[0]}
    return {
        "system": result.name,
        "repeats": len(repeats),
        "seeds": result.seeds,
        "UAR": mean.pop("UAR"),
        "UAR_std": statistics.stdev(r["UAR"] for r in repeats) if len(repeats) > 1 else None,
        "UAR_low": (bounds := interval(resampled_uars(result.confusions, counts)))[0],
        "UAR_high": bounds[1],
        "mean_of_folds_UAR": float(np.mean(fold_uars(result))),
        **mean,
        "confusion": pooled.sum(0).tolist(),
    }


def to_markdown(comparison):
    """The table and the tests as Markdown."""
    classes = [c for c in comparison["classes"] if f"recall/{c}" in comparison["systems"][0]]
    lines = [
        f"| system | UAR | 95 % interval | repeats | mean of folds | WA | macro-F1 | recall {' / '.join(classes)} |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in comparison["systems"]:
        spread = f" +- {row['UAR_std']:.3f}" if row["UAR_std"] is not None else ""
        lines.append(
            f"| {row['system']} | {row['UAR']:.3f}{spread} | {row['UAR_low']:.3f} to {row['UAR_high']:.3f} "
            f"| {row['repeats']} | {row['mean_of_folds_UAR']:.3f} | {row['WA']:.3f} | {row['macro_F1']:.3f} "
            f"| {' / '.join(format(row[f'recall/{c}'], '.2f') for c in classes)} |"
        )
    lines += [
        "",
        f"{comparison['utterances']} utterances of {comparison['speakers']} speakers in {comparison['folds']} folds. UAR is "
        "pooled over all test predictions of a repeat; mean and standard deviation over the repeats. The interval is a "
        f"percentile bootstrap over speakers ({comparison['resamples']} resamples, seed {comparison['resampling_seed']}).",
    ]
    if comparison["left_out"]:
        left_out = ", ".join(f"{name} ({n} utterances)" for name, n in comparison["left_out"].items())
        lines += ["", f"Asked for the likeliest of these classes only, without the utterances of others: {left_out}."]
    tests = comparison["tests"]
    if tests:
        lines += [
            "",
            "| systems | difference in UAR | 95 % interval | pairs | p | p, corrected |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for test in tests:
            low, high = test["interval"]
            lines.append(
                f"| {' - '.join(test['systems'])} | {test['difference']:+.3f} | {low:+.3f} to {high:+.3f} "
                f"| {test['pairs']} {test['pair']} | {test['p']:.3g} | {test['p_holm']:.3g} |"
            )
        lines += [
            "",
            TEST_NOTE.format(f"{len(tests)} {'comparison' if len(tests) == 1 else 'comparisons'}"),
        ]
    return "\n".join(lines) + "\n"


def to_csv(comparison):
    """One line per system, all figures in full."""
    rows = [{k: v for k, v in row.items() if k not in ("confusion", "seeds")} for row in comparison["systems"]]
    table = io.StringIO()
    writer = csv.DictWriter(table, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()
