"""A classifier of the mean and standard deviation of the frames."""

from torch import nn

from mtlaug_sb.registry import register
from mtlaug_sb.statistics_pooling import pool_statistics


@register("head", "statistics_pooling")
class StatisticsPooling(nn.Module):
    """Classify an utterance from its frames' mean and standard deviation, by dense layers (Snyder et al. 2018, x-vectors).

    Arguments
    ---------
    input_size : int
        Dimensions of the encoder's frames.
    n_classes : int
        Classes.
    dense : int
        Units of the dense layer; its output, normalised, is the embedding.
    dropout : float
        Before and after the dense layer.

    Example
    -------
    >>> import torch
    >>> predictions = StatisticsPooling(8, n_classes=4)(torch.rand(2, 9, 8), torch.tensor([1.0, 4 / 9]))
    >>> {name: tuple(p.shape) for name, p in predictions.items()}
    {'logits': (2, 4), 'embedding': (2, 64)}
    """

    def __init__(self, input_size, n_classes, dense=64, dropout=0.5):
        super().__init__()
        self.dense = nn.Linear(2 * input_size, dense)
        self.norm = nn.LayerNorm(dense)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(dense, n_classes)

    def forward(self, frames, lengths):
        """``logits`` [batch, classes], ``embedding`` [batch, dense]."""
        pooled = pool_statistics(frames, lengths)
        embedding = self.norm(self.dense(self.dropout(pooled)))
        return {"logits": self.classify(embedding), "embedding": embedding}

    def classify(self, embedding):
        """Logits [batch, classes] of embeddings [batch, dense]."""
        return self.output(self.dropout(embedding.relu()))
