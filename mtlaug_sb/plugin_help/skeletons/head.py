"""A head."""

PLUGIN = '''"""The head __NAME__."""

from torch import nn

from mtlaug_sb import register
from mtlaug_sb.masking import valid_mask


@register("head", "__NAME__")
class __CLASS__(nn.Module):
    """Classify an utterance by the mean of its frames.

    Arguments
    ---------
    input_size : int
        Dimensions of the encoder's frames.
    n_classes : int
        Classes.
    dropout : float
        Before the last layer.
    """

    def __init__(self, input_size, n_classes, dropout=0.2):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(input_size, n_classes)

    def forward(self, frames, lengths):
        """Predictions by name, each with the batch first: ``logits`` [batch, n_classes].

        frames [batch, frames, input_size], and never to be changed in place; lengths [batch], relative, in (0, 1].
        """
        # padding must not count: an utterance has one answer, alone and in any batch
        valid = valid_mask(lengths, frames.shape[1]).unsqueeze(2)
        mean = (frames * valid).sum(1) / valid.sum(1)
        return {"logits": self.output(self.dropout(mean))}
'''

TEST = '''"""Test of the head __NAME__."""

import pathlib

import torch

from mtlaug_sb import load_plugins, make
from mtlaug_sb.testing import check_plugin

load_plugins(str(pathlib.Path(__file__).with_name("__NAME__.py")))


def test_it_keeps_the_contract_of_heads():
    check_plugin("head/__NAME__")


def test_the_shape_of_its_predictions():
    head = make("head/__NAME__", input_size=8, n_classes=4)
    predictions = head(torch.rand(2, 9, 8), torch.tensor([1.0, 5 / 9]))
    assert predictions["logits"].shape == (2, 4)
'''
