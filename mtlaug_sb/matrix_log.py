"""The logarithm of covariance matrices."""

import torch

_STEPS = (22, 14, 10, 8, 7)  # of Newton-Schulz for each square root: every root begins nearer to the identity
_TERMS = 30


def matrix_log(matrices):
    """Principal logarithm of symmetric positive definite matrices [..., n, n], in their precision.

    With it covariances can be averaged and compared as vectors are: the log-Euclidean metric (Arsigny, Fillard, Pennec,
    Ayache, "Geometric means in a novel vector space structure on symmetric positive-definite matrices", SIAM J. Matrix
    Anal. Appl. 29(1), 2007). In an exported ONNX file, which knows no eigenvalues, it is computed by matrix products.

    Example
    -------
    >>> matrix_log(torch.diag(torch.tensor([1.0, 10.0]).double())).round(decimals=3).tolist()
    [[0.0, 0.0], [0.0, 2.303]]
    """
    return log_by_products(matrices) if torch.onnx.is_in_onnx_export() else _MatrixLog.apply(matrices)


class _MatrixLog(torch.autograd.Function):
    """By eigenvalues, with a derivative that is finite where two of them are alike, as torch's own is not.

    A matrix that is not finite gives NaN and leaves the others alone, which torch's own refuses.
    """

    @staticmethod
    def forward(ctx, matrices):
        finite = matrices.isfinite().all(-1).all(-1)[..., None, None]
        eye = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
        values, vectors = torch.linalg.eigh(torch.where(finite, matrices, eye))
        ctx.save_for_backward(values, vectors)
        return torch.where(finite, (vectors * values.log().unsqueeze(-2)) @ vectors.mT, torch.nan)

    @staticmethod
    def backward(ctx, gradient):
        """By divided differences (Daleckii and Krein; Higham, "Functions of Matrices", 2008, theorem 3.11)."""
        values, vectors = ctx.saved_tensors
        a, b = values.unsqueeze(-1), values.unsqueeze(-2)
        ratio = (a - b) / (a + b)
        # (log a - log b) / (a - b), by the series of atanh where the difference is small
        near = 2 / (a + b) * (1 + ratio.square() / 3)
        differences = torch.where(ratio.abs() < 1e-4, near, (a.log() - b.log()) / torch.where(a == b, 1.0, a - b))
        inner = vectors.mT @ gradient @ vectors
        return vectors @ (differences * inner) @ vectors.mT


def log_by_products(matrices):
    """As ``matrix_log``, for eigenvalues that are not less than some 1e-6 of their sum.

    Square roots by the coupled Newton-Schulz iteration until the matrix is near the identity (inverse scaling and squaring:
    Higham 2008, chapters 6 and 11), then the series of log(1 - x).
    """
    eye = torch.eye(matrices.shape[-1], dtype=matrices.dtype, device=matrices.device)
    # the eye's product, not a diagonal: ONNX has no trace
    scale = (matrices * eye).sum((-2, -1), keepdim=True)
    root = matrices / scale
    for steps in _STEPS:
        inverse = eye.expand_as(root)
        for _ in range(steps):
            factor = 1.5 * eye - 0.5 * inverse @ root
            root, inverse = root @ factor, factor @ inverse
    rest = eye - root
    series, power = rest, rest
    for k in range(2, _TERMS):
        power = power @ rest
        series = series + power / k
    return scale.log() * eye - 2 ** len(_STEPS) * series
