"""A small classifier: attention pooling and one dense layer."""

from torch import nn

from mtlaug_sb.attention import AttentionPooling
from mtlaug_sb.registry import register


@register("head", "attentive")
class Attentive(nn.Module):
    """Classify an utterance by attention over the encoder's frames, with nothing recurrent.

    Arguments
    ---------
    input_size : int
        Dimensions of the encoder's frames.
    n_classes : int
        Classes.
    dense : int
        Units of the dense layer.
    dropout : float
        After the dense layer.

    Example
    -------
    >>> import torch
    >>> Attentive(8, n_classes=4)(torch.rand(2, 9, 8), torch.ones(2))["logits"].shape
    torch.Size([2, 4])
    """

    def __init__(self, input_size, n_classes, dense=64, dropout=0.2):
        super().__init__()
        self.pooling = AttentionPooling(input_size)
        self.dense = nn.Linear(input_size, dense)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(dense, n_classes)

    def forward(self, frames, lengths):
        """``logits`` [batch, classes], ``embedding`` [batch, dense], ``attention`` [batch, frames]."""
        pooled, attention = self.pooling(frames, lengths)
        embedding = self.dense(pooled)
        return {
            "logits": self.classify(embedding),
            "embedding": embedding,
            "attention": attention,
        }

    def classify(self, embedding):
        """Logits [batch, classes] of embeddings [batch, dense]."""
        return self.output(self.dropout(embedding.relu()))
