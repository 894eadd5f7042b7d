"""Who trains, who chooses the epoch, who is tested: three sets of speakers that never meet."""

import itertools
import logging
import random
from collections import Counter

import numpy as np

from mtlaug_sb.dataio.records import Records
from mtlaug_sb.unicode_form import one_form

logger = logging.getLogger(__name__)


class SpeakerLeak(ValueError):
    """A speaker, or a recording, is in two splits."""


def keep_classes(records, label, names, corpus):
    """The records whose ``label`` is one of ``names``; how many are left out is said.

    Raises
    ------
    ValueError
        If one of the names is no record's: the known ones are listed.
    """
    table = Records.of(records)
    count = _count(table, label)
    unknown = [name for name in names if name not in count]
    if unknown:
        raise ValueError(f"corpus '{corpus}' has no {label} '{unknown[0]}'; it has {_known(table, count)}")
    kept = table.where(label, lambda value: value is not None and str(value) in names)
    left_out = {name: n for name, n in sorted(count.items()) if name not in names}
    if nameless := len(table) - sum(count.values()):
        left_out[f"without {label}"] = nameless
    if left_out:
        said = ", ".join(f"{n} {name}" for name, n in left_out.items())
        logger.warning("Of %d utterances, %d are not of the classes: %s", len(table), len(table) - len(kept), said)
    alike = {_simplified(name): name for name in names}
    for name in left_out:
        if same := alike.get(_simplified(name)):
            how = "rename among a CSV's corpus_options, map in a statement of corpora"
            logger.warning("'%s' is not '%s', and is left out; if it is the same, give both one name (%s)", name, same, how)
    return _same_kind(records, kept)


def _known(table, count):
    """What to choose from where a class is unknown: the label's values, or the labels."""
    if count:
        return ", ".join(sorted(count))
    there = {key for record in itertools.islice(table.values(), 1000) for key in record}
    others = sorted(there - {"path", "duration_s", "speaker", "corpus", "recording"})
    return "none" + (f", but {', '.join(others)} (--class_label names the one that is meant)" if others else "")


def _simplified(name):
    return name.strip().casefold()


def without_strangers(records):
    """The records of known speakers; how many others there are is said."""
    table = Records.of(records)
    if nobody := table.counts("speaker").get(None, 0):
        logger.warning("Left out %d utterances of unknown speakers: they could be anybody's", nobody)
        table = table.where("speaker", lambda speaker: speaker is not None)
    return _same_kind(records, table)


def find_speaker(asked, speakers):
    """The speaker that a person means: ``3`` finds ``"03"`` where that is the only such number.

    Raises
    ------
    ValueError
        If there is none; lists the speakers.
    """
    if (name := one_form(str(asked))) in speakers:
        return name
    same_number = [s for s in speakers if s.isdigit() and str(asked).isdigit() and int(s) == int(asked)]
    if len(same_number) != 1:
        raise ValueError(f"no speaker '{asked}'; the speakers are {', '.join(sorted(speakers))}")
    return same_number[0]


def exclude_speakers(records, excluded):
    """The records without those of some speakers.

    Raises
    ------
    ValueError
        If one of them is unknown; lists the speakers.
    """
    table = Records.of(records)
    speakers = table.counts("speaker").keys() - {None}
    excluded = {find_speaker(s, speakers) for s in excluded}
    return _same_kind(records, table.where("speaker", lambda s: s not in excluded))


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
    table = Records.of(without_strangers(records))
    speakers = sorted(table.counts("speaker"))
    needed = (len(test_speakers) if test_speakers else 1) + n_valid_speakers + 1
    if len(speakers) < needed:
        raise ValueError(
            f"{len(speakers)} speakers are too few: {needed - 1 - n_valid_speakers} for the test, {n_valid_speakers} for "
            "validation and at least 1 for training are needed (of a CSV, the column 'speaker' names them)"
        )
    test = [find_speaker(s, speakers) for s in test_speakers] if test_speakers else speakers[:1]
    others = [s for s in speakers if s not in test]
    random.Random(f"{seed} {test}").shuffle(others)
    group = {s: str(value) for s, value in table.latest("speaker", stratify_by).items()}
    before, rank = Counter(), {}
    for s in others:
        rank[s] = before[group[s]]
        before[group[s]] += 1
    valid = sorted(others, key=lambda s: rank[s])[:n_valid_speakers]
    roles = dict.fromkeys(speakers, "train") | dict.fromkeys(valid, "valid") | dict.fromkeys(test, "test")
    parts = {role: table.where("speaker", lambda s, role=role: roles.get(s) == role) for role in ("train", "valid", "test")}
    return {role: _same_kind(records, part) for role, part in parts.items()}


