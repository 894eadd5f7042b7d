"""A target."""

PLUGIN = '''"""The target __NAME__."""

import torch

from mtlaug_sb import register


@register("target", "__NAME__")
class __CLASS__:
    """A number of the manifest, such as arousal, brought from [low, high] to [0, 1].

    Arguments
    ---------
    label : str
        Key in the manifest.
    low, high : float
        Ends of the label's scale.
    """

    def __init__(self, label, low=1.0, high=5.0):
        if low >= high:
            raise ValueError(f"low {low} must be less than high {high}")
        self.label, self.low, self.high = label, low, high

    def learn(self, records):
        """See the training records, once: a list of classes could be taken from them. There is nothing to learn here."""

    def __call__(self, record):
        """The target [1] of a record of the manifest, a dictionary label -> value; NaN where the label is missing."""
        value = float(record.get(self.label, torch.nan))
        return torch.tensor([(value - self.low) / (self.high - self.low)])

    # what the checks try it with
    example = {"label": "arousal"}

    @staticmethod
    def example_records():
        """Records that have the label."""
        return [{"path": "a.wav", "arousal": 2.5}, {"path": "b.wav", "arousal": 4}, {"path": "c.wav"}]
'''

TEST = '''"""Test of the target __NAME__."""

import pathlib

from mtlaug_sb import load_plugins, make
from mtlaug_sb.testing import check_plugin

load_plugins(str(pathlib.Path(__file__).with_name("__NAME__.py")))


def test_it_keeps_the_contract_of_targets():
    check_plugin("target/__NAME__")


def test_a_value_worked_out_by_hand():
    target = make("target/__NAME__", label="valence")
    assert target({"valence": 2}).tolist() == [0.25]  # (2 - 1) / (5 - 1)
    assert target({}).isnan().all()
'''
