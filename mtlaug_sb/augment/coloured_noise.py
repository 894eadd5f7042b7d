"""Noise that needs no recordings: white, pink or brown."""

import itertools

import torch

from mtlaug_sb.acoustics import generator_of
from mtlaug_sb.added_noise import AddedNoise
from mtlaug_sb.registry import register

EXPONENTS = {"white": 0.0, "pink": 1.0, "brown": 2.0}
FLAT_BELOW = 1 / 320  # of the sample rate, 50 Hz at 16 kHz, where half of brown noise's power lies; else nearly all would


@register("augmentation", "coloured_noise")
class ColouredNoise(AddedNoise):
    """Add Gaussian noise whose power falls with frequency f as 1 (white), 1/f (pink) or 1/f^2 (brown).

    Steady noise of a few slopes teaches a system of clean recordings what any noise does to speech, without one of those
    noises that it may be tested with. Which noise it is follows from the samples: an utterance meets the same each time, so
    that its features can be kept, and another one another.

    Arguments
    ---------
    colours : list of str
        Of "white", "pink", "brown".
    snrs_db : list of float
        Signal-to-noise ratios over the whole utterance. The variants are each colour at each ratio: "pink 10", say.

    Raises
    ------
    ValueError
        For a colour of another name, and without any variant.

    Example
    -------
    >>> noisy, lengths, _ = ColouredNoise(["pink"], [10])(torch.rand(1, 100) - 0.5, torch.ones(1), {}, torch.Generator())
    >>> noisy.shape
    torch.Size([1, 100])
    """

    def __init__(self, colours=("white", "pink", "brown"), snrs_db=(10.0, 0.0)):
        if unknown := [colour for colour in colours if colour not in EXPONENTS]:
            raise ValueError(f"colours must be of {', '.join(EXPONENTS)}, and {unknown[0]!r} is none of them")
        outcomes = [(colour, float(snr)) for colour, snr in itertools.product(colours, snrs_db)]
        if not outcomes:
            raise ValueError("coloured noise needs a colour and a signal-to-noise ratio")
        super().__init__([f"{colour} {snr:g}" for colour, snr in outcomes])
        self.outcomes = outcomes

    def noise_for(self, speech, variant):
        """Noise of the variant's colour, and its ratio."""
        colour, ratio_db = self.outcomes[variant]
        return coloured_noise(len(speech), EXPONENTS[colour], generator_of(speech, variant)), ratio_db


def coloured_noise(n, exponent, generator):
    """Gaussian noise [n] whose power falls with frequency f as 1/f^exponent, and is flat at the lowest frequencies.

    It is white noise with another spectrum (Timmer, Koenig, "On generating power law noise", Astronomy and Astrophysics 300,
    1995), so that it begins where it ends.
    """
    frequencies = torch.fft.rfftfreq(n).clamp(min=FLAT_BELOW)
    return torch.fft.irfft(torch.fft.rfft(torch.randn(n, generator=generator)) * frequencies ** (-exponent / 2), n=n)
