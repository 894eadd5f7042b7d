"""Mean and standard deviation over an utterance's own frames."""

import torch

from mtlaug_sb.masking import valid_mask


def pool_statistics(frames, lengths):
    """Mean and standard deviation of each dimension (Snyder et al. 2018, x-vectors).

    Arguments
    ---------
    frames : torch.Tensor
        [batch, frames, size].
    lengths : torch.Tensor
        Relative, [batch].

    Returns
    -------
    torch.Tensor
        [batch, 2 * size]: the means, then the deviations.

    Example
    -------
    >>> pool_statistics(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([2 / 3]))
    tensor([[2., 1.]])
    """
    valid = valid_mask(lengths, frames.shape[1]).unsqueeze(2)
    count = valid.sum(1)
    mean = torch.where(valid, frames, 0.0).sum(1) / count
    variance = torch.where(valid, (frames - mean.unsqueeze(1)).square(), 0.0).sum(1) / count
    # the gradient of the bare root is infinite where a dimension is constant, as in silence
    return torch.cat([mean, variance.clamp(min=1e-6).sqrt()], dim=1)
