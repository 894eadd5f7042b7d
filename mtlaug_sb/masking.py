"""Lengths, masks and what must not see padding.

Lengths are relative, as in SpeechBrain: ``lengths[i]`` in (0, 1] is the valid share of row i, so that
``round(lengths[i] * size)`` steps of it are speech and the rest is padding.
"""

import torch


def absolute_lengths(lengths, size):
    """Valid steps of each row, int64 [batch], from relative lengths [batch] and the padded size."""
    # in float64: float32 misses by one step from some eight million on
    return (lengths.double() * size).round().long()


def valid_mask(lengths, size):
    """True where a step is speech, bool [batch, size], from relative lengths [batch]."""
    return torch.arange(size, device=lengths.device) < absolute_lengths(lengths, size).unsqueeze(1)


def valid_steps(lengths, size):
    """Rows and steps, both int64 [n], of all that is speech: an index of frames [batch, size, ...].

    A mask as an index is turned into this wherever it is used, backwards as well, and a GPU is waited for each time.
    """
    return valid_mask(lengths, size).nonzero(as_tuple=True)


def zero_padding(frames, lengths):
    """``frames`` [batch, frames, ...] with its padding set to zero; relative lengths [batch]."""
    mask = valid_mask(lengths, frames.shape[1])
    return torch.where(mask.view(*mask.shape, *[1] * (frames.ndim - 2)), frames, 0.0)


def rows_where(mask):
    """The rows for which ``mask`` [batch] is true, as an index; of all of them it selects a view, and spares the copies."""
    rows = mask.nonzero().squeeze(1)
    return slice(None) if len(rows) == len(mask) else rows


def trim(frames, lengths):
    """``frames`` [batch, frames, ...] cut to the longest valid row, and the relative lengths that then hold."""
    steps = absolute_lengths(lengths, frames.shape[1])
    size = int(steps.max())
    return frames[:, :size], steps / size


def stack_rows(*sequences):
    """Several (frames [batch, frames, ...], relative lengths [batch]) as one, padded with zeros to the longest."""
    size = max(frames.shape[1] for frames, _ in sequences)
    rows = torch.cat([torch.cat([f, f.new_zeros(len(f), size - f.shape[1], *f.shape[2:])], dim=1) for f, _ in sequences])
    return rows, torch.cat([absolute_lengths(lengths, f.shape[1]) for f, lengths in sequences]) / size


def strided_lengths(lengths, size, stride):
    """Relative lengths after a layer that keeps every ``stride``-th step: ceil(n / stride) of ceil(size / stride)."""
    kept = -(-absolute_lengths(lengths, size) // stride)
    return kept / -(-size // stride)


def reverse_valid(frames, lengths):
    """Each row of ``frames`` [batch, frames, dim] reversed within its own length; padding stays where it is."""
    size = frames.shape[1]
    steps = torch.arange(size, device=frames.device)
    mirrored = absolute_lengths(lengths, size).unsqueeze(1) - 1 - steps
    index = torch.where(mirrored >= 0, mirrored, steps)
    return frames.gather(1, index.unsqueeze(2).expand_as(frames))


def labelled_rows(targets):
    """Rows that carry a target, bool [batch], from targets [batch, ...] in which missing is NaN."""
    return (targets == targets).flatten(1).any(dim=1)  # a NaN is unequal to itself
