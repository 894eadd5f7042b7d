"""Power spectra on the scale of the utterance itself."""

import torch

from mtlaug_sb.masking import absolute_lengths, valid_mask


def on_its_own_scale(power, lengths, relative_floor, keep_level, floor):
    """Power [batch, frames, bands] with a floor of the utterance's own mean power, divided by that mean or not."""
    valid = valid_mask(lengths, power.shape[1]).unsqueeze(2)
    count = absolute_lengths(lengths, power.shape[1]).view(-1, 1, 1) * power.shape[2]
    mean = torch.where(valid, power, 0.0).sum((1, 2), keepdim=True) / count
    power = power + relative_floor * mean
    return power if keep_level else power / (mean + floor)
