"""The pictures of a report: curves over conditions, speakers, loss terms, embeddings. Each is a matplotlib Figure."""

import csv
from collections import defaultdict

import numpy as np
from matplotlib.figure import Figure

ACROSS = 3  # panels in a row
MANY = 12  # speakers: more get a colour scale in place of a legend


def figure_of_levels(panels, unit, chance):
    """UAR against the strength of a condition, a panel per condition, a line with its band per system.

    Arguments
    ---------
    panels : dict
        Title -> {system: rows with ``level``, ``UAR``, ``UAR_low``, ``UAR_high``; level None is the clean condition}.
    unit : str
        Label of the axis of levels.
    chance : float
        UAR of guessing.
    """
    figure, axes = _panels(len(panels))
    systems = list(dict.fromkeys(system for curves in panels.values() for system in curves))
    for ax, (title, curves) in zip(axes, panels.items(), strict=False):
        levels = sorted({row["level"] for rows in curves.values() for row in rows if row["level"] is not None})
        # in decibels much is little disturbance: the clean end is to the left, and every level gets the same room
        levels = levels[::-1] if "dB" in unit else levels
        places = {None: 0} | {level: k for k, level in enumerate(levels, start=1)}
        for system, rows in curves.items():
            rows = sorted(rows, key=lambda row: places[row["level"]])
            x = [places[row["level"]] for row in rows]
            colour = f"C{systems.index(system)}"
            ax.plot(x, [row["UAR"] for row in rows], marker="o", markersize=4, color=colour, label=_plain(system))
            ax.fill_between(x, *([row[k] for row in rows] for k in ("UAR_low", "UAR_high")), color=colour, alpha=0.15, lw=0)
        ax.axhline(chance, color="grey", linewidth=0.8, linestyle=":")
        ax.set(title=_plain(title), ylim=(0, 1), xticks=list(places.values()))
        ax.set_xticklabels(["clean", *(f"{level:g}" for level in levels)])
        ax.grid(alpha=0.3)
    figure.supxlabel(unit, fontsize="medium")
    figure.supylabel("UAR", fontsize="medium")
    lines = {line.get_label(): line for ax in axes for line in ax.lines if not line.get_label().startswith("_")}
    axes[0].legend(lines.values(), lines.keys(), fontsize="small", frameon=False)
    return figure


def figure_of_speakers(uars):
    """The UAR of every speaker under every system; a line is a speaker.

    Arguments
    ---------
    uars : dict
        System -> {speaker: UAR}.
    """
    systems, speakers = list(uars), sorted({s for values in uars.values() for s in values})
    figure = Figure(figsize=(3 + 1.5 * len(systems), 4.2), layout="constrained")
    ax = figure.subplots()
    for k, speaker in enumerate(speakers):
        # beside one another, as many speakers have the same figure
        x = [i + 0.3 * ((k + 0.5) / len(speakers) - 0.5) for i in range(len(systems))]
        colour = f"C{k % 10}" if len(speakers) <= MANY else "tab:blue"
        y = [uars[system].get(speaker, np.nan) for system in systems]
        ax.plot(x, y, color=colour, marker="o", markersize=4, linewidth=0.6, alpha=0.8, label=_plain(speaker))
    means = [np.mean(list(uars[system].values())) for system in systems]
    ax.hlines(
        means, [i - 0.3 for i in range(len(systems))], [i + 0.3 for i in range(len(systems))], color="black", linewidth=2
    )
    ax.set(
        xticks=range(len(systems)), ylim=(0, 1.03), ylabel="UAR of a speaker (bar: mean)", xlim=(-0.6, len(systems) - 0.4)
    )
    ax.set_xticklabels(map(_plain, systems), rotation=20, ha="right")
    ax.grid(alpha=0.3, axis="y")
    if len(speakers) <= MANY:
        ax.legend(title="speaker", fontsize="small", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def figure_of_loss_terms(tables):
    """Every loss term over the epochs: mean over trainings, and their standard deviation as a band.

    Arguments
    ---------
    tables : list of str
        ``train_log.csv`` of the trainings of one system.

    Returns
    -------
    Figure or None
        None where no table has a loss.
    """
    curves = defaultdict(lambda: defaultdict(list))
    for table in tables:
        with open(table, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for column in rows[0] if rows else ():
            stage, _, term = column.partition("/")
            if stage in ("train", "valid") and term and not _is_metric(term):
                curves[term][stage].append([float(r[column] or "nan") for r in rows])
    curves = {
        t: c for t, c in curves.items() if any(not np.isnan(v).all() for runs in c.values() for v in map(np.array, runs))
    }
    if not curves:
        return None
    figure, axes = _panels(len(curves))
    for ax, term in zip(axes, sorted(curves), strict=False):
        for stage, runs in sorted(curves[term].items()):
            length = min(map(len, runs))
            values = np.array([run[:length] for run in runs])
            mean, deviation, epochs = values.mean(0), values.std(0), np.arange(1, length + 1)
            colour = {"train": "C0", "valid": "C1"}[stage]
            ax.plot(epochs, mean, color=colour, label=stage)
            ax.fill_between(epochs, mean - deviation, mean + deviation, color=colour, alpha=0.2, lw=0)
        ax.set_title(_plain(term), fontsize="medium")
        ax.grid(alpha=0.3)
        ax.legend(fontsize="small", frameon=False)
    figure.supxlabel("epoch", fontsize="medium")
    return figure


def figure_of_embeddings(places, tested, colourings):
    """Utterances as points in two dimensions, once per colouring; those of tested speakers are large and have an edge.

    Arguments
    ---------
    places : array
        [utterances, 2].
    tested : array of bool
        [utterances].
    colourings : dict
        What the colour says -> a name per utterance.
    """
    figure = Figure(figsize=(5.4 * len(colourings), 4.6), layout="constrained")
    for ax, (what, names) in zip(figure.subplots(1, len(colourings), squeeze=False)[0], colourings.items(), strict=True):
        kinds = sorted(set(names))
        names = np.array(names)
        for k, kind in enumerate(kinds):
            rows = names == kind
            colour = f"C{k % 10}" if len(kinds) <= 10 else _scale(k / len(kinds))
            ax.scatter(*places[rows & ~tested].T, s=14, color=colour, alpha=0.6, linewidths=0)
            ax.scatter(*places[rows & tested].T, s=34, color=colour, edgecolors="black", linewidths=0.6, label=_plain(kind))
        ax.set(title=f"by {what}", xticks=[], yticks=[])
        if len(kinds) <= MANY:
            ax.legend(fontsize="small", frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _is_metric(term):
    # UAR, macro_F1, CCC/arousal: losses are written small
    return term != term.lower() or "recall/" in term or term == "skipped_steps"


def _panels(n):
    across = min(n, ACROSS)
    down = -(-n // across)
    figure = Figure(figsize=(4.1 * across, 3.1 * down), layout="constrained")
    axes = figure.subplots(down, across, squeeze=False).flat
    axes = list(axes)
    for ax in axes[n:]:
        ax.remove()
    return figure, axes[:n]


def _scale(share):
    import matplotlib

    return matplotlib.colormaps["turbo"](share)


def _plain(text):
    return str(text).replace("$", r"\$")  # no formulas
