"""Softmax cross entropy with soft targets."""

from torch import nn

from mtlaug_sb.registry import register


@register("loss", "cross_entropy")
class CrossEntropy(nn.Module):
    """-sum_c p_c log softmax(logits)_c, with p the target's class probabilities.

    Arguments
    ---------
    label_smoothing : float
        Share of the target's mass spread evenly over the classes.

    Raises
    ------
    ValueError
        If logits and targets are not both [batch, classes].

    Example
    -------
    >>> import torch
    >>> CrossEntropy()(torch.zeros(1, 4), torch.tensor([[0.0, 1.0, 0.0, 0.0]]), torch.ones(1))
    tensor([1.3863])
    """

    reads = "logits"

    def __init__(self, label_smoothing=0.0):
        super().__init__()
        self.label_smoothing = label_smoothing

    def forward(self, predictions, targets, lengths):
        """predictions, targets [batch, classes] -> [batch]."""
        if predictions.shape != targets.shape:
            raise ValueError(
                f"cross entropy needs logits and targets of one shape [batch, classes], got logits "
                f"{tuple(predictions.shape)} and targets {tuple(targets.shape)}"
            )
        return nn.functional.cross_entropy(predictions, targets, reduction="none", label_smoothing=self.label_smoothing)
