"""What a model says about utterances."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch

UNSURE = "unsure"


class Classification(NamedTuple):
    """SpeechBrain's answer to a batch: ``scores, score, index, labels = model.classify_batch(wavs, wav_lens)``.

    Attributes
    ----------
    scores : torch.Tensor
        Probabilities [batch, classes]; each row sums to one.
    score : torch.Tensor
        Of the best class, [batch].
    index : torch.Tensor
        Of the best class, [batch].
    labels : list of str
        Its name, or "unsure".
    """

    scores: torch.Tensor
    score: torch.Tensor
    index: torch.Tensor
    labels: list


@dataclass(frozen=True)
class Answer:
    """What a model says about one file.

    Attributes
    ----------
    path : str
        As given.
    duration_s : float
        Of what was heard.
    label : str
        The most probable class, or "unsure".
    probabilities : dict
        Class -> probability; they sum to one.
    tasks : dict
        Other tasks asked for -> {class: probability}, or {name: value}.
    """

    path: str
    duration_s: float
    label: str
    probabilities: dict
    tasks: dict = field(default_factory=dict)

    @property
    def confidence(self):
        """Probability of the most probable class."""
        return max(self.probabilities.values())


def classify_logits(logits, names, temperature, unsure_below):
    """A Classification of logits [batch, classes]."""
    # in float64: rows then sum to one to the last digit that float32 shows
    scores = (logits.double() / temperature).softmax(dim=1).float()
    score, index = scores.max(dim=1)
    labels = [UNSURE if s < unsure_below else names[i] for s, i in zip(score.tolist(), index.tolist(), strict=True)]
    return Classification(scores, score, index, labels)
