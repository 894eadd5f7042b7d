"""Babble that needs no recordings: the utterance itself, backwards, several times at once."""

import math

import torch
import torchaudio
from torch import nn

from mtlaug_sb.acoustics import add_noise, generator_of, stretch
from mtlaug_sb.masking import absolute_lengths
from mtlaug_sb.registry import register


@register("augmentation", "babble")
class Babble(nn.Module):
    """Add voices in the background, which are the utterance's own.

    Speech behind speech is no steady noise: it sways as the voice in front does, and has its spectrum. Backwards, at other
    speeds and several at once, an utterance is no longer understood, and is babble in the same room. Where each voice begins
    follows from the samples: an utterance meets the same babble each time, so that its features can be kept.

    Arguments
    ---------
    snrs_db : list of float
        Signal-to-noise ratios over the whole utterance; they are the variants.
    percents : list of int
        A voice for each: its speed, in percent of the utterance's.

    Raises
    ------
    ValueError
        Without a ratio or a voice, and for a speed that is not a positive whole number.

    Example
    -------
    >>> noisy, lengths, _ = Babble([10])(torch.rand(1, 100) - 0.5, torch.ones(1), {}, torch.Generator())
    >>> noisy.shape
    torch.Size([1, 100])
    """

    domain = "waveform"

    def __init__(self, snrs_db=(10.0, 0.0), percents=(80, 90, 95, 110, 125)):
        super().__init__()
        if not snrs_db or not percents or not all(map(math.isfinite, snrs_db)):
            raise ValueError("babble needs a signal-to-noise ratio and a voice")
        if any(p != int(p) or p <= 0 for p in percents):
            raise ValueError(f"percents must be positive whole numbers such as [90, 110], got {list(percents)}")
        self.variants = [float(snr) for snr in snrs_db]
        self.n_variants = len(self.variants)
        self.resamplers = nn.ModuleList(torchaudio.transforms.Resample(int(p), 100) for p in percents)

    def forward(self, inputs, lengths, targets, generator):
        """inputs: wavs [batch, time]."""
        variants = torch.randint(self.n_variants, (len(inputs),), generator=generator)
        return *self.vary(inputs, lengths, variants), targets

    def vary(self, inputs, lengths, variants):
        """Add babble to each row at the ratio of its variant; behind silence there is none."""
        noisy = inputs.clone()
        for row, n, variant in zip(noisy, absolute_lengths(lengths, inputs.shape[1]), variants.tolist(), strict=True):
            speech = row[:n]
            babble = self._voices(speech, generator_of(speech, variant))
            if babble.any():
                row[:n] = add_noise(speech, babble, self.variants[variant])
        return noisy, lengths

    def _voices(self, speech, generator):
        # each twice over, from a place that is drawn
        voices = (resample(speech).flip(0).repeat(2) for resample in self.resamplers)
        return sum(stretch(voice, len(speech), generator) for voice in voices)
