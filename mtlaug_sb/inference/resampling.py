"""Resampling as the audio arrives: the same samples whatever the pieces. NumPy only."""

import math

import numpy as np

ZERO_CROSSINGS = 6  # of the windowed sinc on each side, and
ROLLOFF = 0.99  # of the lower Nyquist frequency, as in torchaudio.functional.resample, whose answer this is
BLOCK = 4096  # output samples computed together


class Resampler:
    """Windowed-sinc interpolation (Smith's digital resampling) of pieces of one recording.

    Output sample j is the input at time j / new_rate. Blocks begin at the same output samples whatever the pieces, so
    that the answer is the same to the bit.

    Arguments
    ---------
    old_rate, new_rate : int
        Hz.

    Example
    -------
    >>> resampler = Resampler(8000, 16000)
    >>> pieces = [resampler.push(np.ones(5000, np.float32)), resampler.push(np.ones(3000, np.float32)), resampler.finish()]
    >>> sum(map(len, pieces))
    16000
    """

    def __init__(self, old_rate, new_rate):
        common = math.gcd(old_rate, new_rate)
        self.old, self.new = old_rate // common, new_rate // common
        base = min(self.old, self.new) * ROLLOFF
        self.reach = math.ceil(ZERO_CROSSINGS * self.old / base)  # input samples on each side
        self.weights = _weights(self.old, self.new, base, self.reach) if self.old != self.new else None
        self.seen = 0  # input samples so far
        self.done = 0  # output samples so far
        self.start = -self.reach  # the input sample that ``pending`` begins with: zeros stand before the recording
        self.pending = np.zeros(self.reach, np.float32)

    def push(self, samples):
        """All whole blocks of output that are known with these samples, float32 [time]."""
        if self.weights is None:
            return samples
        self.seen += len(samples)
        self.pending = np.concatenate([self.pending, samples])
        return self._blocks(lambda: (self.done + BLOCK - 1) * self.old // self.new + self.reach < self.seen, BLOCK)

    def finish(self):
        """The rest, as if zeros followed."""
        if self.weights is None:
            return np.zeros(0, np.float32)
        total = -(-self.seen * self.new // self.old)
        self.pending = np.concatenate([self.pending, np.zeros(2 * self.reach + self.old // self.new + 2, np.float32)])
        whole = self._blocks(lambda: self.done + BLOCK <= total, BLOCK)
        return np.concatenate([whole, self._block(total - self.done)]) if total > self.done else whole

    def _blocks(self, ready, size):
        blocks = []
        while ready():
            blocks.append(self._block(size))
        return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)

    def _block(self, size):
        outputs = np.arange(self.done, self.done + size, dtype=np.int64)
        left = outputs * self.old // self.new - self.reach + 1  # the first input sample in reach of each output
        windows = np.lib.stride_tricks.sliding_window_view(self.pending, 2 * self.reach)[left - self.start]
        result = (windows * self.weights[outputs % self.new]).sum(1, dtype=np.float32)
        self.done += size
        keep = self.done * self.old // self.new - self.reach + 1 - self.start
        self.pending = self.pending[keep:].copy()
        self.start += keep
        return result


def _weights(old, new, base, reach):
    """Weights of the input samples in reach [new, 2 * reach] for each phase of the output."""
    phase = np.arange(new, dtype=np.int64)[:, None] * old % new / new / 1.0  # input samples after the one on the left
    times = (np.arange(1 - reach, reach + 1) - phase) / old * base
    times = np.clip(times, -ZERO_CROSSINGS, ZERO_CROSSINGS)
    window = np.cos(times * math.pi / ZERO_CROSSINGS / 2) ** 2
    return (np.sinc(times) * window * base / old).astype(np.float32)
