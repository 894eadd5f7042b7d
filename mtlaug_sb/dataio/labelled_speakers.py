"""Fewer labelled speakers than there are, for learning curves."""

import random

from mtlaug_sb.dataio.records import Records

LEFT_OUT = ("dropped", "unlabelled")  # what may become of the others' speech


def draw_labelled_speakers(records, n_speakers, seed, stratify_by="gender"):
    """Draw the training speakers whose labels are used.

    The draw is nested: those of ``n_speakers`` are among those of ``n_speakers + 1``, for the same speakers and seed.

    Arguments
    ---------
    records : dict or Records
        Manifest of the training split.
    n_speakers : int or None
        How many; None takes all.
    seed : int
        Of the draw.
    stratify_by : str
        Label whose values take turns, where it is known.

    Returns
    -------
    labelled, left_out : Records
        The manifest, in two parts.

    Raises
    ------
    ValueError
        If there are not so many speakers, or none is asked for.

    Example
    -------
    >>> records = {"a": {"speaker": "1"}, "b": {"speaker": "2"}, "c": {"speaker": "2"}}
    >>> [len(part) for part in draw_labelled_speakers(records, None, seed=0)]
    [3, 0]
    """
    records = Records.of(records)
    if n_speakers is None:
        return records, Records()
    gender = {s: str(g) for s, g in records.latest("speaker", stratify_by).items()}
    order = sorted(gender)
    if not isinstance(n_speakers, int) or not 0 < n_speakers <= len(order):
        raise ValueError(
            f"n_train_speakers is {n_speakers!r}, and {len(order)} speakers are left for training: it must be a whole "
            f"number from 1 to {len(order)}, or null for all"
        )
    random.Random(f"labelled {seed} {order}").shuffle(order)
    turn = {s: sum(gender[other] == gender[s] for other in order[:i]) for i, s in enumerate(order)}
    drawn = set(sorted(order, key=turn.get)[:n_speakers])
    return records.where("speaker", drawn.__contains__), records.where("speaker", lambda s: s not in drawn)
