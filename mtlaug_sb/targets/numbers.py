"""Continuous labels."""

import torch

from mtlaug_sb.registry import register


@register("target", "numbers")
class Numbers:
    """One or several continuous labels, such as arousal, valence, dominance.

    Arguments
    ---------
    labels : list of str
        Keys in the manifest; each may be missing by itself.

    Example
    -------
    >>> Numbers(["arousal", "valence"])({"arousal": 3.5})
    tensor([3.5000,    nan])
    """

    def __init__(self, labels):
        self.labels = list(labels)
        self.size = len(self.labels)

    def learn(self, records):
        """Nothing to learn."""

    def __call__(self, record):
        """Values [len(labels)]."""
        return torch.tensor([float(record.get(label, torch.nan)) for label in self.labels])
