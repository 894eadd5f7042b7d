"""A finished cross-validation as it lies in its folder, read back and checked."""

import json
import pathlib
from dataclasses import dataclass, field, replace

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
    left_out : int
        Utterances of other classes than those it was asked for.
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
    left_out: int = 0


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
        Ask it for these of its classes only: the likeliest of these is its answer, and utterances of others are left out.

    Raises
    ------
    FileNotFoundError
        If the folder holds no grid, or an unfinished one.
    ValueError
        If its files contradict each other: repeats over other utterances, an utterance twice, an unknown class, or
        predictions that do not give the figures of summary.json; or if it cannot be asked for those classes: fewer than two,
        one that it does not know, no probabilities, no utterance of any.
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
    return result if among is None else _asked_among(among, result, tables, folder)


def _asked_among(among, result, tables, folder):
    """The same system, asked for the likeliest of some of its classes."""
    if len(set(among)) < max(len(among), 2):
        raise ValueError(f"'{folder}' must be asked for at least two different classes, not {', '.join(among) or 'none'}")
    if unknown := [name for name in among if name not in result.classes]:
        raise ValueError(f"'{folder}': no class '{unknown[0]}'; there are {', '.join(result.classes)}")

    def likeliest(row):
        try:
            return max(among, key=lambda name: float(row[f"p_{name}"]))
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"'{folder}': the probabilities of {row['id']} are not in its files") from None

    asked = {seed: [{**r, "prediction": likeliest(r)} for r in rows if r["truth"] in among] for seed, rows in tables.items()}
    if not all(asked.values()):
        raise ValueError(f"'{folder}': there is no utterance of {', '.join(among)}")
    few = _result(result.name, list(among), asked, result.folds, result.condition)
    return replace(few, left_out=len(result.truths) - len(few.truths))


def _truths(rows):
    return {row["id"]: (row["speaker"], row["truth"]) for row in rows}


def _result(name, classes, tables, folds, condition=""):
    """A result of {seed: rows of predictions}."""
    first = next(iter(tables.values()))
    truths = _truths(first)
    speakers = sorted({speaker for speaker, _ in truths.values()})
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
    """UAR of every fold that was asked for anything, of every repeat, [repeats, folds]."""
    places = [[result.speakers.index(s) for s in fold if s in result.speakers] for fold in result.folds]
    return np.stack([uar(result.confusions[:, place].sum(1)) for place in filter(None, places)], axis=1)


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
