"""Additive noise as an augmentation: SpeechBrain's AddNoise behind the contract."""

import torch
from speechbrain.augment.time_domain import AddNoise
from torch import nn

from mtlaug_sb import register
from mtlaug_sb.acoustics import stretch
from mtlaug_sb.dataio.audio import read_recordings


@register("augmentation", "noise")
class Noise(nn.Module):
    """Add noise at a signal-to-noise ratio drawn for each utterance.

    Arguments
    ---------
    folder : str or None
        Audio files of noise, in any subfolders: a file and a place in it are drawn for each utterance. None is white noise.
    snr_low, snr_high : float
        Bounds of the ratio in dB, over the utterance's own length.
    sample_rate : int
        Hz; recordings of another rate are resampled.

    Raises
    ------
    FileNotFoundError
        If there is no audio file below the folder.
    """

    domain = "waveform"

    def __init__(self, folder=None, snr_low=5.0, snr_high=20.0, sample_rate=16000):
        super().__init__()
        recordings = read_recordings(folder, sample_rate) if folder is not None else []
        self.add = _AddRecordings(recordings, snr_low, snr_high)

    def forward(self, inputs, lengths, targets, generator):
        """inputs: wavs [batch, time]."""
        with torch.random.fork_rng():  # SpeechBrain draws the ratio from torch's own generator
            torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
            self.add.generator = generator
            return self.add(inputs, lengths), lengths, targets


class _AddRecordings(AddNoise):
    """AddNoise with recordings in memory and the policy's generator in place of a data loader, whose state nobody saves."""

    def __init__(self, recordings, snr_low, snr_high):
        super().__init__(csv_file="in memory", snr_low=snr_low, snr_high=snr_high)
        self.recordings = recordings

    def _load_noise(self, lengths, max_length):
        """A noise [batch, max_length] as long as each utterance, so that its level is measured there; and its lengths."""
        rows = [self._draw(n) for n in lengths.squeeze(1).round().long().tolist()]
        noise = nn.utils.rnn.pad_sequence(rows, batch_first=True).to(lengths.device)
        return nn.functional.pad(noise, (0, max_length - noise.shape[1])), lengths

    def _draw(self, n):
        if not self.recordings:
            return torch.randn(n, generator=self.generator)
        recording = self.recordings[int(torch.randint(len(self.recordings), (1,), generator=self.generator))]
        return stretch(recording, n, self.generator)
