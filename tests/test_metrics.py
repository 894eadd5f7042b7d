"""UAR and its relatives against scikit-learn."""

import pytest
import sklearn.metrics
import torch

from mtlaug_sb.metrics.classification import Classification

NAMES = ["a", "b", "c", "d"]


@pytest.mark.parametrize("present", [[0, 1, 2, 3], [0, 2, 3], [1]])
def test_as_scikit_learn(present):
    generator = torch.Generator().manual_seed(len(present))
    truth = torch.tensor(present)[torch.randint(len(present), (200,), generator=generator)]
    logits = torch.rand(200, 4, generator=generator) + torch.eye(4)[truth] * 0.3
    metric = Classification(NAMES)
    for rows in torch.arange(200).split(33):
        metric.update(logits[rows], torch.eye(4)[truth[rows]])
    ours = metric.compute()
    said = logits.argmax(1)
    recalls = sklearn.metrics.recall_score(truth, said, labels=present, average=None)
    assert ours["UAR"] == pytest.approx(recalls.mean())
    if len(present) == 4:
        assert ours["UAR"] == pytest.approx(sklearn.metrics.balanced_accuracy_score(truth, said))
    assert ours["WA"] == pytest.approx(sklearn.metrics.accuracy_score(truth, said))
    assert ours["macro_F1"] == pytest.approx(sklearn.metrics.f1_score(truth, said, labels=present, average="macro"))
    assert {k: v for k, v in ours.items() if k.startswith("recall/")} == pytest.approx(
        {f"recall/{NAMES[c]}": r for c, r in zip(present, recalls, strict=True)}
    )
    expected = sklearn.metrics.confusion_matrix(truth, said, labels=range(4))
    assert metric.confusion.tolist() == expected.tolist()


def test_nothing_seen_gives_nothing_and_reset_forgets():
    metric = Classification(NAMES)
    assert metric.compute() == {}
    metric.update(torch.eye(4), torch.eye(4))
    metric.reset()
    assert metric.compute() == {}
