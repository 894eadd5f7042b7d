"""A loss."""

PLUGIN = '''"""The loss __NAME__."""

from torch import nn

from mtlaug_sb import register


@register("loss", "__NAME__")
class __CLASS__(nn.Module):
    """Squared difference between the predicted and the true probabilities (Brier score).

    Arguments
    ---------
    scale : float
        Factor of the logits before they become probabilities.
    """

    # the prediction of the head that is given: logits, values, embedding, features, or what your head calls it
    reads = "logits"

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale

    def forward(self, predictions, targets, lengths):
        """One value per utterance, [batch]; never an average over the batch.

        predictions, targets [batch, classes], of those utterances that have a target; lengths [batch], relative.
        """
        if predictions.shape != targets.shape:
            raise ValueError(f"predictions {list(predictions.shape)} and targets {list(targets.shape)} must have one shape")
        probabilities = (self.scale * predictions).softmax(1)
        return (probabilities - targets).square().sum(1)

    # If the check's own predictions and targets do not fit, say which do:
    # @staticmethod
    # def example_data():
    #     return torch.rand(4, 7), torch.rand(4, 7)
'''

TEST = '''"""Test of the loss __NAME__."""

import pathlib

import torch

from mtlaug_sb import load_plugins, make
from mtlaug_sb.testing import check_plugin

load_plugins(str(pathlib.Path(__file__).with_name("__NAME__.py")))


def test_it_keeps_the_contract_of_losses():
    check_plugin("loss/__NAME__")


def test_a_value_worked_out_by_hand():
    loss = make("loss/__NAME__")
    values = loss(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]), torch.ones(1))
    assert torch.allclose(values, torch.tensor([0.5]))  # (0.5 - 1)^2 + (0.5 - 0)^2
'''
