"""Power spectra on the scale of the utterance itself."""

from mtlaug_sb.masking import absolute_lengths, zero_padding


def on_its_own_scale(power, lengths, relative_floor, keep_level, floor):
    """Power [batch, frames, bands] with a floor of the utterance's own mean power, divided by that mean or not."""
    count = absolute_lengths(lengths, power.shape[1]).view(-1, 1, 1) * power.shape[2]
    mean = zero_padding(power, lengths).sum((1, 2), keepdim=True) / count
    power = power + relative_floor * mean
    return power if keep_level else power / (mean + floor)
