"""SpecAugment (Park et al. 2019): masks in time and frequency."""

import torch
from torch import nn

from mtlaug_sb.masking import absolute_lengths, valid_mask
from mtlaug_sb.registry import register


@register("augmentation", "specaugment")
class SpecAugment(nn.Module):
    """Replace bands of time and of frequency by the utterance's mean.

    Arguments
    ---------
    time_masks, frequency_masks : int
        How many of each.
    time_share : float
        Greatest width of a time mask, as a share of the utterance's own frames.
    frequency_share : float
        Greatest width of a frequency mask, as a share of the features' dimensions.
    per_dimension : bool
        What is put in is the mean of each dimension by itself, not of all: for features whose dimensions are no bands of one
        spectrum, such as a pretrained model's.

    Example
    -------
    >>> features = torch.rand(2, 50, 40)
    >>> masked, _, _ = SpecAugment()(features, torch.ones(2), {}, torch.Generator())
    >>> bool((masked != features).any())
    True
    """

    domain = "features"

    def __init__(self, time_masks=2, time_share=0.15, frequency_masks=2, frequency_share=0.15, per_dimension=False):
        super().__init__()
        self.per_dimension = per_dimension
        self.time_masks, self.time_share = time_masks, time_share
        self.frequency_masks, self.frequency_share = frequency_masks, frequency_share

    def forward(self, inputs, lengths, targets, generator):
        """inputs: features [batch, frames, dim]."""
        batch, frames, dim = inputs.shape
        own = absolute_lengths(lengths, frames)
        hidden = _bands(own.cpu(), frames, self.time_masks, self.time_share, generator).unsqueeze(2)
        hidden = hidden | _bands(
            torch.full((batch,), dim), dim, self.frequency_masks, self.frequency_share, generator
        ).unsqueeze(1)
        valid = valid_mask(lengths, frames).unsqueeze(2)
        own = own.view(-1, 1, 1)
        heard = torch.where(valid, inputs, 0.0)
        mean = heard.sum(1, keepdim=True) / own if self.per_dimension else heard.sum((1, 2), keepdim=True) / (own * dim)
        return torch.where(hidden.to(inputs.device) & valid, mean, inputs), lengths, targets


def _bands(sizes, padded, count, share, generator):
    """Steps hidden by ``count`` bands inside each row's own size, bool [batch, padded]; a band may have width 0."""
    shape = (len(sizes), count)
    widths = (torch.rand(shape, generator=generator) * (sizes.unsqueeze(1) * share + 1)).long()
    starts = (torch.rand(shape, generator=generator) * (sizes.unsqueeze(1) - widths + 1)).long()
    steps = torch.arange(padded).view(1, 1, -1)
    inside = (steps >= starts.unsqueeze(2)) & (steps < (starts + widths).unsqueeze(2))
    return inside.any(dim=1)
