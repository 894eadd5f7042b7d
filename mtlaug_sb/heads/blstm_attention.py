"""The emotion classifier: bidirectional LSTM, attention pooling, dense layers."""

import torch
from torch import nn

from mtlaug_sb.attention import AttentionPooling
from mtlaug_sb.frame_batch_norm import FrameBatchNorm
from mtlaug_sb.masking import reverse_valid
from mtlaug_sb.registry import register
from mtlaug_sb.statistics_pooling import N_FUNCTIONALS, pool_functionals


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
    input_dropout : float
        Before the LSTMs.
    functionals : bool
        The dense layer also sees functionals of the frames over the utterance (see ``pool_functionals``), normalised over
        the batch: attention alone says what the telling moments were like, and not how much the voice varied.
    functionals_dropout : float
        Of these.
    functionals_floor : float
        Added to the variance that each of these is divided by: one that hardly varies in the training recordings, such as a
        percentile at the floor of the spectrum, may vary in others, and must not count many times over.

    Example
    -------
    >>> predictions = BLSTMAttention(8, n_classes=4)(torch.rand(2, 9, 8), torch.tensor([1.0, 4 / 9]))
    >>> {name: tuple(p.shape) for name, p in predictions.items()}
    {'logits': (2, 4), 'embedding': (2, 64), 'attention': (2, 9)}
    """

    def __init__(
        self,
        input_size,
        n_classes,
        hidden=64,
        dense=64,
        dropout=0.3,
        input_dropout=0.0,
        functionals=False,
        functionals_dropout=0.5,
        functionals_floor=1e-5,
    ):
        super().__init__()
        # two one-way LSTMs, the backward one over each utterance reversed within its own length: exact for padded
        # batches, and about three times as fast on CPU as a packed sequence
        self.forwards = nn.LSTM(input_size, hidden, batch_first=True)
        self.backwards = nn.LSTM(input_size, hidden, batch_first=True)
        self.pooling = AttentionPooling(2 * hidden)
        n_functionals = functionals * N_FUNCTIONALS * input_size
        self.norm = FrameBatchNorm(n_functionals, eps=functionals_floor) if functionals else None
        self.dense = nn.Linear(2 * hidden + n_functionals, dense)
        self.dropout = nn.Dropout(dropout)
        self.input_dropout = nn.Dropout(input_dropout)
        self.functionals_dropout = nn.Dropout(functionals_dropout)
        self.output = nn.Linear(dense, n_classes)

    def forward(self, frames, lengths):
        """``logits`` [batch, classes], ``embedding`` [batch, dense], ``attention`` [batch, frames]."""
        dropped = self.input_dropout(frames)
        forwards, _ = self.forwards(dropped)
        backwards, _ = self.backwards(reverse_valid(dropped, lengths))
        states = torch.cat([forwards, reverse_valid(backwards, lengths)], dim=2)
        pooled, attention = self.pooling(states, lengths)
        pooled = self.dropout(pooled)
        if self.norm is not None:
            functionals = self.functionals_dropout(self.norm(pool_functionals(frames.float(), lengths)))
            pooled = torch.cat([pooled, functionals], dim=1)
        embedding = self.dense(pooled)
        return {
            "logits": self.classify(embedding),
            "embedding": embedding,
            "attention": attention,
        }

    def classify(self, embedding):
        """Logits [batch, classes] of embeddings [batch, dense]."""
        return self.output(self.dropout(embedding.relu()))
