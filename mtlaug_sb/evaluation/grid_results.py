"""A finished cross-validation as it lies in its folder, read back and checked."""

import json
import pathlib
from dataclasses import dataclass, field

import numpy as np

from mtlaug_sb.evaluation.results import read_predictions


@dataclass(frozen=True)
class GridResult:
    """One system's predictions.

    Attributes
    ----------
    name : str
        Of the system.
    classes : list of str
        In the order of the confusion matrices.
    seeds : list of str
        One per repeat.
    speakers : list of str
        All test speakers.
    folds : list of list of str
        Who was tested together.
    truths : dict
        Utterance -> (speaker, class).
    confusions : array of int
        [repeats, speakers, truth, prediction].
    condition : str
        Under which it was tested, where recipes/evaluate.py did it.
    heard : dict
        Utterance -> what identifies the samples that were given to the system, as far as it is known.
    """

    name: str
    classes: list
    seeds: list
    speakers: list
    folds: list
    truths: dict
    confusions: np.ndarray
    condition: str = ""
    heard: dict = field(default_factory=dict)


def uar(confusions):
    """Mean of the recalls of the classes that occur, from confusion matrices [..., truth, prediction]."""
    total = confusions.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nanmean(np.diagonal(confusions, axis1=-2, axis2=-1) / total, axis=-1)


def read_grid(folder, name, among=None):
    """The result in a folder that ``recipes/crossvalidate.py`` (or another recipe with its layout) has finished.

    Arguments
    ---------
    folder : str
        Of the grid.
    name : str
        What to call the system.
    among : list of str or None
        Ask it for these of its classes only: utterances of others are left out, and the likeliest of these is its answer.

    Raises
    ------
    FileNotFoundError
        If the folder holds no grid, or an unfinished one.
    ValueError
        If its files contradict each other: repeats over other utterances, an utterance twice, an unknown class, or
        predictions that do not give the figures of summary.json; or it does not know one of the classes asked for.
    """
    folder = pathlib.Path(folder)
    if not (folder / "summary.json").is_file():
        started = folder.is_dir() and any(folder.glob("seed_*"))
        what = "the grid there is not finished: call its command again" if started else "not a cross-validation's folder"
        raise FileNotFoundError(f"no summary.json in '{folder}': {what}")
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    classes, seeds = summary["classes"], list(summary["repeats"])
    files = {seed: folder / f"predictions_seed_{seed}.csv" for seed in seeds}
    for file in files.values():
        if not file.is_file():
            raise FileNotFoundError(f"'{file}' is missing: summary.json has that repeat")
    tables = {seed: read_predictions([file]) for seed, file in files.items()}
    truths = _truths(tables[seeds[0]])
    speakers = sorted({speaker for speaker, _ in truths.values()})
    for seed, rows in tables.items():
        if _truths(rows) != truths:
            raise ValueError(f"'{files[seed]}' is over other utterances, speakers or truths than '{files[seeds[0]]}'")
        for row in rows:
            for key in ("truth", "prediction"):
                if row[key] not in classes:
                    raise ValueError(f"'{files[seed]}': the {key} of {row['id']} is '{row[key]}', none of {classes}")
    folds = sorted(map(sorted, summary.get("folds") or [[speaker] for speaker in speakers]))
    if sorted(s for fold in folds for s in fold) != speakers:
        raise ValueError(f"'{folder}': the folds of summary.json test {folds}, the predictions are of {speakers}")
    level = summary.get("level")
    condition = f"{summary.get('condition', '')} {'' if level is None else level}".strip()
    result = _result(name, classes, tables, folds, condition)
    for what, recomputed in (("UAR", uar(result.confusions.sum(1))), ("mean_of_folds_UAR", fold_uars(result).mean(1))):
        said = [summary["repeats"][seed][what] for seed in seeds]
        if not np.allclose(said, recomputed, atol=1e-6):
            raise ValueError(f"'{folder}': {what} is {said} by summary.json and {recomputed.tolist()} by the predictions")
    if not among:
        return result
    if unknown := set(among) - set(classes):
        raise ValueError(f"'{folder}': no class '{min(unknown)}'; there are {', '.join(classes)}")
    if not all(f"p_{name}" in rows[0] for rows in tables.values() for name in among):
        raise ValueError(f"'{folder}': which of {', '.join(among)} is the likeliest is not in its files: no probabilities")
    tables = {seed: [_asked_among(among, row) for row in rows if row["truth"] in among] for seed, rows in tables.items()}
    return _result(name, list(among), tables, folds, condition)


