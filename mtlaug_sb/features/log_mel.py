"""Log-mel spectrogram."""

import torch
import torchaudio
from torch import nn

from mtlaug_sb.deltas import append_deltas
from mtlaug_sb.masking import absolute_lengths, zero_padding
from mtlaug_sb.own_scale import on_its_own_scale
from mtlaug_sb.registry import register
from mtlaug_sb.silence import speech_span, trim_silence


@register("features", "log_mel")
class LogMel(nn.Module):
    """Natural logarithm of the mel power spectrum.

    Frames are centred on multiples of the hop and see zeros beyond the utterance, so that an utterance has the same
    features alone and in a padded batch.

    Arguments
    ---------
    sample_rate : int
        Hz.
    n_mels : int
        Mel bands.
    n_fft : int
        Points of the transform.
    window_ms, hop_ms : float
        Window and step in milliseconds.
    low_hz, high_hz : float
        Edges of the lowest and the highest band; high_hz None is half the sample rate.
    floor : float
        Added to the power before the logarithm; about the power of a 16-bit file's rounding noise.
    relative_floor : float
        This share of the utterance's own mean power, over bands and frames, is added too. What is that far below the mean no
        longer counts, so that noise which fills the valleys changes little.
    level : bool
        False divides the power by that mean first: how loud an utterance was, or was recorded, is left out.
    trim_db : float or None
        The frames before the first and after the last that is less than this below the loudest frame are left out.
    deltas : int
        Orders of deltas behind the bands: 1 doubles the dimensions, 2 (deltas of the deltas) makes them three times as many.
        Effects on features that take every dimension for the logarithm of a power, such as mixup's, do not fit them.

    Example
    -------
    >>> features, lengths = LogMel(n_mels=40)(torch.rand(2, 16000), torch.tensor([1.0, 0.5]))
    >>> features.shape
    torch.Size([2, 101, 40])
    """

    def __init__(
        self,
        sample_rate=16000,
        n_mels=64,
        n_fft=512,
        window_ms=25,
        hop_ms=10,
        low_hz=0.0,
        high_hz=None,
        floor=1e-8,
        relative_floor=0.0,
        level=True,
        trim_db=None,
        deltas=0,
    ):
        super().__init__()
        self.output_size = (1 + deltas) * n_mels
        self.deltas = deltas
        self.window = round(sample_rate * window_ms / 1000)
        self.hop = round(sample_rate * hop_ms / 1000)
        self.n_fft = n_fft
        self.floor, self.relative_floor, self.level = floor, relative_floor, level
        self.trim_db = trim_db
        if n_fft < self.window:
            raise ValueError(f"n_fft {n_fft} is shorter than the window of {self.window} samples")
        bands = torchaudio.functional.melscale_fbanks(
            n_fft // 2 + 1, low_hz, high_hz or sample_rate / 2, n_mels, sample_rate
        )
        self.register_buffer("taper", torch.hann_window(self.window), persistent=False)
        # a row for each real and each imaginary part: its square goes to the same band
        self.register_buffer("bands", bands.repeat_interleave(2, dim=0), persistent=False)

    def forward(self, wavs, lengths):
        """Features [batch, 1 + time // hop, (1 + deltas) * n_mels] and their relative lengths; padding is zero.

        With ``trim_db`` there are fewer frames.
        """
        return self.scaled_log(*self._spectra(wavs, lengths))

    def heard(self, wav):
        """Where the features of one utterance [time] begin, and how long they last, in samples."""
        if self.trim_db is None:
            return 0, len(wav)
        power, lengths = self._spectra(wav.unsqueeze(0), torch.ones(1, device=wav.device))
        first, steps = speech_span(power, lengths, self.trim_db)
        return int(first) * self.hop, min(int(steps) * self.hop, len(wav) - int(first) * self.hop)

    def _spectra(self, wavs, lengths):
        """Mel power [batch, frames, n_mels] and relative lengths."""
        samples = absolute_lengths(lengths, wavs.shape[1])
        left = self.window // 2
        padded = nn.functional.pad(zero_padding(wavs, lengths), (left, self.window - left))
        # row by row: the spectra of a whole batch do not fit into a processor's cache
        power = torch.stack([self._power(wav) for wav in padded]) if wavs.device.type == "cpu" else self._power(padded)
        return power, (1 + samples // self.hop) / power.shape[-2]

    def _power(self, padded):
        """Mel power [..., frames, n_mels] of wavs [..., time] with half a window of zeros at both ends."""
        frames = padded.unfold(-1, self.window, self.hop) * self.taper
        spectrum = torch.view_as_real(torch.fft.rfft(frames, self.n_fft)).flatten(-2)
        return spectrum.square() @ self.bands

    def scaled_log(self, power, lengths):
        """Features and lengths of the power spectrum: trimmed, on its scale, its logarithm, with deltas."""
        if self.trim_db is not None:
            power, lengths = trim_silence(power, lengths, self.trim_db)
        if self.relative_floor or not self.level:
            power = on_its_own_scale(power, lengths, self.relative_floor, self.level, self.floor)
        return append_deltas((power + self.floor).log(), lengths, self.deltas), lengths
