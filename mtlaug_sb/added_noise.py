"""Noise that is added to an utterance and follows from it."""

import torch
from torch import nn

from mtlaug_sb.acoustics import add_noise
from mtlaug_sb.masking import absolute_lengths


class AddedNoise(nn.Module):
    """An effect on the waveform: each utterance meets the same noise each time, so that its features can be kept.

    A subclass is made of its ``variants``, and has a method ``noise_for(speech, variant)``: for samples [time] and the
    number of a variant, noise [time] that depends on nothing else, and the signal-to-noise ratio in dB over the utterance.
    """

    domain = "waveform"

    def __init__(self, variants):
        super().__init__()
        self.variants = variants
        self.n_variants = len(variants)

    def forward(self, inputs, lengths, targets, generator):
        """inputs: wavs [batch, time]."""
        variants = torch.randint(self.n_variants, (len(inputs),), generator=generator)
        return *self.vary(inputs, lengths, variants), targets

    def vary(self, inputs, lengths, variants):
        """Add to each row the noise of its variant; silence has none at any ratio."""
        noisy = inputs.clone()
        for row, n, variant in zip(noisy, absolute_lengths(lengths, inputs.shape[1]), variants.tolist(), strict=True):
            speech = row[:n]
            noise, ratio_db = self.noise_for(speech, variant)
            if noise.any():
                row[:n] = add_noise(speech, noise.to(row.device), ratio_db)
        return noisy, lengths
