"""Audio files block by block, mono, at one rate, in constant memory. NumPy and soundfile only."""

import os
import pathlib

import numpy as np
import soundfile

from mtlaug_sb.inference.resampling import Resampler
from mtlaug_sb.recordings import fault_of, is_silent, why_unreadable, without_offset

BLOCK = 65536  # values read at a time
RATES = (1000, 400_000)  # Hz


class AudioError(ValueError):
    """An audio file that cannot be used, and why."""


def read_blocks(path, sample_rate):
    """Pieces of a file, float32 [time], mono at ``sample_rate`` Hz.

    Raises
    ------
    AudioError
        If the file is missing, unreadable, empty, or has NaN or samples far beyond 1.
    """
    with open_sound(path) as file:
        resampler = Resampler(file.samplerate, sample_rate)
        yield from map(resampler.push, _mono_blocks(file, path))
    yield resampler.finish()


def read_sound(path, sample_rate, max_duration_s=None):
    """All samples of a file, float32 [time], mono at ``sample_rate`` Hz, without an offset.

    Raises
    ------
    AudioError
        As ``read_blocks``; and if the file is silent or longer than ``max_duration_s``.
    """
    pieces, samples = [], 0
    with open_sound(path) as file:
        rate = file.samplerate
        for piece in _mono_blocks(file, path):
            pieces.append(piece)
            samples += len(piece)
            if max_duration_s is not None and samples > max_duration_s * rate:
                raise AudioError(f"{path}: longer than {max_duration_s:g} s; use timeline() for long recordings")
    mono = without_offset(np.concatenate(pieces))  # before the resampler, in which it would ring
    resampler = Resampler(rate, sample_rate)
    wav = np.concatenate([resampler.push(mono), resampler.finish()])
    if is_silent(mono) or not len(wav):
        raise AudioError(f"{path}: is silent")
    return wav


def _mono_blocks(file, path):
    """Pieces of an open file, float32 [time], mono at its own rate."""
    seen = 0
    frames = max(1, BLOCK // file.channels)
    while True:
        try:
            block = file.read(frames, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise AudioError(f"{path}: not readable after {seen / file.samplerate:.1f} s ({error})") from None
        if not len(block):
            break
        if fault := fault_of(block):
            raise AudioError(f"{path}: {fault}, after {seen / file.samplerate:.1f} s")
        seen += len(block)
        yield to_mono(block)
    if not seen:
        raise AudioError(f"{path}: no samples in it")


def open_sound(path):
    """An open ``soundfile.SoundFile``.

    Raises
    ------
    AudioError
        If the file is missing, unreadable, or of a rate that is not that of speech.
    """
    try:
        if not pathlib.Path(path).is_file():  # a pipe or a device would be waited for
            raise AudioError(f"{path}: no such file")
        file = soundfile.SoundFile(os.fspath(path))
    except (soundfile.SoundFileError, OSError, TypeError) as error:
        raise AudioError(f"{path}: {why_unreadable(path, error)}") from None
    if not RATES[0] <= file.samplerate <= RATES[1]:
        file.close()
        raise AudioError(f"{path}: a sample rate of {file.samplerate} Hz; {RATES[0]} to {RATES[1]} Hz are read")
    return file


def to_mono(samples):
    """float32 [time] from [time] or [time, channels]; whole numbers are taken as steps of their full scale."""
    samples = np.asarray(samples)
    if samples.dtype.kind in "iu":
        if samples.dtype.kind == "u" or samples.dtype.itemsize > 4:
            raise AudioError(f"samples must be floats or int8, int16 or int32, are {samples.dtype}")
        samples = samples / np.float32(2 ** (8 * samples.dtype.itemsize - 1))
    if samples.dtype.kind != "f" or samples.ndim not in (1, 2):
        raise AudioError(f"samples must be numbers [time] or [time, channels], are {samples.dtype} {list(samples.shape)}")
    samples = samples.astype(np.float32, copy=False)
    if samples.ndim == 2 and samples.shape[1] == 1:
        return np.ascontiguousarray(samples[:, 0])
    return samples.mean(axis=1, dtype=np.float32) if samples.ndim == 2 else samples
