"""A linear classifier of the mean and standard deviation of the frames."""

from torch import nn

from mtlaug_sb.frame_batch_norm import FrameBatchNorm
from mtlaug_sb.registry import register
from mtlaug_sb.statistics_pooling import pool_statistics


@register("head", "statistics_pooling")
class StatisticsPooling(nn.Module):
    """A linear classifier of the frames' mean and standard deviation (pooled as in Snyder et al. 2018, x-vectors).

    Both are normalised over the batch, so that no dimension counts for its size. With few utterances and many dimensions, as
    of a pretrained front end, this generalises better than dense layers. The weights begin near zero: of thousands of
    them, what no utterance asks for is not left at what chance put there.

    Arguments
    ---------
    input_size : int
        Dimensions of the encoder's frames.
    n_classes : int
        Classes.
    dropout : float
        Share of the statistics left out in training.

    Example
    -------
    >>> import torch
    >>> predictions = StatisticsPooling(8, n_classes=4)(torch.rand(2, 9, 8), torch.tensor([1.0, 4 / 9]))
    >>> {name: tuple(p.shape) for name, p in predictions.items()}
    {'logits': (2, 4), 'embedding': (2, 16)}
    """

    def __init__(self, input_size, n_classes, dropout=0.0):
        super().__init__()
        self.norm = FrameBatchNorm(2 * input_size, affine=False)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(2 * input_size, n_classes)
        nn.init.normal_(self.output.weight, std=1e-3)

    def forward(self, frames, lengths):
        """``logits`` [batch, classes]; ``embedding`` [batch, 2 * input_size], the normalised statistics."""
        embedding = self.norm(pool_statistics(frames, lengths))
        return {"logits": self.classify(embedding), "embedding": embedding}

    def classify(self, embedding):
        """Logits [batch, classes] of embeddings."""
        return self.output(self.dropout(embedding))
