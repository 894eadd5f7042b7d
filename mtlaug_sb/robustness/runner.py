"""From conditions and cells to prediction files and summaries on disk, cell by cell."""

import json
import pathlib

import numpy as np
from tqdm import tqdm

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.evaluation.grid_results import read_grid
from mtlaug_sb.evaluation.results import read_predictions, write_predictions
from mtlaug_sb.evaluation.significance import interval, resample_speakers, resampled_uars
from mtlaug_sb.evaluation.summary import pool_predictions, summarise_rows

SETTINGS, SUMMARY, MODEL = "settings.json", "robustness.json", "model.sha1"
RESAMPLES = 2000


def run_conditions(conditions, cells, system_of, utterances_of, folder, repeat_of=None, progress=True):
    """Test every cell under every condition; what is on disk already, of the same model, is not computed again.

    Arguments
    ---------
    conditions : list
        Each with ``name``, ``levels``, ``unit``, ``settings`` and ``answers(system, utterances, cell)``.
    cells : list of Cell
        Of one result.
    system_of : callable
        Cell -> a system with ``classes`` and ``probabilities``.
    utterances_of : callable
        Cell -> list of Utterance.
    folder : str
        ``<condition>/<level>/`` below it get predictions and a summary.json, as a cross-validation has them.
    repeat_of : callable or None
        Cell -> the name of the repeat that it belongs to; by default its seed.
    progress : bool
        Show a progress bar.

    Returns
    -------
    list of dict
        A row per condition and level: the contents of robustness.json.

    Raises
    ------
    FileExistsError
        If the folder holds the same condition with other settings; the keys are named.
    """
    folder, repeat_of = pathlib.Path(folder), repeat_of or (lambda cell: cell.seed)
    for condition in conditions:
        _check_settings(condition, folder / condition.name)
    with tqdm(total=len(conditions) * len(cells), unit="cell", disable=not progress) as bar:
        for cell in cells:
            model = cell.fingerprint()
            missing = [c for c in conditions if not all(_is_of(p, model) for p in _files(folder, c, cell, repeat_of))]
            bar.update(len(conditions) - len(missing))
            if not missing:
                continue
            system, utterances = system_of(cell), utterances_of(cell)
            for condition in missing:
                bar.set_postfix_str(condition.name)
                paths = _files(folder, condition, cell, repeat_of)
                answers = condition.answers(system, utterances, cell)
                for path, (probabilities, columns) in zip(paths, answers, strict=True):
                    _write(path, system.classes, utterances, probabilities, columns)
                    write_atomically(path.with_name(MODEL), model)
                    # not before: a call that fails at once decides nothing
                    write_atomically(folder / condition.name / SETTINGS, json.dumps(condition.settings, indent=1))
                bar.update()
    rows = [row for c in conditions for row in _summaries(folder, c, cells, repeat_of)]
    known = {(row["condition"], row["level"]) for row in rows}
    if (folder / SUMMARY).is_file():  # of an earlier call
        rows = [r for r in read_rows(folder) if (r["condition"], r["level"]) not in known] + rows
    write_atomically(folder / SUMMARY, json.dumps(rows, indent=1))
    return rows


def read_rows(folder):
    """The rows of robustness.json in a folder."""
    return json.loads((pathlib.Path(folder) / SUMMARY).read_text(encoding="utf-8"))


def level_folder(condition, level):
    """Where a level's files lie, below the folder of all conditions."""
    return pathlib.Path(condition.name) / ("" if level is None else f"{level:g}{condition.unit}")


