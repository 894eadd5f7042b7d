"""A weighting."""

PLUGIN = '''"""The weighting __NAME__."""

from torch import nn

from mtlaug_sb import register


@register("weighting", "__NAME__")
class __CLASS__(nn.Module):
    """Mean of the tasks' objectives, weighted by the YAML's weights."""

    def forward(self, objectives, weights):
        """The loss to be minimised, a scalar, from objectives {task: scalar} and weights {task: float}.

        Tasks whose target is absent are left out of both; an objective is zero where the batch has no labelled row.
        """
        total = sum(weights[name] * objective for name, objective in objectives.items())
        # a schedule may have brought every weight to zero
        return total / max(sum(weights.values()), 1e-8)
'''

TEST = '''"""Test of the weighting __NAME__."""

import pathlib

import torch

from mtlaug_sb import load_plugins, make
from mtlaug_sb.testing import check_plugin

load_plugins(str(pathlib.Path(__file__).with_name("__NAME__.py")))


def test_it_keeps_the_contract_of_weightings():
    check_plugin("weighting/__NAME__")


def test_a_value_worked_out_by_hand():
    weighting = make("weighting/__NAME__")
    total = weighting({"a": torch.tensor(2.0), "b": torch.tensor(6.0)}, {"a": 3.0, "b": 1.0})
    assert total == 3.0  # (3 * 2 + 1 * 6) / 4
'''
