"""Features with the training data's mean 0 and standard deviation 1."""

import torch
from torch import nn

from mtlaug_sb.masking import valid_mask, zero_padding


class GlobalNormalization(nn.Module):
    """Subtract the mean and divide by the standard deviation of the training data, dimension by dimension.

    One pair of statistics for everybody: an utterance's own level, which carries emotion, stays in, and a test speaker's
    statistics never enter.

    Arguments
    ---------
    size : int
        Dimensions.
    groups : int or None
        So many groups of dimensions that stand side by side, such as a front end's layers, have one pair each: what hardly
        varies within a layer, and so may be noise, is not raised to the rest. None: each dimension has its own.
    center : bool
        False leaves the mean where it is: deviations among the features stay such, but for their scale.

    Raises
    ------
    ValueError
        If the groups do not divide the dimensions.

    Example
    -------
    >>> norm = GlobalNormalization(2)
    >>> norm.fit([(torch.tensor([[[1.0, 5.0], [3.0, 9.0]]]), torch.ones(1))])
    2
    >>> norm(torch.tensor([[[3.0, 7.0]]]), torch.ones(1))
    tensor([[[1., 0.]]])
    """

    def __init__(self, size, groups=None, center=True):
        super().__init__()
        if groups is not None and (groups < 1 or size % groups):
            raise ValueError(f"{groups} groups do not divide {size} dimensions")
        self.groups, self.center = groups, center
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("std", torch.ones(size))

    def fit(self, batches):
        """Take the statistics of (features [batch, frames, size], lengths [batch]) pairs, over valid frames.

        Returns how many frames those were; without any, nothing changes.
        """
        count, total, squares = 0, 0.0, 0.0
        for features, lengths in batches:
            valid = features[valid_mask(lengths, features.shape[1])].double()
            count, total, squares = count + len(valid), total + valid.sum(0), squares + valid.square().sum(0)
        if not count:
            return 0
        mean, squares = self._shared(total / count), self._shared(squares / count)
        std = (squares - mean.square()).clamp(min=1e-8).sqrt()
        if self.center:
            self.mean.copy_(mean)
        self.std.copy_(std)
        return count

    def _shared(self, means):
        """Means [size], with one value in each group."""
        if self.groups is None:
            return means
        grouped = means.view(self.groups, -1)
        return grouped.mean(1, keepdim=True).expand_as(grouped).flatten()

    def forward(self, features, lengths):
        """Normalised features [batch, frames, size]; padding is zero."""
        return zero_padding(torch.addcmul(-self.mean / self.std, features, 1 / self.std), lengths)
