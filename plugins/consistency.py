"""Consistency: one answer for an utterance and for its augmented copy, so that speech without labels teaches too."""

import torch
from torch import nn

from mtlaug_sb import register


@register("loss", "consistency")
class Consistency(nn.Module):
    """KL divergence of the prediction on the augmented view from that on the clean view (Xie et al. 2020, equation 1).

    No gradient flows into the clean view's prediction. Where mixup mixed utterances, the target is their predictions mixed
    alike (Verma et al. 2019).

    Arguments
    ---------
    confidence : float
        The clean view's best probability below which an utterance does not count (Xie et al. 2020, section 2.3).
    temperature : float
        Below 1, sharpens the clean view's prediction.
    """

    reads = "logits"

    def __init__(self, confidence=0.0, temperature=1.0):
        super().__init__()
        self.confidence, self.temperature = confidence, temperature

    def as_target(self, prediction):
        """Class probabilities [batch, classes] from the logits on the clean view."""
        return (prediction.detach() / self.temperature).softmax(1)

    def forward(self, predictions, targets, lengths):
        """predictions, targets [batch, classes] -> [batch]."""
        divergence = (torch.xlogy(targets, targets) - targets * predictions.log_softmax(1)).sum(1)
        return torch.where(targets.amax(1) >= self.confidence, divergence, 0.0)
