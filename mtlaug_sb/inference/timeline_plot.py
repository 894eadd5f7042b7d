"""A picture of a recording's emotions over time."""

from matplotlib.figure import Figure

from mtlaug_sb.inference.segments import SILENCE, merge


def plot_timeline(segments, labels, path, title=""):
    """Draw the probabilities over time, and below them the label, as a PNG file.

    Arguments
    ---------
    segments : list of Segment
        Of one recording.
    labels : list of str
        Classes.
    path : str
        PNG file.
    title : str
        Above it.
    """
    figure_of_timeline(segments, labels, title).savefig(path, dpi=110)


def figure_of_timeline(segments, labels, title=""):
    """The picture as a matplotlib Figure."""
    segments = list(segments)
    figure = Figure(figsize=(10, 4), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[5, 1])
    edges = [s.start_s for s in segments] + [segments[-1].end_s] if segments else [0.0, 0.0]
    for i, label in enumerate(labels):
        steps = [s.probabilities[label] for s in segments]
        upper.stairs(steps, edges, color=f"C{i}", label=_plain(label), linewidth=1.5)
    upper.set(ylim=(0, 1), ylabel="probability", title=_plain(title))
    upper.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    upper.grid(alpha=0.3)
    for s in merge(segments):
        colour = f"C{labels.index(s.label)}" if s.label in labels else "white" if s.label == SILENCE else "lightgrey"
        lower.axvspan(s.start_s, s.end_s, color=colour, alpha=0.6, linewidth=0)
        if segments and s.end_s - s.start_s > 0.08 * edges[-1]:
            lower.text((s.start_s + s.end_s) / 2, 0.5, _plain(s.label), ha="center", va="center", fontsize="small")
    lower.set(yticks=[], xlabel="time in s", xlim=(0, edges[-1] or 1))
    return figure


def _plain(text):
    return str(text).replace("$", r"\$")  # no formulas
