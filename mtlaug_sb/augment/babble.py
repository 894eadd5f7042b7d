"""Babble that needs no recordings: the utterance itself, backwards, several times at once."""

import math

import torchaudio
from torch import nn

from mtlaug_sb.acoustics import generator_of, stretch
from mtlaug_sb.added_noise import AddedNoise
from mtlaug_sb.registry import register


@register("augmentation", "babble")
class Babble(AddedNoise):
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
    >>> import torch
    >>> noisy, lengths, _ = Babble([10])(torch.rand(1, 100) - 0.5, torch.ones(1), {}, torch.Generator())
    >>> noisy.shape
    torch.Size([1, 100])
    """

    def __init__(self, snrs_db=(10.0, 0.0), percents=(80, 90, 95, 110, 125)):
        if not snrs_db or not percents or not all(map(math.isfinite, snrs_db)):
            raise ValueError("babble needs a signal-to-noise ratio and a voice")
        if any(p != int(p) or p <= 0 for p in percents):
            raise ValueError(f"percents must be positive whole numbers such as [90, 110], got {list(percents)}")
        super().__init__([float(snr) for snr in snrs_db])
        self.resamplers = nn.ModuleList(torchaudio.transforms.Resample(int(p), 100) for p in percents)

    def noise_for(self, speech, variant):
        """Each voice from a place that is drawn, twice over; and the ratio."""
        generator = generator_of(speech, variant)
        voices = (resample(speech).flip(0).repeat(2) for resample in self.resamplers)
        return sum(stretch(voice, len(speech), generator) for voice in voices), self.variants[variant]
