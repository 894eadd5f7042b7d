"""An encoder."""

PLUGIN = '''"""The encoder __NAME__."""

from torch import nn

from mtlaug_sb import register
from mtlaug_sb.masking import zero_padding


@register("encoder", "__NAME__")
class __CLASS__(nn.Module):
    """Dense layers with ReLU, on every frame by itself.

    Arguments
    ---------
    input_size : int
        Dimensions of the features.
    sizes : list of int
        Dimensions of each layer's frames.
    dropout : float
        After every layer.
    """

    def __init__(self, input_size, sizes=(64, 64), dropout=0.1):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in zip([input_size, *sizes], sizes, strict=False))
        self.dropout = nn.Dropout(dropout)
        self.output_size = sizes[-1]  # dimensions of the last layer's frames

    def forward(self, features, lengths):
        """[(frames, lengths), ...] of every layer that a task may sit on, the last one with output_size dimensions.

        features [batch, frames, input_size]; lengths [batch], relative, in (0, 1]. A layer that strides has to return the
        lengths of its own frames: see ``strided_lengths`` in mtlaug_sb.masking.
        """
        result = []
        frames = features
        for layer in self.layers:
            frames = self.dropout(zero_padding(layer(frames).relu(), lengths))
            result.append((frames, lengths))
        return result
'''

TEST = '''"""Test of the encoder __NAME__."""

import pathlib

import torch

from mtlaug_sb import load_plugins, make
from mtlaug_sb.testing import check_plugin

load_plugins(str(pathlib.Path(__file__).with_name("__NAME__.py")))


def test_it_keeps_the_contract_of_encoders():
    check_plugin("encoder/__NAME__")


def test_the_shapes_of_its_layers():
    encoder = make("encoder/__NAME__", input_size=40, sizes=[8, 6])
    layers = encoder(torch.rand(2, 50, 40), torch.tensor([1.0, 0.5]))
    assert [frames.shape for frames, _ in layers] == [(2, 50, 8), (2, 50, 6)]
'''
