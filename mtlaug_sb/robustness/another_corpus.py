"""A corpus that a system is tested on as a whole, and was not trained on."""

import hashlib
import json
import sys

from mtlaug_sb.dataio.splits import SpeakerLeak, keep_classes, person


def labelled(target, cell, named):
    """The records of a test corpus that have one of a cell's classes; what is left out is said.

    Raises
    ------
    ValueError
        If a class does not occur: the corpus' own names are listed.
    """
    try:
        target = keep_classes(target, cell.class_label, cell.results["classes"], ", ".join(named))
    except ValueError as error:
        raise ValueError(f"--corpus: {error}; its names are brought to those of the classes by map") from None
    if nobody := sum(r["speaker"] is None for r in target.values()):
        print(f"warning: {nobody} of {len(target)} utterances have no speaker and are left out", file=sys.stderr)
    return target


def identify(target, class_label):
    """What identifies recordings with their classes: 16 hexadecimal digits."""
    pairs = sorted((r.get("recording") or r["path"], str(r[class_label])) for r in target.values())
    return hashlib.sha1(json.dumps(pairs).encode()).hexdigest()[:16]


def check_unseen(cell, target):
    """Refuse a test corpus of which the cell's training has met a speaker or a recording.

    Raises
    ------
    SpeakerLeak
        If it has; names the speaker and the split.
    """
    for split in ("train", "valid", "unlabelled"):
        if (cell.folder / "save" / f"{split}.json").is_file():
            seen = cell.records(split).values()
            met = {person(r) for r in seen} & {person(r) for r in target.values()} - {None}
            same = (
                {r[key] for r in seen if key in r} & {r[key] for r in target.values() if key in r}
                for key in ("recording", "path")  # a large corpus was not read, and knows no recordings
            )
            if met or any(same):
                whom = f"speaker {'/'.join(sorted(met)[0])}" if met else "a recording"
                raise SpeakerLeak(f"--corpus: {whom} is in the {split} split of '{cell.folder}'")
