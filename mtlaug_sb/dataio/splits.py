"""Who trains, who chooses the epoch, who is tested: three sets of speakers that never meet."""

import logging
import random
from collections import Counter

logger = logging.getLogger(__name__)


class SpeakerLeak(ValueError):
    """A speaker, or a recording, is in two splits."""


def keep_classes(records, label, names, corpus):
    """The records whose ``label`` is one of ``names``; how many are left out is said.

    Raises
    ------
    ValueError
        If no record has one of the names: the known ones are listed.
    """
    count = Counter(str(r[label]) for r in records.values() if label in r)
    unknown = [name for name in names if name not in count]
    if unknown:
        raise ValueError(f"corpus '{corpus}' has no {label} '{unknown[0]}'; it has {', '.join(sorted(count)) or 'none'}")
    left_out = {name: n for name, n in sorted(count.items()) if name not in names}
    if left_out:
        logger.info("Left out, as their %s is not asked for: %s", label, left_out)
    return {k: r for k, r in records.items() if str(r.get(label)) in names}


def find_speaker(asked, speakers):
    """The speaker that a person means: ``3`` finds ``"03"`` where that is the only such number.

    Raises
    ------
    ValueError
        If there is none; lists the speakers.
    """
    if str(asked) in speakers:
        return str(asked)
    same_number = [s for s in speakers if s.isdigit() and str(asked).isdigit() and int(s) == int(asked)]
    if len(same_number) != 1:
        raise ValueError(f"no speaker '{asked}'; the speakers are {', '.join(sorted(speakers))}")
    return same_number[0]


def split_by_speaker(records, test_speakers, n_valid_speakers, seed, stratify_by="gender"):
    """Hold speakers out for the test, and draw those who choose the epoch from the others.

    Arguments
    ---------
    records : dict
        Manifest.
    test_speakers : list of str or None
        None holds out the first speaker in order of name.
    n_valid_speakers : int
        How many are drawn for validation, with ``seed``, in turn from each group of ``stratify_by``; 0 draws none.
    seed : int
        Of the draw.
    stratify_by : str
        Label whose values should all occur among the validation speakers, where it is known.

    Returns
    -------
    dict
        ``{"train": records, "valid": records, "test": records}``.

    Raises
    ------
    ValueError
        If a test speaker is unknown, or there are too few speakers.
    """
    speakers = sorted({r["speaker"] for r in records.values() if r["speaker"] is not None})
    nobody = sum(r["speaker"] is None for r in records.values())
    if nobody:
        logger.warning("Left out %d utterances of unknown speakers: they could be anybody's", nobody)
    needed = (len(test_speakers) if test_speakers else 1) + n_valid_speakers + 1
    if len(speakers) < needed:
        raise ValueError(
            f"{len(speakers)} speakers are too few: {needed - 1 - n_valid_speakers} for the test, {n_valid_speakers} for "
            "validation and at least 1 for training are needed"
        )
    test = [find_speaker(s, speakers) for s in test_speakers] if test_speakers else speakers[:1]
    others = [s for s in speakers if s not in test]
    random.Random(f"{seed} {test}").shuffle(others)
    group = {r["speaker"]: str(r.get(stratify_by)) for r in records.values()}
    rank = {s: sum(group[o] == group[s] for o in others[:i]) for i, s in enumerate(others)}
    valid = sorted(others, key=lambda s: rank[s])[:n_valid_speakers]
    roles = dict.fromkeys(speakers, "train") | dict.fromkeys(valid, "valid") | dict.fromkeys(test, "test")
    splits = {"train": {}, "valid": {}, "test": {}}
    for utterance, record in records.items():
        if record["speaker"] is not None:
            splits[roles[record["speaker"]]][utterance] = record
    return splits


def check_splits(splits, label, names):
    """Refuse splits that share a speaker or a recording, and training data without one of the classes.

    Raises
    ------
    SpeakerLeak
        If two splits share a speaker of a corpus, or a recording, whatever its name.
    ValueError
        If a class has no training utterance, or a split is empty.
    """
    keys = {"speaker": lambda r: (r["corpus"], r["speaker"]), "recording": lambda r: r.get("recording", r["path"])}
    for what, key in keys.items():
        seen = {}
        for split, records in splits.items():
            # unlabelled speech is training data: it may come from training speakers, and from nobody else here
            side = "train" if split == "unlabelled" else split
            for value in {key(r) for r in records.values() if what == "recording" or r["speaker"] is not None}:
                if seen.setdefault(value, side) != side:
                    raise SpeakerLeak(f"{what} {value} is in the {seen[value]} split and in the {split} split")
    for split, records in splits.items():
        if not records and split != "valid":  # without one no epoch is chosen
            raise ValueError(f"the {split} split is empty")
    count = Counter(str(r[label]) for r in splits["train"].values() if label in r)
    for name in names:
        if not count[name]:
            raise ValueError(
                f"class '{name}' has no training utterance: the training speakers are "
                f"{', '.join(sorted({r['speaker'] for r in splits['train'].values()}))}"
            )
