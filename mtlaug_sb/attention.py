"""Attention pooling over an utterance's own frames."""

import torch
from torch import nn

from mtlaug_sb.masking import valid_mask


class AttentionPooling(nn.Module):
    """z = sum_i alpha_i h_i with alpha the softmax of a learned score of each frame (Latif et al. 2023, section 3).

    Arguments
    ---------
    size : int
        Dimensions of a frame.

    Example
    -------
    >>> pooled, weights = AttentionPooling(4)(torch.rand(2, 7, 4), torch.tensor([1.0, 3 / 7]))
    >>> pooled.shape, weights[1].count_nonzero().item()
    (torch.Size([2, 4]), 3)
    """

    def __init__(self, size):
        super().__init__()
        self.score = nn.Linear(size, 1)

    def forward(self, frames, lengths):
        """Pooled [batch, size] and weights [batch, frames] from frames [batch, frames, size]."""
        scores = self.score(frames).squeeze(2)
        scores = scores.masked_fill(~valid_mask(lengths, frames.shape[1]), -torch.inf)
        weights = scores.softmax(dim=1)
        return (weights.unsqueeze(1) @ frames).squeeze(1), weights
