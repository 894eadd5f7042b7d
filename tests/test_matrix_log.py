"""The matrix logarithm: against SciPy's, by both ways, and its derivative."""

import pytest
import scipy.linalg
import torch

from mtlaug_sb.matrix_log import log_by_products, matrix_log


def covariances(condition, n=12, batch=4):
    generator = torch.Generator().manual_seed(0)
    vectors, _ = torch.linalg.qr(torch.randn(batch, n, n, generator=generator, dtype=torch.float64))
    return (vectors * torch.logspace(0, -condition, n, dtype=torch.float64) * 30) @ vectors.mT


@pytest.mark.parametrize("way", [matrix_log, log_by_products])
@pytest.mark.parametrize("condition", [0, 2, 5])
def test_is_the_logarithm(way, condition):
    matrices = covariances(condition)
    expected = torch.stack([torch.from_numpy(scipy.linalg.logm(m.numpy())) for m in matrices])
    torch.testing.assert_close(way(matrices), expected, rtol=0, atol=1e-8)


def test_gradient():
    matrices = covariances(2, n=4).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: matrix_log((m + m.mT) / 2), matrices)


def test_gradient_of_equal_eigenvalues_is_finite():
    """Silence has a covariance of the floor alone; torch's own derivative of eigenvectors is NaN there."""
    matrix = (3 * torch.eye(5, dtype=torch.float64)).requires_grad_()
    matrix_log(matrix).sum().backward()
    torch.testing.assert_close(matrix.grad, torch.full((5, 5), 1 / 3, dtype=torch.float64))
