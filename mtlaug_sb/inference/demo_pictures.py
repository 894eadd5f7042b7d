"""The pictures of the page to try a model on."""

import numpy as np
from matplotlib.figure import Figure

from mtlaug_sb.inference.segments import SILENCE, merge

POINTS = 4000  # of a drawn waveform


def picture_of_recording(wav, sample_rate, features, labels, segments, attention):
    """Waveform with its timeline, spectrogram with the attention over it, and probabilities over time.

    Arguments
    ---------
    wav : numpy.ndarray
        Samples [time].
    sample_rate : int
        Hz.
    features : numpy.ndarray
        [frames, dim].
    labels : list of str
        Classes.
    segments : list of Segment
        The timeline.
    attention : tuple or None
        (start of each frame in seconds, its weight).

    Returns
    -------
    matplotlib.figure.Figure
    """
    seconds = len(wav) / sample_rate
    figure = Figure(figsize=(9, 7), layout="constrained")
    upper, middle, lower = figure.subplots(3, 1, sharex=True)
    step = max(1, len(wav) // POINTS)
    upper.plot(np.arange(0, len(wav), step) / sample_rate, wav[::step], color="black", linewidth=0.5)
    for s in merge(segments):
        colour = f"C{labels.index(s.label)}" if s.label in labels else "white" if s.label == SILENCE else "lightgrey"
        upper.axvspan(s.start_s, s.end_s, color=colour, alpha=0.3, linewidth=0)
        place = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "annotation_clip": False}
        upper.annotate(_plain(s.label), ((s.start_s + s.end_s) / 2, 1), (0, 3), ha="center", fontsize="small", **place)
    upper.set_ylabel("waveform")
    middle.imshow(features.T, origin="lower", aspect="auto", extent=(0, seconds, 0, features.shape[1]), cmap="magma")
    middle.set_ylabel("features")
    if attention is not None:
        starts, weights = attention
        over = middle.twinx()
        over.stairs(weights, [*starts, seconds], color="white", linewidth=1.5)
        over.set(ylim=(0, 1.1 * max(weights)), ylabel="attention")
    edges = [s.start_s for s in segments] + [segments[-1].end_s]
    for i, label in enumerate(labels):
        lower.stairs([s.probabilities[label] for s in segments], edges, color=f"C{i}", label=_plain(label), linewidth=2)
    lower.set(ylim=(0, 1), ylabel="probability", xlabel="time in s", xlim=(0, seconds))
    lower.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return figure


def picture_of_augmentations(effects, labels):
    """Features and probabilities of an utterance under each augmentation, one row each.

    Arguments
    ---------
    effects : dict
        Name -> Effect; the first is the utterance as it is.
    labels : list of str
        Classes.
    """
    figure = Figure(figsize=(9, 1.7 * len(effects) + 0.6), layout="constrained")
    rows = figure.subplots(len(effects), 2, squeeze=False, width_ratios=[3, 1])
    first = next(iter(effects.values()))
    longest = max(len(effect.features) for effect in effects.values())
    low, high = float(first.features.min()), float(first.features.max())
    for (left, right), (name, effect) in zip(rows, effects.items(), strict=True):
        left.imshow(effect.features.numpy().T, origin="lower", aspect="auto", vmin=low, vmax=high, cmap="magma")
        left.set(xlim=(0, longest), ylabel=_plain(name), yticks=[])
        places = range(len(labels))
        right.barh(places, [first.probabilities[n] for n in labels], color="lightgrey", height=0.8)
        right.barh(places, [effect.probabilities[n] for n in labels], color=[f"C{i}" for i in places], height=0.4)
        right.set(xlim=(0, 1), yticks=places, yticklabels=[_plain(n) for n in labels])
        right.invert_yaxis()
    rows[-1][0].set_xlabel("frame")
    rows[-1][1].set_xlabel("probability (grey: as it is)")
    return figure


def _plain(text):
    return str(text).replace("$", r"\$")  # no formulas
