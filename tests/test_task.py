"""A task selects labelled rows before its losses, and keeps the graph without any."""

import pytest
import torch
from torch import nn

from mtlaug_sb import make
from mtlaug_sb.averages import Averages
from mtlaug_sb.schedule import Curve
from mtlaug_sb.targets.categories import Categories
from mtlaug_sb.targets.numbers import Numbers
from mtlaug_sb.task import Task


def emotion_task(**options):
    return Task("emotion", make("head/attentive", input_size=4, n_classes=3), {"ce": make("loss/cross_entropy")}, **options)


def test_unlabelled_rows_do_not_count_and_get_no_gradient_through_the_loss():
    task = emotion_task().eval()
    frames = torch.rand(3, 5, 4, requires_grad=True)
    targets = torch.eye(3)
    targets[1] = torch.nan
    predictions, terms = task(frames, torch.ones(3), targets)
    labelled = [0, 2]
    expected = -(predictions["logits"].log_softmax(1) * torch.eye(3)).sum(1)[labelled].mean()
    assert torch.allclose(terms["ce"], expected)
    terms["ce"].backward()
    assert torch.isfinite(frames.grad).all()
    assert not frames.grad[1].any()


def test_a_batch_without_a_label_is_zero_and_reaches_every_parameter():
    task = emotion_task()
    _, terms = task(torch.rand(2, 5, 4), torch.ones(2), torch.full((2, 3), torch.nan))
    assert terms["ce"].item() == 0.0
    task.objective(terms).backward()
    assert all(p.grad is not None and not p.grad.any() for p in task.parameters())


class Shown:
    """A metric that remembers what it was shown."""

    reads = "logits"

    def __init__(self):
        self.updates = []

    def update(self, predictions, targets):
        self.updates.append((predictions, targets))


def test_metrics_see_labelled_rows_and_no_batch_without_any():
    metric = Shown()
    task = emotion_task(metrics=[metric])
    targets = torch.eye(3)
    targets[1] = torch.nan
    logits = torch.rand(3, 30, requires_grad=True)[:, :3]
    task.update_metrics({"logits": logits}, targets)
    task.update_metrics({"logits": logits}, torch.full((3, 3), torch.nan))
    task.update_metrics({"logits": logits}, torch.eye(3))
    (some, their_targets), (every, _) = metric.updates
    assert torch.equal(some, logits.detach()[[0, 2]])
    assert torch.equal(their_targets, torch.eye(3)[[0, 2]])
    assert len(every) == 3
    assert every.untyped_storage().nbytes() == every.nbytes  # a copy: what is kept is not all that it was a part of
    assert not some.requires_grad


def test_a_loss_that_reads_what_the_head_does_not_give():
    task = Task("x", make("head/decoder", input_size=4, output_size=3), {"ce": make("loss/cross_entropy")})
    with pytest.raises(ValueError, match=r"'ce' reads the prediction 'logits', and Decoder gives \['features'\]"):
        task(torch.rand(2, 5, 4), torch.ones(2), torch.eye(3)[:2])


class Squared(nn.Module):
    """A loss that looks at no shape."""

    reads = "logits"

    def forward(self, predictions, targets, lengths):
        return (predictions - targets).square().mean(1)


class OfTheInput(nn.Module):
    """A head that tells the first of what the encoder saw."""

    reads_input = True

    def forward(self, frames, lengths, features, feature_lengths):
        return {"logits": features[:, 0] + 0 * frames[:, 0]}


class BothViews(Squared):
    def as_target(self, prediction):
        return prediction


def test_a_head_that_reads_the_input_gets_that_of_each_view():
    task = Task("x", OfTheInput(), {"squared": BothViews()})
    frames, lengths = torch.rand(2, 5, 3), torch.ones(2)
    seen, clean = torch.zeros(2, 9, 3), torch.full((2, 9, 3), 2.0)
    inputs = [(seen, lengths), (clean, lengths)]
    _, terms = task(frames, lengths, torch.zeros(2, 3), (frames, lengths), torch.eye(2), inputs=inputs)
    assert terms["squared"].item() == 4.0


class Broadcast(Squared):
    def forward(self, predictions, targets, lengths):
        return (predictions - targets).square()


@pytest.mark.parametrize(
    ("loss", "classes", "says"),
    [
        (Squared(), 2, r"'sq' does not fit predictions \(2, 3\) and targets \(2, 2\)"),
        (
            Broadcast(),
            1,
            r"one value per utterance, \(2,\), and gave \(2, 3\) for predictions \(2, 3\) and targets \(2, 1\)",
        ),
    ],
)
def test_a_head_that_does_not_fit_its_loss_is_told_of_with_both_shapes(loss, classes, says):
    task = Task("x", make("head/attentive", input_size=4, n_classes=3), {"sq": loss})
    with pytest.raises(ValueError, match=says):
        task(torch.rand(2, 5, 4), torch.ones(2), torch.ones(2, classes))


def test_loss_weights_must_name_losses():
    with pytest.raises(ValueError, match="centre"):
        emotion_task(loss_weights={"centre": 0.1})


def test_objective_weights_its_losses():
    task = emotion_task(loss_weights={"ce": 0.5})
    assert task.objective({"ce": torch.tensor(4.0)}).item() == 2.0


def test_curve():
    curve = Curve([[0, 0.1], [0.5, 1.0], [1, 0.0]])
    assert [curve(p) for p in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([0.1, 0.55, 1.0, 0.5, 0.0])
    with pytest.raises(ValueError, match="must increase"):
        Curve([[0.5, 1], [0, 0]])


def test_averages_leave_out_what_is_not_finite_and_weigh():
    averages = Averages()
    averages.add({"a": torch.tensor(1.0), "b": torch.tensor(torch.nan)}, weight=3)
    averages.add({"a": torch.tensor(5.0)}, weight=torch.tensor(1))
    averages.add({"a": torch.tensor(torch.inf)})
    assert averages.compute() == {"a": 2.0}


def test_categories_learn_from_training_records_only_up_to_their_size():
    target = Categories("speaker", size=2)
    target.learn([{"speaker": "b"}, {"speaker": "a"}, {"speaker": "b"}])
    assert target.names == ["a", "b"]
    assert target({"speaker": "b"}).tolist() == [0, 1]
    assert target({"speaker": "stranger"}).isnan().all()
    with pytest.raises(ValueError, match="3 classes, and the head has room for 2"):
        Categories("speaker", size=2).learn([{"speaker": s} for s in "abc"])


def test_numbers_may_be_missing_one_by_one():
    assert Numbers(["v", "a"])({"v": "2.5"}).isnan().tolist() == [False, True]
