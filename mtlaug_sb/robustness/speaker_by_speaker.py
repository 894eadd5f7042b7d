"""A condition in which a system knows who speaks, and has adapted to each speaker apart."""

import torch

from mtlaug_sb.robustness.surroundings import seeded_generator


def by_speaker(utterances):
    """{speaker: their utterances}."""
    groups = {}
    for utterance in utterances:
        groups.setdefault(utterance.record["speaker"], []).append(utterance)
    return groups


def draw_enrolment(utterances, n, seed=0):
    """``n`` utterances of each speaker, drawn by a seed and the speaker's name alone, and all others.

    Raises
    ------
    ValueError
        If a speaker has no others.
    """
    enrolled, tested = [], []
    for speaker, own in by_speaker(utterances).items():
        if len(own) <= n:
            raise ValueError(f"enrolment of {n}: speaker {speaker} has {len(own)} utterances, and none is left to test")
        order = torch.randperm(len(own), generator=seeded_generator(f"{seed} {speaker}")).tolist()
        enrolled += [own[i] for i in order[:n]]
        tested += [own[i] for i in sorted(order[n:])]
    return enrolled, tested


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
