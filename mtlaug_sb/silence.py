"""The silence before and after an utterance."""

import torch

from mtlaug_sb.masking import valid_mask


def speech_span(power, lengths, below_db):
    """First frame, int64 [batch], and number of frames, int64 [batch], from the first to the last that is loud enough.

    Arguments
    ---------
    power : torch.Tensor
        [batch, frames, bands].
    lengths : torch.Tensor
        Relative, [batch].
    below_db : float
        A frame is silent whose power is so far below that of the utterance's loudest frame.

    Example
    -------
    >>> speech_span(torch.tensor([[[0.0], [2.0], [0.0], [4.0], [0.001]]]), torch.ones(1), below_db=30)
    (tensor([1]), tensor([3]))
    """
    size = power.shape[1]
    frames = torch.arange(size, device=power.device)
    # without an in-place or size-dependent step: a model is exported with this in it
    energy = torch.where(valid_mask(lengths, size), power.sum(2), -1.0)
    loud = energy >= energy.amax(1, keepdim=True) * 10 ** (-below_db / 10)
    first = torch.where(loud, frames, size).amin(1)
    last = torch.where(loud, frames, 0).amax(1)
    return first, last - first + 1


def trim_silence(power, lengths, below_db):
    """``power`` [batch, frames, bands] from the first loud frame to the last, and its lengths; see ``speech_span``."""
    first, steps = speech_span(power, lengths, below_db)
    index = (first.unsqueeze(1) + torch.arange(steps.max(), device=power.device)).clamp(max=power.shape[1] - 1)
    trimmed = power.gather(1, index.unsqueeze(2).expand(-1, -1, power.shape[2]))
    return trimmed, steps.double() / trimmed.shape[1]