def to_markdown(rows, asked):
    """The rows as a table; where noise has several environments among the conditions asked for, with their mean."""
    classes = [key.removeprefix("recall/") for key in rows[0] if key.startswith("recall/")]
    lines = [
        f"| condition | level | UAR | 95 % interval | WA | recall {' / '.join(classes)} |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        spread = f" +- {row['UAR_std']:.3f}" if row["UAR_std"] is not None else ""
        level = "" if row["level"] is None else f"{row['level']:g} {row['unit']}".strip()
        recalls = " / ".join(format(row.get(f"recall/{c}", float("nan")), ".2f") for c in classes)
        low, high = row["UAR_low"], row["UAR_high"]
        # the bootstrap is over speakers: of one it says nothing
        within = f"{low:.3f} to {high:.3f}" if row["speakers"] > 1 else "one speaker"
        lines.append(f"| {row['condition']} | {level} | {row['UAR']:.3f}{spread} | {within} | {row['WA']:.3f} | {recalls} |")
    noise = [row for row in rows if row["kind"] == "noise" and row["condition"] in asked]
    names = {row["condition"] for row in noise}
    for level in sorted({row["level"] for row in noise}, reverse=True):
        uars = [row["UAR"] for row in noise if row["level"] == level]
        if len(uars) == len(names) > 1:  # each of them has that level
            lines.append(f"| mean over {len(uars)} environments | {level:g} dB | {np.mean(uars):.3f} | | | |")
    return "\n".join(lines) + "\n"


def _files(folder, condition, cell, repeat_of):
    """A cell's prediction file of each level."""
    below = f"seed_{repeat_of(cell)}/{cell.fold}/predictions.csv"
    return [folder / level_folder(condition, level) / below for level in condition.levels]


def _is_of(path, model):
    """Whether predictions are there, and made by this model."""
    made_by = path.with_name(MODEL)
    return path.is_file() and made_by.is_file() and made_by.read_text(encoding="utf-8") == model


def _check_settings(condition, folder):
    path = folder / SETTINGS
    # levels of noise may be added later: one does not change the others
    if path.is_file():
        there = json.loads(path.read_text(encoding="utf-8"))
        changed = [k for k in there.keys() | condition.settings.keys() if there.get(k) != condition.settings.get(k)]
        if changed:
            raise FileExistsError(
                f"'{folder}' holds this condition with other settings ({', '.join(sorted(changed))}); choose another "
                "--output_folder"
            )


def _write(path, classes, utterances, probabilities, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [(u.id, classes.index(u.truth), p) for u, p in zip(utterances, probabilities.tolist(), strict=True)]
    write_predictions(path, rows, {u.id: u.record for u in utterances}, classes, columns)


def _summaries(folder, condition, cells, repeat_of):
    """Pool each level's cells into its summary.json and predictions_seed_N.csv; a row of figures for each."""
    for k, level in enumerate(condition.levels):
        place, files = folder / level_folder(condition, level), {}
        for cell in cells:
            files.setdefault(str(repeat_of(cell)), []).append(_files(folder, condition, cell, repeat_of)[k])
        tables = {repeat: read_predictions(paths) for repeat, paths in files.items()}
        classes = cells[0].results["classes"]
        folds = [sorted({r["speaker"] for r in read_predictions([path])}) for path in next(iter(files.values()))]
        summary = summarise_rows(tables, folds, classes)
        about = {"condition": condition.name, "level": level, "unit": condition.unit, "axis": condition.axis}
        about |= {"kind": condition.settings["kind"], "speakers": len({s for fold in folds for s in fold})}
        about |= {"settings": condition.settings}
        for repeat, paths in files.items():
            pool_predictions(paths, place / f"predictions_seed_{repeat}.csv")
        write_atomically(place / "summary.json", json.dumps({**summary, **about}, indent=1))
        grid = read_grid(place, condition.name)
        low, high = interval(resampled_uars(grid.confusions, resample_speakers(len(grid.speakers), RESAMPLES, 0)))
        repeats = list(summary["repeats"].values())
        means = {key: float(np.mean([r[key] for r in repeats])) for key in repeats[0] if key != "UAR"}
        spread = {"UAR": summary["UAR"]["mean"], "UAR_std": summary["UAR"]["std"], "repeats": summary["UAR"]["n"]}
        yield {**about, **spread, "UAR_low": low, "UAR_high": high, **means}
