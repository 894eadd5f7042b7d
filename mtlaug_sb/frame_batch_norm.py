"""Batch normalisation whose running statistics survive a NaN."""

import torch
from torch import nn


class FrameBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of valid frames [frames, size], without padding (Ioffe and Szegedy 2015).

    A step whose gradient is not finite is skipped by the loop; here its statistics are not kept either.

    Example
    -------
    >>> norm = FrameBatchNorm(8)
    >>> _ = norm(torch.full((5, 8), torch.nan))
    >>> norm.running_mean.isnan().any()
    tensor(False)
    """

    def forward(self, frames):
        """Normalised frames [frames, size]."""
        if not self.training and not self.affine:  # ONNX's own operation wants to be told the size
            return (frames - self.running_mean) * torch.rsqrt(self.running_var + self.eps)
        if len(frames) < 2:  # one frame has no variance
            return nn.functional.batch_norm(
                frames, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        before = self.running_mean.clone(), self.running_var.clone()
        normalised = super().forward(frames)
        usable = torch.isfinite(self.running_mean + self.running_var).all()
        for now, then in zip((self.running_mean, self.running_var), before, strict=True):
            # past autograd, which holds the statistics and does not need them in training
            now.data.copy_(torch.where(usable, now, then))
        return normalised