def _truths(rows):
    return {row["id"]: (row["speaker"], row["truth"]) for row in rows}


def _asked_among(classes, row):
    """A prediction whose answer is the likeliest of some classes."""
    return {**row, "prediction": max(classes, key=lambda name: float(row[f"p_{name}"]))}


def _result(name, classes, tables, folds, condition=""):
    """A result of {seed: rows of predictions}."""
    first = next(iter(tables.values()))
    truths = _truths(first)
    speakers = sorted({speaker for speaker, _ in truths.values()})
    folds = [there for fold in folds if (there := [s for s in fold if s in speakers])]
    confusions = np.zeros((len(tables), len(speakers), len(classes), len(classes)), int)
    for repeat, rows in enumerate(tables.values()):
        for row in rows:
            place = classes.index(row["truth"]), classes.index(row["prediction"])
            confusions[(repeat, speakers.index(row["speaker"]), *place)] += 1
    heard = {row["id"]: row["heard"] for row in first if "heard" in row}
    return GridResult(name, classes, list(tables), speakers, folds, truths, confusions, condition, heard)


def grid_of_run(folder, name):
    """The result of a single run's folder, its test speakers being one fold."""
    folder = pathlib.Path(folder)
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    rows = read_predictions([folder / "predictions.csv"])
    speakers = sorted({row["speaker"] for row in rows})
    return _result(name, results["classes"], {str(results["seed"]): rows}, [speakers])


def fold_uars(result):
    """UAR of every fold of every repeat, [repeats, folds]."""
    places = [[result.speakers.index(s) for s in fold] for fold in result.folds]
    return np.stack([uar(result.confusions[:, place].sum(1)) for place in places], axis=1)


def check_comparable(results):
    """Refuse systems that were not tested on the same: classes, utterances and their truths, noise, folds.

    Raises
    ------
    ValueError
        Names the two systems and what differs.
    """
    first = results[0]
    for other in results[1:]:
        pair = f"'{first.name}' and '{other.name}' cannot be compared"
        if set(first.classes) != set(other.classes):
            raise ValueError(f"{pair}: their classes are {sorted(first.classes)} and {sorted(other.classes)}")
        only = [sorted(a.truths.keys() - b.truths.keys()) for a, b in ((first, other), (other, first))]
        if any(only):
            told = "; ".join(
                f"{len(ids)} only in '{r.name}' ({', '.join(ids[:3])}{', ...' if len(ids) > 3 else ''})"
                for r, ids in zip((first, other), only, strict=True)
                if ids
            )
            raise ValueError(f"{pair}: they were tested on different utterances: {told}")
        for utterance, truth in first.truths.items():
            if other.truths[utterance] != truth:
                raise ValueError(f"{pair}: {utterance} is {truth} in one and {other.truths[utterance]} in the other")
        for utterance in first.heard.keys() & other.heard.keys() if first.condition == other.condition else ():
            if first.heard[utterance] != other.heard[utterance]:
                raise ValueError(f"{pair}: under '{first.condition}' they heard {utterance} in other noise, or elsewhere")
        if first.folds != other.folds:
            shown = [f"{len(r.folds)} folds ({', '.join('+'.join(f) for f in r.folds[:3])}, ...)" for r in (first, other)]
            raise ValueError(f"{pair}: they were tested in different folds: {shown[0]} and {shown[1]}")
