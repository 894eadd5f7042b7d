"""The sections of the page that report.py writes: tables and pictures of what result folders hold."""

import base64
import io
import json
import pathlib
from dataclasses import dataclass, field

import numpy as np
from evaluate import sample_rate_of

from mtlaug_sb.dataio.audio import AudioReader
from mtlaug_sb.evaluation.comparison import TEST_NOTE, compare
from mtlaug_sb.evaluation.grid_results import GridResult, uar
from mtlaug_sb.evaluation.plots import plot_confusion
from mtlaug_sb.evaluation.report_figures import (
    figure_of_embeddings,
    figure_of_levels,
    figure_of_loss_terms,
    figure_of_speakers,
)
from mtlaug_sb.robustness.embeddings import embed, in_two_dimensions
from mtlaug_sb.robustness.systems import TrainedNetwork


@dataclass(frozen=True)
class Result:
    """What a result folder holds: its name, predictions, cells, and what evaluate.py added, {name: rows}."""

    name: str
    folder: pathlib.Path
    grid: GridResult
    cells: list
    robustness: dict = field(default_factory=dict)


def systems(results, resamples):
    """The table of systems; where they were tested on the same, what tells them apart."""
    try:
        comparisons = [compare([r.grid for r in results], resamples)]
        note = ""
    except ValueError as error:
        comparisons = [compare([r.grid], resamples) for r in results]
        note = f" No test between systems: {error}."
    classes = comparisons[0]["classes"]
    table = [["system", "UAR", "95 % interval", "repeats", "WA", "macro-F1", "speakers", *(f"recall {c}" for c in classes)]]
    tests = [["systems", "difference in UAR", "95 % interval", "pairs", "p", "p, corrected"]]
    for comparison in comparisons:
        for row in comparison["systems"]:
            recalls = [f"{row[f'recall/{c}']:.2f}" if f"recall/{c}" in row else "" for c in classes]
            figures = [f"{row['WA']:.3f}", f"{row['macro_F1']:.3f}", comparison["speakers"]]
            table.append([row["system"], show(row), interval_of(row), row["repeats"], *figures, *recalls])
        for test in comparison["tests"]:
            low, high = test["interval"]
            p = [f"{test['p']:.3g}", f"{test['p_holm']:.3g}"]
            pairs = f"{test['pairs']} {test['pair']}"
            tests.append(
                [" - ".join(test["systems"]), f"{test['difference']:+.3f}", f"{low:+.3f} to {high:+.3f}", pairs, *p]
            )
    parts = [part(table=table)]
    if len(tests) > 1:
        parts.append(part("Differences", TEST_NOTE.format(f"{len(tests) - 1} comparison(s)"), table=tests))
    about = (
        "UAR is the mean of the classes' recalls, pooled over all test speakers of a repeat: mean and standard deviation "
        f"over repeats. The interval is a percentile bootstrap over speakers ({resamples} resamples)."
    )
    return section("systems", "Systems", about + note, parts)


def under_conditions(results):
    """A section for each kind of evaluation: curves, and the figures behind them."""
    for name in dict.fromkeys(n for r in results for n in r.robustness):
        rows = {r.name: r.robustness[name] for r in results if name in r.robustness}
        clean = {system: [r for r in some if r["kind"] == "clean"] for system, some in rows.items()}
        groups = {}
        for system, some in rows.items():
            for row in (r for r in some if r["level"] is not None):
                groups.setdefault(row["axis"], {}).setdefault(row["condition"], {}).setdefault(system, []).append(row)
        chance = 1 / len(next(r for r in results if name in r.robustness).grid.classes)
        parts = []
        for axis, panels in groups.items():
            panels = {c: {s: clean[s] + some for s, some in curves.items()} for c, curves in apart(panels).items()}
            systems_there = {s for curves in panels.values() for s in curves}
            noise = {c: p for c, p in panels.items() if c.startswith("noise_") and p.keys() == systems_there}
            if len(noise) > 1:
                panels = {f"mean over {len(noise)} environments": mean_of(noise)} | panels
            alt = f"UAR against {axis}; bands are 95 % intervals over speakers, the dotted line is guessing"
            parts.append(part(image=svg(figure_of_levels(panels, axis, chance)), alt=alt))
        table = [["system", "condition", "level", "UAR", "95 % interval", "WA", "lowest recall"]]
        for system, some in rows.items():
            for row in sorted(some, key=lambda row: row["kind"] != "clean"):
                level = "" if row["level"] is None else f"{row['level']:g} {row['unit']}"
                recalls = {k.removeprefix("recall/"): v for k, v in row.items() if k.startswith("recall/")}
                lowest = min(recalls, key=recalls.get)
                figures = [show(row), interval_of(row), f"{row['WA']:.3f}", f"{lowest} {recalls[lowest]:.2f}"]
                table.append([system, row["condition"], level, *figures])
        parts.append(part("Figures", table=table))
        note = (
            "Trained as above; only the test is another. What shares a panel was given the very same test set in noise and "
            "in rooms; a mean is over the levels and environments that every system was tested in."
        )
        yield section(name, name.replace("_", " ").capitalize(), note, parts)


