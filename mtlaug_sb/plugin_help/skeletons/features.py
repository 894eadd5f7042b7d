"""A front end."""

PLUGIN = '''"""The front end __NAME__."""

import torch
from torch import nn

from mtlaug_sb import register
from mtlaug_sb.masking import strided_lengths, zero_padding


@register("features", "__NAME__")
class __CLASS__(nn.Module):
    """Logarithm of the power of the waveform, and of its slope, in blocks without overlap.

    Arguments
    ---------
    sample_rate : int
        Hz.
    block_ms : float
        Length of a block in milliseconds.
    """

    def __init__(self, sample_rate=16000, block_ms=10.0):
        super().__init__()
        self.block = round(sample_rate * block_ms / 1000)
        self.output_size = 2  # dimensions of the features

    def forward(self, wavs, lengths):
        """Features [batch, frames, output_size] and their relative lengths, from wavs [batch, time] and theirs."""
        # padding is cleared, and what is left over at the end makes a block too: the same alone and in a batch
        padded = nn.functional.pad(zero_padding(wavs, lengths), (0, -wavs.shape[1] % self.block))
        blocks = padded.unflatten(1, (-1, self.block))
        power = torch.stack([blocks.square().mean(2), blocks.diff(dim=2).square().mean(2)], dim=2)
        lengths = strided_lengths(lengths, wavs.shape[1], self.block)
        return zero_padding((power + 1e-8).log(), lengths), lengths  # silence must not give an infinity
'''

TEST = '''"""Test of the front end __NAME__."""

import math
import pathlib

import torch

from mtlaug_sb import load_plugins, make
from mtlaug_sb.testing import check_plugin

load_plugins(str(pathlib.Path(__file__).with_name("__NAME__.py")))


def test_it_keeps_the_contract_of_front_ends():
    check_plugin("features/__NAME__")


def test_a_value_worked_out_by_hand():
    features, lengths = make("features/__NAME__", sample_rate=1000)(torch.full((1, 20), 0.5), torch.ones(1))
    assert features.shape == (1, 2, 2)
    assert math.isclose(features[0, 0, 0], math.log(0.25), rel_tol=1e-4)
    assert lengths.tolist() == [1.0]
'''
