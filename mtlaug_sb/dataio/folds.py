"""Who is tested together in a cross-validation."""

import itertools
import logging
import pathlib

import ruamel.yaml

from mtlaug_sb.dataio.splits import find_speaker

logger = logging.getLogger(__name__)


def add_fold_options(parser):
    """The command-line options that say who is tested together."""
    parser.add_argument("--folds", type=int)
    parser.add_argument("--leave_out")
    parser.add_argument("--folds_file")


def make_folds(records, n_folds=None, leave_out=None, folds_file=None):
    """{name of the fold: its test speakers}; one fold per speaker unless something else is asked for.

    Arguments
    ---------
    records : dict
        Manifest.
    n_folds : int or None
        So many folds of neighbouring speakers.
    leave_out : str or None
        A fold per value of this label, such as "session".
    folds_file : str or None
        JSON or YAML file: {name of the fold: [speakers]}. Speakers in no fold are never tested, and always train.

    Raises
    ------
    ValueError
        If more than one way is asked for, if there are fewer than two folds or more folds than speakers, if a speaker
        has several values of the label or none, or if the file tests a speaker twice or one that is not there.
    """
    asked = [way for way, given in {"folds": n_folds, "leave_out": leave_out, "folds_file": folds_file}.items() if given]
    if len(asked) > 1:
        raise ValueError(f"--{asked[0]} and --{asked[1]} exclude one another: both say who is tested together")
    speakers = sorted({r["speaker"] for r in records.values() if r["speaker"] is not None})
    if folds_file:
        return _read_folds(folds_file, speakers)
    if leave_out:
        return _by_label(records, leave_out)
    n_folds = len(speakers) if n_folds is None else n_folds
    if not 1 < n_folds <= len(speakers):
        raise ValueError(f"{n_folds} folds need at least as many speakers, and more than one; there are {len(speakers)}")
    bounds = [round(i * len(speakers) / n_folds) for i in range(n_folds + 1)]
    groups = [speakers[a:b] for a, b in itertools.pairwise(bounds)]
    names = ["+".join(group) if len(group) < 3 else f"{group[0]}to{group[-1]}" for group in groups]
    return dict(zip(names, groups, strict=True))


def _by_label(records, label):
    known = [r for r in records.values() if r["speaker"] is not None]
    values = {}
    for record in known:
        values.setdefault(record["speaker"], set()).add(str(record[label]) if label in record else None)
    for speaker, found in values.items():
        if len(found) > 1 or None in found:
            told = ", ".join(sorted(map(str, found - {None}))) + (" and none" if None in found else "")
            raise ValueError(
                f"--leave_out={label}: each speaker must have one {label}; speaker '{speaker}' has {told.strip()}"
            )
    folds = {}
    for speaker in sorted(values):
        folds.setdefault(*values[speaker], []).append(speaker)
    if len(folds) < 2:
        raise ValueError(f"--leave_out={label}: two folds are needed, and the only {label} is {', '.join(folds)}")
    return dict(sorted(folds.items()))


def _read_folds(file, speakers):
    try:
        content = ruamel.yaml.YAML(typ="safe").load(pathlib.Path(file))
    except ruamel.yaml.error.YAMLError as error:
        raise ValueError(f"{file}: neither JSON nor YAML ({' '.join(str(error).split())})") from None
    if not isinstance(content, dict) or not all(isinstance(v, list) and v for v in content.values()) or not content:
        raise ValueError(f"{file}: folds are {{name: [speakers]}}, and none of them is empty")
    try:
        folds = {str(name): [find_speaker(s, speakers) for s in group] for name, group in content.items()}
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    tested = [s for group in folds.values() for s in group]
    if twice := sorted({s for s in tested if tested.count(s) > 1}):
        raise ValueError(f"{file}: speaker '{twice[0]}' is tested more than once")
    if never := sorted(set(speakers) - set(tested)):
        logger.warning("%s: never tested, always in training: %s", file, ", ".join(never))
    return folds