def confusions(results):
    """A confusion matrix per system."""
    parts = []
    for r in results:
        picture, total = io.BytesIO(), r.grid.confusions.sum((0, 1))
        plot_confusion(total.tolist(), r.grid.classes, r.name.replace("$", r"\$"), picture)
        parts.append(
            part(image=uri(picture.getvalue(), "image/png"), alt=f"Confusion matrix of {r.name}, all repeats together")
        )
    return section("confusions", "Confusions", "Rows are the truth; colour is the share of the row.", parts)


def speakers(results):
    """Every speaker's UAR under every system."""
    uars = {r.name: dict(zip(r.grid.speakers, uar(r.grid.confusions).mean(0).tolist(), strict=True)) for r in results}
    note = "A system may be good on average and fail somebody. Mean over the repeats."
    return section("speakers", "Speakers", note, [part(image=svg(figure_of_speakers(uars)), alt="UAR of each speaker")])


def embeddings(results, method, plugins):
    """Where the first cell of each system puts utterances; ``method`` is tsne or pca."""
    parts = []
    for r in results:
        if not r.cells or not (r.cells[0].folder / "model").is_dir():
            continue
        cell = r.cells[0]
        read_audio = AudioReader(sample_rate_of(cell))
        try:
            vectors, tested, records = embed(cell, TrainedNetwork(cell.folder, plugins=plugins), read_audio)
        # the audio or a plugin is not here, or the model fails: the rest of the page is worth having
        except (ValueError, KeyError, OSError, ImportError, RuntimeError) as error:
            parts.append(part(r.name, f"Not drawn: {error}"))
            continue
        colours = {
            "emotion": [record["class"] for record in records],
            "speaker": [str(record["speaker"]) for record in records],
        }
        if len({record["corpus"] for record in records}) > 1:
            colours["corpus"] = [record["corpus"] for record in records]
        figure = figure_of_embeddings(in_two_dimensions(vectors, method), tested, colours)
        alt = f"{r.name}, seed {cell.seed}, {cell.fold}: {len(tested)} utterances"
        parts.append(part(image=svg(figure), alt=alt))
    methods = {
        "tsne": "t-SNE: neighbours mean something, distances between groups do not",
        "pca": "two principal components",
    }
    note = f"What the emotion head makes of utterances, by {methods[method]}. Large points are of the test speakers."
    return section("embeddings", "Embeddings", note, parts)


def learning_curves(results):
    """Every loss term of every system."""
    parts = []
    for r in results:
        tables = [cell.folder / "train_log.csv" for cell in r.cells if (cell.folder / "train_log.csv").is_file()]
        figure = figure_of_loss_terms(tables) if tables else None
        if figure is not None:
            parts.append(part(image=svg(figure), alt=f"Loss terms of {r.name}, {len(tables)} trainings"))
    note = "Mean over the trainings; the band is their standard deviation."
    return section("curves", "Learning curves", note, parts)


# ---------------------------------------------------------------------- pieces


def apart(panels):
    """The panels, with a panel of its own for each test that systems have under one name with other settings."""
    split = {}
    for condition, curves in panels.items():
        kinds = {}
        for system, rows in curves.items():
            about = {k: v for k, v in rows[0].get("settings", {}).items() if k != "levels"}
            kinds.setdefault(json.dumps(about, sort_keys=True), {})[system] = rows
        for some in kinds.values():
            split[condition if len(kinds) == 1 else f"{condition} of {', '.join(some)}"] = some
    return split


def mean_of(panels):
    """{system: rows} of the mean over the environments at each level that all have; its band is the mean of the bands."""
    curves = {}
    everywhere = set.intersection(*({row["level"] for row in rows} for p in panels.values() for rows in p.values()))
    for system in dict.fromkeys(s for p in panels.values() for s in p):
        of_system = [row for p in panels.values() for row in p.get(system, [])]
        for level in dict.fromkeys(row["level"] for row in of_system if row["level"] in everywhere):
            some = [row for row in of_system if row["level"] == level]
            mean = {key: float(np.mean([row[key] for row in some])) for key in ("UAR", "UAR_low", "UAR_high")}
            curves.setdefault(system, []).append({"level": level, **mean})
    return curves


def section(identity, title, note, parts):
    return {"id": identity, "title": title, "note": note, "parts": parts}


def part(title="", note="", table=None, image=None, alt="", audio=None):
    return {"title": title, "note": note, "table": table, "image": image, "alt": alt, "audio": audio}


def show(row):
    return f"{row['UAR']:.3f}" + (f" ± {row['UAR_std']:.3f}" if row["UAR_std"] is not None else "")


def interval_of(row):
    if row.get("speakers") == 1:  # the bootstrap is over speakers
        return "one speaker"
    return f"{row['UAR_low']:.3f} to {row['UAR_high']:.3f}"


def svg(figure):
    """A figure as an address that holds it."""
    picture = io.BytesIO()
    figure.savefig(picture, format="svg", metadata={"Date": None})
    return uri(picture.getvalue(), "image/svg+xml")


def uri(content, kind):
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
