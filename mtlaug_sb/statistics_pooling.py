"""What an utterance's own frames were like over its time, in a fixed number of dimensions."""

import torch

from mtlaug_sb.masking import absolute_lengths, valid_mask

PERCENTILES = (5, 25, 50, 75, 95)
N_FUNCTIONALS = 4 + len(PERCENTILES)


def pool_mean(frames, lengths):
    """Mean [batch, size] of each dimension of frames [batch, frames, size] with relative lengths [batch]."""
    valid = valid_mask(lengths, frames.shape[1]).unsqueeze(2)
    return torch.where(valid, frames, 0.0).sum(1) / valid.sum(1)


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
    mean = pool_mean(frames, lengths)
    variance = pool_mean((frames - mean.unsqueeze(1)).square(), lengths)
    # the gradient of the bare root is infinite where a dimension is constant, as in silence
    return torch.cat([mean, variance.clamp(min=1e-6).sqrt()], dim=1)


def pool_functionals(frames, lengths):
    """Functionals of each dimension, of the kind that openSMILE takes (Eyben et al. 2010).

    Arguments
    ---------
    frames : torch.Tensor
        [batch, frames, size].
    lengths : torch.Tensor
        Relative, [batch].

    Returns
    -------
    torch.Tensor
        [batch, N_FUNCTIONALS * size]: mean, standard deviation, mean size and root mean square of the change from frame to
        frame, and the percentiles 5, 25, 50, 75 and 95, interpolated linearly.

    Example
    -------
    >>> pool_functionals(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([2 / 3]))
    tensor([[2.0000, 1.0000, 2.0000, 2.0000, 1.1000, 1.5000, 2.0000, 2.5000, 2.9000]])
    """
    size, dim = frames.shape[1:]
    steps = absolute_lengths(lengths, size).unsqueeze(1)
    earlier, later = frames[:, :-1], frames[:, 1:]
    changes = later - earlier
    changing = (torch.arange(1, size, device=frames.device) < steps).unsqueeze(2)
    changes = torch.where(changing, changes, 0.0)
    count = (steps - 1).clamp(min=1)
    mean_change = changes.abs().sum(1) / count
    mean_square = changes.square().sum(1) / count
    ordered = frames.masked_fill(~valid_mask(lengths, size).unsqueeze(2), torch.inf).sort(dim=1).values
    place = (steps - 1) * torch.tensor(PERCENTILES, device=frames.device) / 100
    below = place.floor().long().unsqueeze(2).expand(-1, -1, dim)
    above = place.ceil().long().unsqueeze(2).expand(-1, -1, dim)
    percentiles = torch.lerp(ordered.gather(1, below), ordered.gather(1, above), (place - place.floor()).unsqueeze(2))
    roots = mean_square.clamp(min=1e-6).sqrt()
    return torch.cat([pool_statistics(frames, lengths), mean_change, roots, percentiles.flatten(1)], dim=1)
