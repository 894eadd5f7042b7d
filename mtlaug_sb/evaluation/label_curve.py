"""UAR over the number of labelled speakers, a line per kind of unlabelled speech: table and picture."""

import csv
import io

from matplotlib.figure import Figure

COLUMNS = ["unlabelled", "labelled_speakers", "UAR", "UAR_std", "repeats", "mean_of_folds_UAR", "cross_entropy"]


def curve_rows(summaries):
    """The table of a curve.

    Arguments
    ---------
    summaries : dict
        (kind of unlabelled speech, labelled speakers) -> what ``summarise`` made of that point's cells.

    Returns
    -------
    list of dict
        One per point, with ``COLUMNS``; ``UAR_std`` is None of a single repeat.
    """
    return [
        {
            "unlabelled": kind,
            "labelled_speakers": n,
            "UAR": summary["UAR"]["mean"],
            "UAR_std": summary["UAR"]["std"],
            "repeats": summary["UAR"]["n"],
            "mean_of_folds_UAR": summary["mean_of_folds_UAR"]["mean"],
            "cross_entropy": summary["cross_entropy"]["mean"],
        }
        for (kind, n), summary in summaries.items()
    ]


def to_csv(rows):
    """The table as CSV."""
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue()


def to_markdown(rows):
    """The table as Markdown, a column per kind of unlabelled speech: UAR, and its standard deviation over repeats."""
    kinds = list(dict.fromkeys(row["unlabelled"] for row in rows))
    cells = {(row["unlabelled"], row["labelled_speakers"]): _shown(row) for row in rows}
    lines = ["| labelled speakers | " + " | ".join(kinds) + " |", "| --- |" + " --- |" * len(kinds)]
    for n in sorted({row["labelled_speakers"] for row in rows}):
        lines.append(f"| {n} | " + " | ".join(cells.get((kind, n), "") for kind in kinds) + " |")
    return "\n".join(lines) + "\n"


def plot_curve(rows, n_classes, title, path):
    """Draw UAR over labelled speakers, with bars of one standard deviation over repeats, and chance as a dotted line.

    Arguments
    ---------
    rows : list of dict
        Of ``curve_rows``.
    n_classes : int
        Guessing gets 1 / n_classes.
    title : str
        Above it.
    path : str
        PNG file.
    """
    figure = Figure(figsize=(5.4, 3.6), layout="constrained")
    axes = figure.subplots()
    for kind in dict.fromkeys(row["unlabelled"] for row in rows):
        points = sorted((r["labelled_speakers"], r["UAR"], r["UAR_std"] or 0.0) for r in rows if r["unlabelled"] == kind)
        speakers, uars, deviations = zip(*points, strict=True)
        axes.errorbar(speakers, uars, deviations, marker="o", capsize=3, label=kind)
    axes.axhline(1 / n_classes, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="labelled speakers", ylabel="UAR", title=title, xticks=sorted({r["labelled_speakers"] for r in rows}))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", frameon=False, title="unlabelled speech")
    figure.savefig(path, dpi=110)


def _shown(row):
    deviation = f" +- {row['UAR_std']:.3f}" if row["UAR_std"] is not None else ""
    return f"{row['UAR']:.3f}{deviation}"
