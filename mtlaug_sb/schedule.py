"""Factors that change over training: for the learning rate and for a task's weight."""

import numpy as np


class Curve:
    """A factor over training progress, straight between the points given.

    Arguments
    ---------
    points : list of (progress, factor)
        Progress from 0 (first step) to 1 (last); constant outside the points.

    Raises
    ------
    ValueError
        If progress does not increase within [0, 1].

    Example
    -------
    >>> warm_up_and_decay = Curve([[0, 0.1], [0.2, 1.0], [1.0, 0.0]])
    >>> warm_up_and_decay(0.6)
    0.5
    """

    def __init__(self, points):
        self.progress, self.factors = zip(*points, strict=True)
        if list(self.progress) != sorted(self.progress) or self.progress[0] < 0 or self.progress[-1] > 1:
            raise ValueError(f"the progress of a curve's points must increase within [0, 1], got {self.progress}")

    def __call__(self, progress):
        """The factor at ``progress``."""
        return float(np.interp(progress, self.progress, self.factors))
