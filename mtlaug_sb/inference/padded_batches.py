"""Utterances of all lengths in padded batches."""

import torch
from torch.nn.utils.rnn import pad_sequence


def padded_batches(wavs, batch_size):
    """(indices, wavs [batch, time], relative lengths [batch]) of samples [time] each, the longest together.

    Example
    -------
    >>> [rows for rows, _, _ in padded_batches([torch.ones(2), torch.ones(9), torch.ones(8)], 2)]
    [[1, 2], [0]]
    """
    order = sorted(range(len(wavs)), key=lambda i: -len(wavs[i]))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        yield rows, *padded([wavs[i] for i in rows])


def padded(wavs):
    """Wavs [batch, time] and relative lengths [batch] of samples [time] each."""
    together = pad_sequence(wavs, batch_first=True)
    return together, torch.tensor([len(wav) / together.shape[1] for wav in wavs], dtype=torch.float64)
