"""Reverberation as an augmentation: SpeechBrain's AddReverb behind the contract."""

import torch
from speechbrain.augment.time_domain import AddReverb
from torch import nn

from mtlaug_sb import register
from mtlaug_sb.dataio.audio import read_recordings
from mtlaug_sb.masking import absolute_lengths


@register("augmentation", "reverb")
class Reverb(nn.Module):
    """Put each utterance into a room of its own.

    Arguments
    ---------
    folder : str or None
        Audio files of room impulse responses; one is drawn for each utterance. None makes a direct sound and a tail of noise
        that decays exponentially (Polack 1988).
    rt60_low, rt60_high : float
        Bounds of the reverberation time of such a tail, in s: its level falls by 60 dB.
    direct_db : float
        Energy of the direct sound relative to the tail, in dB.
    sample_rate : int
        Hz; responses of another rate are resampled.

    Raises
    ------
    FileNotFoundError
        If there is no audio file below the folder.
    """

    domain = "waveform"

    def __init__(self, folder=None, rt60_low=0.2, rt60_high=0.8, direct_db=3.0, sample_rate=16000):
        super().__init__()
        responses = read_recordings(folder, sample_rate, centred=False) if folder is not None else []
        self.add = _AddRoom(responses, (rt60_low, rt60_high), direct_db, sample_rate)

    def forward(self, inputs, lengths, targets, generator):
        """inputs: wavs [batch, time]."""
        self.add.generator = generator
        wavs = torch.zeros_like(inputs)
        for row, wav, n in zip(wavs, inputs, absolute_lengths(lengths, inputs.shape[1]).tolist(), strict=True):
            # alone, as SpeechBrain has one room for a whole batch; with room for the tail, as its convolution is circular
            row[:n] = self.add(nn.functional.pad(wav[None, :n], (0, self.add.tail)))[0, :n]
        return wavs, lengths, targets


class _AddRoom(AddReverb):
    """AddReverb with responses in memory, or made, and the policy's generator in place of a data loader."""

    def __init__(self, responses, rt60, direct_db, sample_rate):
        super().__init__(csv_file="in memory")
        self.responses, self.rt60, self.direct_db, self.sample_rate = responses, rt60, direct_db, sample_rate
        self.tail = max(map(len, responses), default=round(rt60[1] * sample_rate) + 1)  # samples of the longest

    def _load_rir(self, waveforms):
        """A response [1, time, 1]."""
        if self.responses:
            response = self.responses[int(torch.randint(len(self.responses), (1,), generator=self.generator))]
        else:
            response = self._make()
        return response.view(1, -1, 1).to(waveforms)

    def _make(self):
        low, high = self.rt60
        rt60 = low + (high - low) * float(torch.rand(1, generator=self.generator))
        time = torch.arange(round(rt60 * self.sample_rate)) / self.sample_rate
        tail = torch.randn(len(time), generator=self.generator) * 10 ** (-3 * time / rt60)
        direct = tail.square().sum().sqrt() * 10 ** (self.direct_db / 20)
        return torch.cat([direct.view(1), tail])
