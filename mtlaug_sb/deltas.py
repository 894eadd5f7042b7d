"""How features change over time: regression coefficients, and theirs."""

import torch

from mtlaug_sb.masking import absolute_lengths, zero_padding


def append_deltas(features, lengths, orders, reach=2):
    """Features with their deltas of first to ``orders``-th order behind them.

    d_t = sum_n n (c_{t+n} - c_{t-n}) / (2 sum_n n^2), n = 1 ... reach (Young et al., The HTK Book, "Delta, Acceleration and
    Third Differential Coefficients"): beyond its first and its last frame, an utterance stays what it is there. Its deltas
    are the same alone and in a padded batch.

    Arguments
    ---------
    features : torch.Tensor
        [batch, frames, dim].
    lengths : torch.Tensor
        Relative, [batch].
    orders : int
        1 for deltas, 2 for those of the deltas, too; 0 gives the features as they are.
    reach : int
        Frames to either side.

    Returns
    -------
    torch.Tensor
        [batch, frames, (1 + orders) * dim]; padding is zero.

    Example
    -------
    >>> append_deltas(torch.arange(5.0).view(1, 5, 1), torch.ones(1), orders=1)[0, :, 1]
    tensor([0.5000, 0.8000, 1.0000, 0.8000, 0.5000])
    """
    steps = torch.arange(features.shape[1], device=features.device)
    last = absolute_lengths(lengths, features.shape[1]).unsqueeze(1) - 1

    def at(frames, shift):
        index = (steps + shift).clamp(min=0).minimum(last)
        return frames.gather(1, index.unsqueeze(2).expand_as(frames))

    every = [zero_padding(features, lengths)]
    for _ in range(orders):
        slopes = sum(n * (at(every[-1], n) - at(every[-1], -n)) for n in range(1, reach + 1))
        every.append(zero_padding(slopes / (2 * sum(n * n for n in range(1, reach + 1))), lengths))
    return torch.cat(every, dim=2) if orders else every[0]
