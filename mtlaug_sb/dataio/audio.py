"""Reading audio: any format and rate that soundfile reads, mono at one rate, kept in memory within a bound."""

import logging
import pathlib

import soundfile
import torch
import torchaudio

from mtlaug_sb.recordings import fault_of, is_silent, why_unreadable, without_offset
from mtlaug_sb.registry import make

logger = logging.getLogger(__name__)
LOSSY = ("MP3", "OGG")
LOSSLESS_NAMES = (".wav", ".flac")


class AudioError(ValueError):
    """An audio file that cannot be used, and why."""


class AudioReader:
    """Read files as mono at one sample rate.

    Arguments
    ---------
    sample_rate : int
        Hz; files of another rate are resampled, which is said once.
    cache_mb : float
        Audio kept decoded in memory, at most.
    centred : bool
        Take off an offset (see ``recordings.without_offset``). A room's response has a mean of its own.
    """

    def __init__(self, sample_rate=16000, cache_mb=1024.0, centred=True):
        self.sample_rate, self.centred = sample_rate, centred
        self.cache_mb = cache_mb
        self._said = set()
        self.forget()

    def forget(self):
        """Give the memory back."""
        self.room = int(self.cache_mb * 1e6)
        self._cache = {}

    def __call__(self, path):
        """Samples of the file, float32 [time].

        Raises
        ------
        AudioError
            If the file is missing, unreadable, empty, silent, has NaN or samples far beyond 1, or is a Git LFS pointer.
        """
        wav = self._cache.get(path)
        if wav is None:
            wav = self._read(path)
            size = wav.numel() * wav.element_size()
            if size <= self.room:
                self._cache[path] = wav
                self.room -= size
        return wav

    def _read(self, path):
        try:
            with soundfile.SoundFile(path) as file:
                samples, rate = file.read(dtype="float32", always_2d=True), file.samplerate
                if file.format in LOSSY and pathlib.Path(path).suffix.lower() in LOSSLESS_NAMES:
                    self._say_once(
                        f"{path} holds {file.format} whatever its name says: such audio went through lossy coding", "lossy"
                    )
        except (soundfile.SoundFileError, OSError, TypeError) as error:  # TypeError: .raw does not say its rate
            raise AudioError(f"{path}: {why_unreadable(path, error)}") from None
        if not len(samples):
            raise AudioError(f"{path}: no samples in it")
        if fault := fault_of(samples):
            raise AudioError(f"{path}: {fault}")
        if samples.shape[1] > 1:
            self._say_once(f"{path} has {samples.shape[1]} channels: such files are mixed down to mono")
        mono = samples.mean(axis=1) if samples.shape[1] > 1 else samples[:, 0]
        mono = without_offset(mono) if self.centred else mono
        if is_silent(mono):
            raise AudioError(f"{path}: is silent")
        wav = torch.from_numpy(mono)
        if rate != self.sample_rate:
            lost = f", and have nothing above {rate // 2} Hz" if rate < self.sample_rate else ""
            self._say_once(f"{path} has {rate} Hz: such files are resampled to {self.sample_rate} Hz{lost}", rate)
            wav = torchaudio.functional.resample(wav, rate, self.sample_rate)
        return wav

    def _say_once(self, message, about="channels"):
        if about not in self._said:
            self._said.add(about)
            logger.warning(message)


def read_recordings(folder, sample_rate, centred=True):
    """All audio files below a folder, as samples [time] each, at one rate in Hz; ``centred`` as of ``AudioReader``.

    Raises
    ------
    FileNotFoundError
        If the folder is not there, or holds none.
    """
    folder, read = pathlib.Path(folder), AudioReader(sample_rate, centred=centred)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder of recordings '{folder}'")
    recordings = [read(utterance.path) for utterance in make("corpus/folder").read(folder)]
    if not recordings:
        raise FileNotFoundError(f"no audio file below '{folder}'")
    return recordings
