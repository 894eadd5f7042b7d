"""An augmentation."""

PLUGIN = '''"""The augmentation __NAME__."""

import torch
from torch import nn

from mtlaug_sb import register


@register("augmentation", "__NAME__")
class __CLASS__(nn.Module):
    """Make each utterance louder or quieter.

    Arguments
    ---------
    low_db, high_db : float
        The gain is drawn between them, in decibels.
    """

    domain = "waveform"  # or "features"

    def __init__(self, low_db=-12.0, high_db=12.0):
        super().__init__()
        if low_db > high_db:
            raise ValueError(f"low_db {low_db} is greater than high_db {high_db}")
        self.low_db, self.high_db = low_db, high_db

    def forward(self, inputs, lengths, targets, generator):
        """The three, changed: inputs, lengths, targets.

        inputs: wavs [batch, time] (of the domain "features": [batch, frames, dim]), a copy; lengths [batch], relative, in
        (0, 1]; targets {name: [batch, ...]}, missing is NaN. All chance comes from ``generator``, which is on the CPU.
        """
        shares = torch.rand(len(inputs), 1, generator=generator).to(inputs.device)
        gains_db = self.low_db + (self.high_db - self.low_db) * shares
        return inputs * 10 ** (gains_db / 20), lengths, targets
'''

TEST = '''"""Test of the augmentation __NAME__."""

import pathlib

import torch

from mtlaug_sb import load_plugins, make
from mtlaug_sb.testing import check_plugin

load_plugins(str(pathlib.Path(__file__).with_name("__NAME__.py")))


def test_it_keeps_the_contract_of_augmentations():
    check_plugin("augmentation/__NAME__")


def test_a_value_worked_out_by_hand():
    effect = make("augmentation/__NAME__", low_db=20.0, high_db=20.0)
    wavs, _, _ = effect(torch.tensor([[0.1, -0.2]]), torch.ones(1), {}, torch.Generator())
    assert torch.allclose(wavs, torch.tensor([[1.0, -2.0]]))  # 20 dB: ten times the amplitude
'''
