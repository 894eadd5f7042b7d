"""A metric."""

PLUGIN = '''"""The metric __NAME__."""

from mtlaug_sb import register


@register("metric", "__NAME__")
class __CLASS__:
    """Share of the utterances whose class is among the likeliest ones.

    Arguments
    ---------
    n_likeliest : int
        How many classes may be named.
    """

    # the prediction of the head that is given: logits, values, embedding, features, or what your head calls it
    reads = "logits"

    def __init__(self, n_likeliest=2):
        self.n_likeliest = n_likeliest
        self.reset()

    def reset(self):
        """Forget everything: a new stage begins."""
        self.hits = self.total = 0

    def update(self, predictions, targets):
        """Add the labelled rows of a batch: predictions and targets [batch, classes]."""
        likeliest = predictions.topk(min(self.n_likeliest, predictions.shape[1]), dim=1).indices
        self.hits += (likeliest == targets.argmax(1, keepdim=True)).sum().item()
        self.total += len(targets)

    def compute(self):
        """The figures by name, of everything since the last reset; none where nothing was seen."""
        return {f"top_{self.n_likeliest}": self.hits / self.total} if self.total else {}
'''

TEST = '''"""Test of the metric __NAME__."""

import pathlib

import torch

from mtlaug_sb import load_plugins, make
from mtlaug_sb.testing import check_plugin

load_plugins(str(pathlib.Path(__file__).with_name("__NAME__.py")))


def test_it_keeps_the_contract_of_metrics():
    check_plugin("metric/__NAME__")


def test_a_value_worked_out_by_hand():
    metric = make("metric/__NAME__", n_likeliest=2)
    metric.update(torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]]), torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    assert metric.compute() == {"top_2": 0.5}
'''
