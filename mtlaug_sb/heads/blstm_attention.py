"""The emotion classifier: bidirectional LSTM, attention pooling, dense layers."""

import torch
from torch import nn

from mtlaug_sb.attention import AttentionPooling
from mtlaug_sb.masking import reverse_valid
from mtlaug_sb.registry import register
from mtlaug_sb.statistics_pooling import pool_statistics


@register("head", "blstm_attention")
class BLSTMAttention(nn.Module):
    """Classify an utterance from all its frames (Latif et al. 2023, section 3; the sizes are ours).

    Arguments
    ---------
    input_size : int
        Dimensions of the encoder's frames.
    n_classes : int
        Classes.
    hidden : int
        LSTM cells per direction.
    dense : int
        Units of the dense layer; its output is the embedding that centre loss looks at.
    dropout : float
        Before and after the dense layer.
    statistics : bool
        The dense layer also sees mean and standard deviation, over the utterance, of the LSTMs' states and of the frames:
        attention alone says what the telling moments were like, and not how much the voice varied.

    Example
    -------
    >>> predictions = BLSTMAttention(8, n_classes=4)(torch.rand(2, 9, 8), torch.tensor([1.0, 4 / 9]))
    >>> {name: tuple(p.shape) for name, p in predictions.items()}
    {'logits': (2, 4), 'embedding': (2, 64), 'attention': (2, 9)}
    """

    def __init__(self, input_size, n_classes, hidden=64, dense=64, dropout=0.3, statistics=False):
        super().__init__()
        # two one-way LSTMs, the backward one over each utterance reversed within its own length: exact for padded
        # batches, and about three times as fast on CPU as a packed sequence
        self.forwards = nn.LSTM(input_size, hidden, batch_first=True)
        self.backwards = nn.LSTM(input_size, hidden, batch_first=True)
        self.pooling = AttentionPooling(2 * hidden)
        self.statistics = statistics
        self.dense = nn.Linear((6 * hidden + 2 * input_size) if statistics else 2 * hidden, dense)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(dense, n_classes)

    def forward(self, frames, lengths):
        """``logits`` [batch, classes], ``embedding`` [batch, dense], ``attention`` [batch, frames]."""
        forwards, _ = self.forwards(frames)
        backwards, _ = self.backwards(reverse_valid(frames, lengths))
        states = torch.cat([forwards, reverse_valid(backwards, lengths)], dim=2)
        pooled, attention = self.pooling(states, lengths)
        if self.statistics:
            pooled = torch.cat([pooled, pool_statistics(states, lengths), pool_statistics(frames, lengths)], dim=1)
        embedding = self.dense(self.dropout(pooled))
        return {
            "logits": self.classify(embedding),
            "embedding": embedding,
            "attention": attention,
        }

    def classify(self, embedding):
        """Logits [batch, classes] of embeddings [batch, dense]."""
        return self.output(self.dropout(embedding.relu()))
