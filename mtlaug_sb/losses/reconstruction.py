"""Mean squared error of reconstructed features."""

import torch
from torch import nn

from mtlaug_sb.registry import register


@register("loss", "reconstruction")
class Reconstruction(nn.Module):
    """Mean squared error over an utterance's own frames; its padding, NaN in the target, does not count.

    Raises
    ------
    ValueError
        If the reconstruction has fewer frames than the target, or other dimensions.

    Example
    -------
    >>> target = torch.tensor([[[1.0, 3.0], [torch.nan, torch.nan]]])
    >>> Reconstruction()(torch.zeros(1, 2, 2), target, torch.tensor([0.5]))
    tensor([5.])
    """

    reads = "features"

    def forward(self, predictions, targets, lengths):
        """predictions [batch, >= frames, dim], targets [batch, frames, dim] -> [batch]."""
        frames, dim = targets.shape[1:]
        if predictions.shape[1] < frames or predictions.shape[2] != dim:
            raise ValueError(
                f"reconstruction needs at least {frames} frames of {dim}, got {tuple(predictions.shape)}; "
                f"does the decoder's stride equal the product of the encoder's?"
            )
        known = ~targets[:, :, 0].isnan()
        places = known.nonzero(as_tuple=True)
        errors = (predictions[:, :frames][places] - targets[places]).square().mean(1)
        per_frame = torch.zeros_like(known, dtype=errors.dtype).masked_scatter(known, errors)
        return per_frame.sum(1) / known.sum(1)
