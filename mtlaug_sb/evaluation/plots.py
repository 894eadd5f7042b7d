"""Pictures of a run: learning curves and the confusion matrix."""

import csv
from collections import defaultdict


def _figure(**options):
    # imported here: it takes a second, and most runs of a grid draw nothing
    from matplotlib.figure import Figure

    return Figure(**options)


def plot_learning_curves(table, path, best_epoch=None):
    """Draw every column of a history (CSV) over the epochs, train and validation in one panel per name.

    Arguments
    ---------
    table : str
        The run's ``train_log.csv``.
    path : str
        PNG file.
    best_epoch : int or None
        Marked by a line.
    """
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    panels = defaultdict(dict)
    for column in rows[0].keys() - {"epoch"}:
        stage, _, name = column.partition("/")
        if "recall/" not in name:
            panels[name or stage][stage if name else ""] = [float(r[column] or "nan") for r in rows]
    epochs = [int(r["epoch"]) for r in rows]
    across = 4
    down = -(-len(panels) // across)
    figure = _figure(figsize=(4 * across, 2.6 * down), layout="constrained")
    for axes, name in zip(figure.subplots(down, across, squeeze=False).flat, sorted(panels), strict=False):
        for stage, values in sorted(panels[name].items()):
            axes.plot(epochs, values, label=stage, color={"train": "C0", "valid": "C1"}.get(stage, "C2"))
        if best_epoch is not None:
            axes.axvline(best_epoch, color="grey", linewidth=0.8, linestyle=":")
        axes.set_title(name, fontsize="medium")
        if any(panels[name]):
            axes.legend(fontsize="small", frameon=False)
        axes.grid(alpha=0.3)
    for axes in figure.axes[len(panels) :]:
        axes.remove()
    figure.supxlabel("epoch", fontsize="medium")
    figure.savefig(path, dpi=110)


def plot_confusion(confusion, names, title, path):
    """Draw a confusion matrix: counts as text, the share of each true class as colour.

    Arguments
    ---------
    confusion : array of int
        [truth, prediction].
    names : list of str
        Classes.
    title : str
        Above it.
    path : str
        PNG file.
    """
    figure = _figure(figsize=(1.6 + 0.9 * len(names), 1.4 + 0.8 * len(names)), layout="constrained")
    axes = figure.subplots()
    shares = [[n / max(sum(row), 1) for n in row] for row in confusion]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, row in enumerate(confusion):
        for j, n in enumerate(row):
            colour = "white" if shares[i][j] > 0.6 else "black"
            axes.text(j, i, f"{n}\n{100 * shares[i][j]:.0f} %", ha="center", va="center", color=colour)
    axes.set(xticks=range(len(names)), yticks=range(len(names)), xlabel="prediction", ylabel="truth", title=title)
    axes.set_xticklabels(names, rotation=30, ha="right")
    axes.set_yticklabels(names)
    figure.savefig(path, dpi=110)


def plot_recalls(recalls, names, path):
    """Draw the recall of every class, a group of bars per class and a bar per system.

    Arguments
    ---------
    recalls : dict
        System -> recalls in the order of ``names``, in [0, 1].
    names : list of str
        Classes.
    path : str
        PNG file.
    """
    figure = _figure(figsize=(2 + len(names) * (0.5 + 0.25 * len(recalls)), 3.4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(recalls)
    for k, (system, values) in enumerate(recalls.items()):
        places = [i + (k - (len(recalls) - 1) / 2) * width for i in range(len(names))]
        bars = axes.bar(places, values, width, label=system)
        axes.bar_label(bars, labels=[f"{value:.2f}" for value in values], fontsize="x-small", rotation=90, padding=2)
    axes.axhline(1 / len(names), color="grey", linewidth=0.8, linestyle=":")
    axes.set(xticks=range(len(names)), ylim=(0, 1.15), ylabel="recall")
    axes.set_xticklabels(names)
    axes.legend(fontsize="small", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(path, dpi=110)
