"""Losses: values worked out by hand, and independent implementations."""

import pytest
import torch

from mtlaug_sb.losses.center import CenterLoss
from mtlaug_sb.losses.cross_entropy import CrossEntropy
from mtlaug_sb.losses.reconstruction import Reconstruction

ONES = torch.ones(2)


def test_cross_entropy_of_soft_targets():
    logits, targets = torch.randn(2, 3), torch.tensor([[1.0, 0, 0], [0.2, 0.8, 0]])
    by_hand = -(targets * logits.log_softmax(1)).sum(1)
    assert torch.allclose(CrossEntropy()(logits, targets, ONES), by_hand, atol=1e-6)


def test_balanced_cross_entropy_weighs_rare_classes_up():
    loss = CrossEntropy(balanced=True, n_classes=2)
    targets = torch.tensor([[1.0, 0.0]] * 5 + [[0.0, 1.0]])
    values = loss(torch.zeros(6, 2), targets, torch.ones(6))
    # one imagined of each: 6 and 2 seen, mean 4, weights 4/6 and 4/2
    assert torch.allclose(values, torch.tensor([4 / 6] * 5 + [2.0]) * torch.log(torch.tensor(2.0)))
    loss.eval()(torch.zeros(6, 2), targets, torch.ones(6))
    assert loss.seen.tolist() == [6.0, 2.0]


def test_center_loss_value_and_gradient():
    loss = CenterLoss(2, 2)
    loss.centers.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    x = torch.tensor([[4.0, 4.0], [0.0, 0.0]], requires_grad=True)
    values = loss.eval()(x, torch.eye(2), ONES)
    assert values.tolist() == [12.5, 2.0]  # 1/2 (3^2 + 4^2), 1/2 2^2
    values.sum().backward()
    assert x.grad.tolist() == [[3.0, 4.0], [0.0, -2.0]]  # x - c_y


def test_centers_move_as_in_the_paper():
    loss = CenterLoss(3, 1, rate=0.5)
    x, targets = torch.tensor([[2.0], [4.0]]), torch.tensor([[1.0, 0, 0], [1.0, 0, 0]])
    loss(x, targets, ONES)
    # delta = ((0 - 2) + (0 - 4)) / (1 + 2) = -2; c = 0 - 0.5 * -2 = 1; classes not seen stay
    assert loss.centers.squeeze().tolist() == [1.0, 0.0, 0.0]
    loss.eval()(x, targets, ONES)
    assert loss.centers.squeeze().tolist() == [1.0, 0.0, 0.0]


def test_centers_survive_a_nan():
    loss = CenterLoss(2, 2)
    loss(torch.full((2, 2), torch.nan), torch.eye(2), ONES)
    assert torch.isfinite(loss.centers).all()


def test_reconstruction_counts_valid_frames_only():
    target = torch.tensor([[[1.0], [2.0], [torch.nan]], [[0.0], [0.0], [2.0]]])
    prediction = torch.zeros(2, 4, 1, requires_grad=True)  # one frame more than the target: a decoder's upsampling
    values = Reconstruction()(prediction, target, ONES)
    assert values[0].item() == pytest.approx(2.5)
    assert values[1].item() == pytest.approx(4 / 3)
    values.sum().backward()
    assert torch.isfinite(prediction.grad).all()
    assert not prediction.grad[0, 2:].any()


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"logits \(2, 3\) and targets \(2, 4\)"):
        CrossEntropy()(torch.rand(2, 3), torch.rand(2, 4), ONES)
    with pytest.raises(ValueError, match=r"embeddings \(2, 5\)"):
        CenterLoss(3, 4)(torch.rand(2, 5), torch.rand(2, 3), ONES)
    with pytest.raises(ValueError, match="decoder's stride"):
        Reconstruction()(torch.rand(2, 3, 4), torch.rand(2, 5, 4), ONES)
