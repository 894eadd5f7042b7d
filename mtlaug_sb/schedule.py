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


class Step:
    """A factor that jumps: the last one whose progress is reached.

    Arguments
    ---------
    points : list of (progress, factor)
        Progress from 0 (first step) to 1 (last), increasing from 0 on.

    Raises
    ------
    ValueError
        If progress does not begin at 0 or does not increase.

    Example
    -------
    >>> late_start = Step([[0, 0.0], [0.25, 1.0]])
    >>> late_start(0.2), late_start(0.3)
    (0.0, 1.0)
    """

    def __init__(self, points):
        self.progress, self.factors = zip(*points, strict=True)
        if self.progress[0] != 0 or list(self.progress) != sorted(set(self.progress)):
            raise ValueError(f"the progress of a step's points must begin at 0 and increase, got {self.progress}")

    def __call__(self, progress):
        """The factor at ``progress``."""
        return float(self.factors[np.searchsorted(self.progress, progress, side="right") - 1])


class Cosine:
    """Half a cosine from one factor to another (Loshchilov and Hutter 2017, without restarts).

    Arguments
    ---------
    first, last : float
        The factors at progress 0 and 1.

    Example
    -------
    >>> Cosine()(0.5)
    0.5
    """

    def __init__(self, first=1.0, last=0.0):
        self.first, self.last = first, last

    def __call__(self, progress):
        """The factor at ``progress``."""
        return float(self.last + (self.first - self.last) * (1 + np.cos(np.pi * progress)) / 2)


class Sigmoid:
    """From 0 to nearly 1: 2 / (1 + exp(-steepness * progress)) - 1, as for domain-adversarial training (Ganin et al. 2016).

    Arguments
    ---------
    steepness : float
        The paper's gamma.

    Example
    -------
    >>> round(Sigmoid()(0.5), 3)
    0.987
    """

    def __init__(self, steepness=10.0):
        self.steepness = steepness

    def __call__(self, progress):
        """The factor at ``progress``."""
        return float(2 / (1 + np.exp(-self.steepness * progress)) - 1)
