"""A worked example: a head in a file of its own."""

import torch
from torch import nn

from mtlaug_sb import register
from mtlaug_sb.masking import valid_mask


@register("head", "statistics")
class Statistics(nn.Module):
    """Classify an utterance from the mean and standard deviation of its frames.

    Arguments
    ---------
    input_size : int
        Dimensions of the encoder's frames.
    n_classes : int
        Classes.
    """

    def __init__(self, input_size, n_classes):
        super().__init__()
        self.output = nn.Linear(2 * input_size, n_classes)

    def forward(self, frames, lengths):
        """``logits`` [batch, n_classes] from frames [batch, frames, input_size] and relative lengths [batch]."""
        valid = valid_mask(lengths, frames.shape[1]).unsqueeze(2)
        count = valid.sum(1)
        mean = torch.where(valid, frames, 0.0).sum(1) / count
        variance = torch.where(valid, (frames - mean.unsqueeze(1)).square(), 0.0).sum(1) / count
        # not the bare root: its gradient is infinite where a dimension is constant, as in silence
        deviation = (variance + 1e-5).sqrt()
        return {"logits": self.output(torch.cat([mean, deviation], dim=1))}
