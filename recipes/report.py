#!/usr/bin/env python3
"""One page to look at: python recipes/report.py RESULT [RESULT ...] -o report.html

A RESULT is the folder of a run or of a grid (crossvalidate.py, crosscorpus.py, svm_baseline.py); what evaluate.py
has left in it is shown as well. The page needs no network and no other file. Needs pip install -e ".[report]".

  -o, --output=FILE      the page (default report.html)
  --title=TEXT           its heading
  --embeddings=METHOD    tsne (default), pca or none: of the first cell of each result, whose model is loaded for it
  --resamples=N          of the bootstrap over speakers (default 10000)
  --plugins=FILES        Python files that a model needs
"""

import argparse
import pathlib
import sys

from compare import names as names_of
from report_sections import Result, confusions, embeddings, learning_curves, speakers, systems, under_conditions

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.evaluation.grid_results import grid_of_run, read_grid
from mtlaug_sb.options import parse_names, parse_own
from mtlaug_sb.robustness.cells import find_cells
from mtlaug_sb.robustness.runner import SUMMARY, read_rows

METHODS = ("tsne", "pca", "none")


def main(arguments):
    """Read, draw, and write the page. Returns its text."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return None
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    parser.add_argument("results", nargs="+", type=pathlib.Path)
    parser.add_argument("-o", "--output", type=pathlib.Path, default=pathlib.Path("report.html"))
    parser.add_argument("--title", default="Speech emotion recognition: results")
    parser.add_argument("--embeddings", choices=METHODS, default="tsne")
    parser.add_argument("--resamples", type=int, default=10000)
    parser.add_argument("--plugins", type=parse_names, default=[])
    own, unknown = parse_own(parser, arguments)
    if unknown:
        raise ValueError(f"no option '{unknown[0]}'; --help lists them")
    results = [read_result(f, n) for f, n in zip(own.results, names_of(own.results), strict=True)]
    sections = [
        systems(results, own.resamples),
        *under_conditions(results),
        confusions(results),
        speakers(results),
        *([embeddings(results, own.embeddings, own.plugins)] if own.embeddings != "none" else []),
        learning_curves(results),
    ]
    text = write_page(own.output, own.title, [s for s in sections if s["parts"]])
    print(f"{own.output}: {len(text) / 1e6:.1f} MB")
    return text


def write_page(path, title, sections):
    """Write sections into one file of HTML; returns its text."""
    try:
        import jinja2
    except ModuleNotFoundError:
        raise ModuleNotFoundError("jinja2 is not installed: pip install -e '.[report]'") from None
    template = pathlib.Path(__file__).with_name("report_page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    text = environment.from_string(template).render(title=title, sections=sections)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
    return text


def read_result(folder, name):
    """What a folder holds."""
    try:
        cells = find_cells(folder)
    except FileNotFoundError:
        if not (folder / "summary.json").is_file():
            raise
        cells = []  # a published result: predictions, but no trained systems
    grid = grid_of_run(folder, name) if (folder / "results.json").is_file() else read_grid(folder, name)
    robustness = {path.parent.name: read_rows(path.parent) for path in sorted(folder.glob(f"*/{SUMMARY}"))}
    return Result(name, folder, grid, cells, robustness)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.exit(f"error: {error}")