def check_splits(splits, label, names):
    """Refuse splits that share a speaker or a recording, and training data without one of the classes.

    Raises
    ------
    SpeakerLeak
        If two splits share a speaker of a corpus, or a recording, whatever its name.
    ValueError
        If a class has no training utterance, or a split is empty.
    """
    splits = {split: Records.of(records) for split, records in splits.items()}
    # unlabelled speech is training data: it may come from training speakers, and from nobody else here
    sides = {split: "train" if split == "unlabelled" else split for split in splits}
    seen = {}
    for split, records in splits.items():
        side = sides[split]
        for value in people(records):
            if seen.setdefault(value, side) != side:
                raise SpeakerLeak(f"speaker {value} is in the {seen[value]} split and in the {split} split")
    hashes = {split: records.hashes("recording", "path") for split, records in splits.items()}
    for split, other in itertools.combinations(splits, 2):
        if sides[split] != sides[other] and (both := _common(hashes[split], hashes[other])):
            there = [_recordings(splits[s], both) for s in (split, other)]
            for value in there[0].keys() & there[1].keys():
                paths = [part[value] for part in there]
                where = f"in the {split} split, and as {paths[1]} in the {other} split"
                raise SpeakerLeak(f"recording {paths[0]} is {where}; take one of them out")
    for split, records in splits.items():
        if not records and split != "valid":  # without one no epoch is chosen
            raise ValueError(f"the {split} split is empty")
    count = _count(splits["train"], label)
    for name in names:
        if not count[name]:
            first, *more = sorted(splits["test"].counts("speaker"))
            whose = f"{first} and {len(more)} more are" if more else f"{first} is"
            raise ValueError(
                f"class '{name}' has no training utterance where {whose} tested: choose other --classes, other names for "
                "them (rename, map), or other folds (--folds_file, --excluded_speakers)"
            )


def person(record):
    """(corpus, speaker) of a record, whether its corpus was read alone or joined to others; None if unknown."""
    return _person(record["corpus"], record["speaker"])


def people(records):
    """A set of what ``person`` gives, of a table of records."""
    return {_person(*pair) for pair in records.pairs("corpus", "speaker")} - {None}


def _person(corpus, speaker):
    return None if speaker is None else (corpus, speaker.removeprefix(f"{corpus}/"))


def _count(table, label):
    """Counter of the values of a label, as text; a missing one is not counted."""
    count = Counter()
    for value, n in table.counts(label).items():
        count[str(value)] += n if value is not None else 0
    return +count


def _same_kind(records, part):
    """A part of the records as what they were given as: a dictionary of the same records, or a table."""
    return part if isinstance(records, Records) else {k: records[k] for k in part}


def _common(some, others):
    """A set of the integers that are in both arrays; fast where one of them is short, as a test split is."""
    few, many = sorted((some, others), key=len)
    if not len(few):
        return set()
    few = np.sort(few)
    found = few[np.searchsorted(few, many).clip(max=len(few) - 1)] == many
    return set(many[found].tolist())


def _recordings(records, hashes):
    """{what identifies it: path} of the recordings whose hash is among the given ones."""
    chosen = records.select(np.isin(records.hashes("recording", "path"), list(hashes)))
    return {r.get("recording", r["path"]): r["path"] for r in chosen.values()}
