"""A condition in which a system knows who speaks, and has adapted to each speaker apart."""

import torch

from mtlaug_sb.dataio.splits import person
from mtlaug_sb.robustness.surroundings import number_of, recording_of


def by_speaker(utterances):
    """{speaker: their utterances}.

    Raises
    ------
    ValueError
        If nobody knows who speaks.
    """
    groups = {}
    for utterance in utterances:
        whose = person(utterance.record)
        if whose is None or whose[1] == "unknown":  # so corpus/joined calls them
            raise ValueError(f"who speaks in '{utterance.id}' is not known: there are no statistics by speaker")
        groups.setdefault(whose, []).append(utterance)
    return groups


def draw_enrolment(utterances, n, seed=0):
    """``n`` utterances of each speaker, and all others. They are drawn in an order of the seed and the samples alone.

    Raises
    ------
    ValueError
        If a speaker has no others.
    """
    enrolled = []
    for speaker, own in by_speaker(utterances).items():
        if len(own) <= n:
            name = "/".join(speaker)
            raise ValueError(f"enrolment of {n}: speaker {name} has {len(own)} utterances, and none is left to test")
        drawn = sorted(own, key=lambda u: number_of(f"{seed} enrolment {recording_of(u)}"))
        enrolled += drawn[:n]
    ids = {utterance.id for utterance in enrolled}
    return enrolled, [utterance for utterance in utterances if utterance.id not in ids]


class SpeakerBySpeaker:
    """Another condition, with the system turned to one speaker after another (``system.turn_to``).

    Arguments
    ---------
    condition : object
        As ``run_conditions`` takes it. What it does to an utterance must not depend on which others are tested with it.
    """

    def __init__(self, condition):
        self.condition = condition
        self.name, self.levels, self.unit, self.axis = condition.name, condition.levels, condition.unit, condition.axis
        self.settings = condition.settings

    def answers(self, system, utterances, cell):
        """(probabilities [utterances, classes], further columns of predictions.csv) of each level in turn."""
        place = {utterance.id: i for i, utterance in enumerate(utterances)}
        probabilities, columns = [[None] * len(utterances) for _ in self.levels], [{} for _ in self.levels]
        for speaker, own in by_speaker(utterances).items():
            system.turn_to(speaker)
            for k, (answers, more) in enumerate(self.condition.answers(system, own, cell)):
                for utterance, answer in zip(own, answers, strict=True):
                    probabilities[k][place[utterance.id]] = answer
                for name, values in more.items():
                    columns[k].setdefault(name, {}).update(values)
        for answers, more in zip(probabilities, columns, strict=True):
            yield torch.stack(answers), more
