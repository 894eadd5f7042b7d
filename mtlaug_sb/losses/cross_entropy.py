"""Softmax cross entropy with soft targets."""

import torch
from torch import nn

from mtlaug_sb.processes import sum_over_processes
from mtlaug_sb.registry import register


@register("loss", "cross_entropy")
class CrossEntropy(nn.Module):
    """-sum_c p_c log softmax(logits)_c, with p the target's class probabilities.

    Arguments
    ---------
    label_smoothing : float
        Share of the target's mass spread evenly over the classes.
    balanced : bool
        Weigh each class by the inverse of its share among the training targets so far, as UAR does; with all classes
        alike every weight is 1.
    n_classes : int or None
        Needed with ``balanced``.

    Raises
    ------
    ValueError
        If logits and targets are not both [batch, classes].

    Example
    -------
    >>> CrossEntropy()(torch.zeros(1, 4), torch.tensor([[0.0, 1.0, 0.0, 0.0]]), torch.ones(1))
    tensor([1.3863])
    """

    reads = "logits"

    def __init__(self, label_smoothing=0.0, balanced=False, n_classes=None):
        super().__init__()
        if balanced and not n_classes:
            raise ValueError("balanced cross entropy needs n_classes")
        self.label_smoothing = label_smoothing
        self.balanced = balanced
        if balanced:
            # one imagined utterance of each class, so that no weight is infinite
            self.register_buffer("seen", torch.ones(n_classes))

    def forward(self, predictions, targets, lengths):
        """predictions, targets [batch, classes] -> [batch]."""
        if predictions.shape != targets.shape:
            raise ValueError(
                f"cross entropy needs logits and targets of one shape [batch, classes], got logits "
                f"{tuple(predictions.shape)} and targets {tuple(targets.shape)}"
            )
        weight = None
        if self.balanced:
            if self.training:
                self.seen += sum_over_processes(targets.sum(0))
            weight = self.seen.mean() / self.seen
        return nn.functional.cross_entropy(
            predictions, targets, weight, reduction="none", label_smoothing=self.label_smoothing
        )
