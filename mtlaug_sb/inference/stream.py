"""Answers while audio arrives, the same whatever the chunks."""

import numpy as np

from mtlaug_sb.inference.answers import UNSURE
from mtlaug_sb.inference.resampling import Resampler
from mtlaug_sb.inference.segments import SILENCE, Segment
from mtlaug_sb.inference.sound_file import AudioError, to_mono
from mtlaug_sb.recordings import fault_of, is_silent


class Stream:
    """A window slides over the audio; each answer stands for the hop in the window's middle.

    The first segment reaches back to the beginning, and the last, whose window is the last ``window_s`` seconds, to the
    end: the segments follow each other without a gap. An answer comes as soon as its window is full, half a window after
    the middle of its segment. Every window is answered by itself, so that the answers are the same to the bit in any
    chunking, and those of ``timeline``.

    Arguments
    ---------
    answer : callable
        Samples, float32 [time], to a list of probabilities.
    labels : list of str
        Classes.
    model_rate, sample_rate : int
        Hz, of what the model hears and of what is pushed.
    window_s, hop_s : float
        Seconds; a hop is at most a window.
    unsure_below : float
        Label "unsure" where the best class is less probable.

    Raises
    ------
    ValueError
        If the hop is longer than the window.

    Example
    -------
    >>> stream = Stream(lambda samples: [0.4, 0.6], ["anger", "sadness"], 16000, 16000, 2.0, 1.0, 0.0)
    >>> [(s.start_s, s.end_s, s.label) for s in [*stream.push(np.sin(np.arange(16000 * 3))), *stream.finish()]]
    [(0.0, 1.5, 'sadness'), (1.5, 2.5, 'sadness'), (2.5, 3.0, 'sadness')]
    """

    def __init__(self, answer, labels, model_rate, sample_rate, window_s, hop_s, unsure_below):
        if hop_s > window_s:
            raise ValueError(f"hop_s {hop_s:g} is longer than window_s {window_s:g}: something would not be heard")
        if isinstance(sample_rate, bool) or not isinstance(sample_rate, int) or not 1000 <= sample_rate <= 400_000:
            raise ValueError(f"sample_rate must be a whole number from 1000 to 400000 Hz, is {sample_rate!r}")
        self.answer, self.labels, self.rate, self.unsure_below = answer, labels, model_rate, unsure_below
        self.resampler = Resampler(sample_rate, model_rate)
        self.window, self.hop = round(window_s * model_rate), max(1, round(hop_s * model_rate))
        self.heard = np.zeros(0, np.float32)  # from ``start`` on
        self.start = 0  # sample that ``heard`` begins with
        self.next_window = 0  # sample that the next window begins with
        self.said = 0  # sample up to which segments have been given
        self.finished = False

    def push(self, chunk):
        """Segments (list) that are known with this chunk: floats or int16, [time] or [time, channels].

        Raises
        ------
        AudioError
            If the chunk is not audio, or has NaN or samples far beyond 1.
        ValueError
            After ``finish``.
        """
        if self.finished:
            raise ValueError("the stream is finished; open another for other audio")
        samples = to_mono(chunk)
        if fault := fault_of(samples):
            raise AudioError(f"the chunk {fault}")
        return self._hear(self.resampler.push(samples))

    def finish(self):
        """The remaining segments: no more audio will come."""
        if self.finished:
            return []
        segments = self._hear(self.resampler.finish())
        self.finished = True
        end = self.start + len(self.heard)
        if end > self.said:
            begin = max(0, end - self.window)
            segments.append(self._segment(end, self.heard[max(0, begin - self.start) :]))
        return segments

    def _hear(self, samples):
        """Take samples at the model's rate; returns the segments whose windows are full."""
        self.heard = np.concatenate([self.heard, samples])
        segments = []
        while self.next_window + self.window <= self.start + len(self.heard):
            left = self.next_window - self.start
            end = self.next_window + (self.window + self.hop) // 2
            segments.append(self._segment(end, self.heard[left : left + self.window]))
            self.next_window += self.hop
            # the last window_s seconds are kept: they may be the last of the recording
            drop = max(0, min(self.next_window, self.start + len(self.heard) - self.window) - self.start)
            self.heard, self.start = self.heard[drop:], self.start + drop
        return segments

    def _segment(self, end, samples):
        probabilities = self.answer(np.ascontiguousarray(samples))
        best = max(range(len(self.labels)), key=probabilities.__getitem__)
        label = self.labels[best] if probabilities[best] >= self.unsure_below else UNSURE
        if is_silent(samples):
            label = SILENCE
        segment = Segment(self.said / self.rate, end / self.rate, label, dict(zip(self.labels, probabilities, strict=True)))
        self.said = end
        return segment
