"""Speed perturbation (Ko et al. 2015): resampling, which changes tempo and pitch together."""

import torch
import torchaudio
from torch import nn

from mtlaug_sb.masking import absolute_lengths, rows_where
from mtlaug_sb.registry import register


@register("augmentation", "speed")
class Speed(nn.Module):
    """Play each utterance at a speed drawn from a list.

    Arguments
    ---------
    percents : list of int
        Speeds in whole percent of the original; 110 is faster and higher, 90 slower and lower. Whole percents keep
        the resampling filter small. 100 leaves an utterance as it is.

    Raises
    ------
    ValueError
        For a speed that is not a positive whole number.

    Example
    -------
    >>> wavs, lengths, _ = Speed([50])(torch.rand(1, 100), torch.ones(1), {}, torch.Generator())
    >>> wavs.shape
    torch.Size([1, 200])
    """

    domain = "waveform"

    def __init__(self, percents=(90, 95, 105, 110)):
        super().__init__()
        if not percents or any(p != int(p) or p <= 0 for p in percents):
            raise ValueError(f"percents must be positive whole numbers such as [90, 110], got {list(percents)}")
        self.percents = [int(p) for p in percents]
        self.variants = self.percents
        self.n_variants = len(self.variants)
        self.resamplers = nn.ModuleList(torchaudio.transforms.Resample(p, 100) for p in self.percents)

    def forward(self, inputs, lengths, targets, generator):
        """inputs: wavs [batch, time]."""
        variants = torch.randint(self.n_variants, (len(inputs),), generator=generator)
        return *self.vary(inputs, lengths, variants), targets

    def vary(self, inputs, lengths, variants):
        """Play each row at the speed of its variant; ceil(samples * 100 / percent) samples of it are then valid."""
        samples = absolute_lengths(lengths, inputs.shape[1])
        percents = torch.tensor(self.percents)[variants].to(samples.device)
        samples = -(-samples * 100 // percents)
        wavs = inputs.new_zeros(len(inputs), int(samples.max()))
        for variant in variants.unique():
            rows = rows_where(variants == variant)
            resampled = self.resamplers[variant](inputs[rows])[:, : wavs.shape[1]]
            wavs[rows, : resampled.shape[1]] = resampled
        return wavs, samples / wavs.shape[1]
