"""What a recording must be to be used, and what is mended of it. NumPy only."""

import pathlib

import numpy as np

LFS_STUB = b"version https://git-lfs.github.com/spec"
SILENCE = 1.6e-5  # peak, of full scale: half a step of 16-bit audio
LOUDEST = 10.0  # peak, of full scale: more is no loud recording, but whole numbers written as floats
OFFSET = 0.05  # of the deviation: whole recordings of speech that nothing is wrong with have up to 0.04


def fault_of(samples):
    """Why samples [time] or [time, channels] cannot be used; None if they can. Silence is for ``is_silent``."""
    if not np.isfinite(samples).all():
        return "has NaN or infinite samples"
    if len(samples) and (peak := np.abs(samples).max()) > LOUDEST:
        return f"has samples of up to {peak:.4g}: those of audio lie between -1 and 1"
    return None


def is_silent(samples):
    """Whether samples [time] have nothing in them that could be heard."""
    return not len(samples) or np.abs(samples).max() < SILENCE


def without_offset(samples):
    """Samples [time] around zero, if they were far from it: a constant voltage, which is no sound, is a recorder's fault.

    Example
    -------
    >>> without_offset(np.array([0.6, 0.4])), without_offset(np.array([0.5, -0.5]))
    (array([ 0.1, -0.1]), array([ 0.5, -0.5]))
    """
    if not len(samples):
        return samples
    mean = samples.mean(dtype=np.float64)
    return (samples - mean).astype(samples.dtype) if abs(mean) > OFFSET * samples.std(dtype=np.float64) else samples


def why_unreadable(path, error):
    """Why a file could not be opened as audio, which ended in this error."""
    path = pathlib.Path(path)
    try:
        if not path.is_file():
            return "no such file"
        with open(path, "rb") as file:
            head = file.read(len(LFS_STUB))
    except OSError as failure:
        return f"cannot be opened ({failure.strerror})"
    if not head:
        return "empty file"
    if head == LFS_STUB:
        return "a Git LFS pointer, not audio; run 'git lfs pull' where it came from"
    return f"not readable as audio ({error})"
