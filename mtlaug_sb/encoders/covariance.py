"""One vector for a whole utterance: how its spectrum was, and how its parts varied together."""

import torch
import torchaudio
from torch import nn

from mtlaug_sb.masking import absolute_lengths, zero_padding
from mtlaug_sb.matrix_log import matrix_log
from mtlaug_sb.registry import register
from mtlaug_sb.statistics_pooling import N_FUNCTIONALS, pool_functionals

MAX_LAG = 1000  # frames


@register("encoder", "covariance")
class Covariance(nn.Module):
    """An utterance as a single frame: functionals of every dimension, and logarithms of covariance matrices of cepstra.

    The cepstra are the cosine transform of the features across their dimensions. One matrix says which of them vary
    together; the other, of a few cepstra at several times, says how they move. Nothing is learned.

    Arguments
    ---------
    input_size : int
        Dimensions of the features, such as mel bands.
    cepstra : int
        Coefficients of the first matrix; of fewer dimensions all.
    moving_cepstra : int
        Coefficients of the second, each at all times of ``lags``; of fewer dimensions all.
    lags : list of int
        Frames, up to 1000; the first is 0.
    floor : float
        Added to every variance; of features with variance 1.

    Raises
    ------
    ValueError
        If the lags do not rise from 0 to at most 1000, or the floor is not above 0.

    Example
    -------
    >>> encoder = Covariance(40, cepstra=4, moving_cepstra=2)
    >>> [(frames, lengths)] = encoder(torch.rand(2, 50, 40), torch.tensor([1.0, 0.5]))
    >>> frames.shape, lengths
    (torch.Size([2, 1, 391]), tensor([1., 1.]))
    """

    example = {"cepstra": 3, "moving_cepstra": 2, "lags": (0, 2)}

    def __init__(self, input_size, cepstra=16, moving_cepstra=8, lags=(0, 4, 8), floor=0.01):
        super().__init__()
        if list(lags) != sorted({0, *lags}) or lags[-1] > MAX_LAG:
            raise ValueError(f"lags must rise from 0 to at most {MAX_LAG}, are {list(lags)}")
        if not floor > 0:
            raise ValueError(f"floor must be above 0, is {floor}: of silence nothing else is left")
        cepstra, moving_cepstra = min(cepstra, input_size), min(moving_cepstra, input_size)
        self.cepstra, self.moving_cepstra, self.lags, self.floor = cepstra, moving_cepstra, tuple(lags), floor
        cosines = torchaudio.functional.create_dct(max(cepstra, moving_cepstra), input_size, norm="ortho")
        self.register_buffer("cosines", cosines, persistent=False)
        # places of the upper triangles in the flattened matrices
        for name, n in (("upper", cepstra), ("moving_upper", moving_cepstra * len(lags))):
            self.register_buffer(name, torch.ones(n, n).triu().flatten().nonzero().squeeze(1), persistent=False)
        self.output_size = N_FUNCTIONALS * input_size + len(self.upper) + len(self.moving_upper)

    def forward(self, features, lengths):
        """A list of one layer: frames [batch, 1, output_size] and lengths of 1."""
        features = zero_padding(features, lengths)
        steps = absolute_lengths(lengths, features.shape[1])
        cepstra = features @ self.cosines
        moving = self._at_all_lags(cepstra[..., : self.moving_cepstra])
        parts = [
            pool_functionals(features, lengths),
            self._log_covariance(cepstra[..., : self.cepstra], steps)[:, self.upper],
            # of an utterance that is shorter than the lags only the floor is left
            self._log_covariance(moving, steps - self.lags[-1])[:, self.moving_upper],
        ]
        return [(torch.cat(parts, dim=1).unsqueeze(1), torch.ones_like(lengths))]

    def _at_all_lags(self, cepstra):
        """[batch, frames, n] to [batch, frames, n * lags]: each frame beside those that follow at the lags."""
        size = cepstra.shape[1]
        padded = nn.functional.pad(cepstra, (0, 0, 0, self.lags[-1]))
        return torch.cat([padded[:, lag : lag + size] for lag in self.lags], dim=2)

    def _log_covariance(self, frames, steps):
        """Logarithm of the covariance of frames [batch, frames, n] over the first ``steps`` of each row, [batch, n * n]."""
        valid = torch.arange(frames.shape[1], device=frames.device) < steps.unsqueeze(1)
        frames = torch.where(valid.unsqueeze(2), frames.double(), 0.0)
        count = steps.double().view(-1, 1, 1)
        centred = torch.where(valid.unsqueeze(2), frames - frames.sum(1, keepdim=True) / count, 0.0)
        eye = torch.eye(frames.shape[2], dtype=frames.dtype, device=frames.device)
        covariance = centred.transpose(1, 2) @ centred / (count - 1).clamp(min=1) + self.floor * eye
        return matrix_log(covariance).flatten(1).to(torch.get_default_dtype())
