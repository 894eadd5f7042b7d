"""Utterances of all lengths in padded batches."""

import torch


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
        size = len(wavs[rows[0]])
        padded = torch.stack([torch.nn.functional.pad(wavs[i], (0, size - len(wavs[i]))) for i in rows])
        yield rows, padded, torch.tensor([len(wavs[i]) / size for i in rows], dtype=torch.float64)
