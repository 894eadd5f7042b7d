"""Where speech is heard: noise at a signal-to-noise ratio, rooms. Samples [time], float."""

import zlib

import torch
from speechbrain.processing.signal_processing import reverberate


def stretch(recording, n, generator):
    """``n`` samples of a recording [time] from a place that is drawn; a recording that is too short is repeated."""
    recording = recording.repeat(-(-n // len(recording)))
    start = int(torch.randint(len(recording) - n + 1, (1,), generator=generator))
    return recording[start : start + n].clone()


def generator_of(wav, variant):
    """A generator that follows from samples [time] and a number: the same chance for the same utterance."""
    return torch.Generator().manual_seed(zlib.crc32(wav.cpu().numpy().tobytes()) + variant)


def power(wav):
    """Mean square of samples [time], in float64."""
    return wav.double().square().mean()


def snr_db(wav, noise):
    """Signal-to-noise ratio of two signals over their whole length, in dB."""
    return float(10 * (power(wav) / power(noise)).log10())


def add_noise(wav, noise, ratio_db):
    """Speech as it was, plus noise [time] at a signal-to-noise ratio in dB, over the whole utterance.

    Example
    -------
    >>> wav, noise = torch.sin(torch.arange(16000) / 5), torch.rand(16000) - 0.5
    >>> round(snr_db(wav, add_noise(wav, noise, 10.0) - wav), 3)
    10.0
    """
    factor = (power(wav) / power(noise)).sqrt() * 10 ** (-ratio_db / 20)
    return (wav.double() + factor * noise.double()).to(wav.dtype)


def put_into_room(wav, response):
    """Speech [time] in a room of this impulse response [time]: as long and, on average, as loud as it was, its tail cut."""
    # with room for the tail: SpeechBrain's convolution is circular
    padded = torch.nn.functional.pad(wav, (0, len(response)))
    return reverberate(padded.view(1, -1, 1), response.view(1, -1, 1), rescale_amp="avg")[0, : len(wav), 0]
