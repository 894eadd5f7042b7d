#!/usr/bin/env python3
"""Compare systems: python recipes/compare.py RESULT [RESULT ...] [-o FOLDER]

A RESULT is the folder of a finished cross-validation (summary.json and predictions_seed_N.csv). All must be over the same
utterances, classes and folds. Prints the table: UAR, its spread over the repeats and its interval over speakers, recalls,
and a test per pair of systems. With -o, writes comparison.md, .csv and .json, recalls.png, and confusion_<system>.png.

  --among=LIST             ask for these classes only, such as anger,happiness,neutral,sadness: the likeliest of them is the
                           answer, and utterances of others are left out. So systems that know more classes can be compared
                           with those that know fewer
  -o, --output_folder=DIR  where to write
  --resamples=N            of the bootstrap over speakers (default 10000)
  --seed=N                 of the bootstrap (default 0)
"""

import argparse
import json
import pathlib
import sys

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.evaluation.comparison import compare, to_csv, to_markdown
from mtlaug_sb.evaluation.grid_results import read_grid
from mtlaug_sb.evaluation.plots import plot_confusion, plot_recalls
from mtlaug_sb.options import parse_names, parse_own


def main(arguments):
    """Read, compare, print and write. Returns the comparison."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return None
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    parser.add_argument("results", nargs="+", type=pathlib.Path)
    parser.add_argument("--among", type=parse_names)
    parser.add_argument("-o", "--output_folder", type=pathlib.Path)
    parser.add_argument("--resamples", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    options, unknown = parse_own(parser, arguments)
    if unknown:
        raise ValueError(f"no option '{unknown[0]}'; known: --among, --output_folder, --resamples, --seed")
    if options.resamples < 1:
        raise ValueError(f"--resamples must be at least 1, is {options.resamples}")
    named = zip(options.results, names(options.results), strict=True)
    grids = [read_grid(folder, name, options.among) for folder, name in named]
    comparison = compare(grids, options.resamples, options.seed)
    print(to_markdown(comparison))
    if options.output_folder:
        write(comparison, options.output_folder)
    return comparison


def names(folders):
    """What to call the systems: their folders' names, or as much of the paths as tells them apart.

    Raises
    ------
    ValueError
        If a folder is given twice.
    """
    folders = [folder.absolute() for folder in folders]
    if len(set(folders)) < len(folders):
        raise ValueError(f"'{next(f for f in folders if folders.count(f) > 1)}' is given twice")
    # by default a grid lies in results/<system>/<corpus>/crossvalidation, or .../crosscorpus
    short = [f.parent.parent.name if f.name in ("crossvalidation", "crosscorpus") else f.name for f in folders]
    tails = [["/".join(f.parts[-n:]) for f in folders] for n in range(2, max(len(f.parts) for f in folders) + 1)]
    return next(tail for tail in [short, *tails] if len(set(tail)) == len(tail))


def write(comparison, folder):
    """Everything into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "comparison.md", to_markdown(comparison))
    write_atomically(folder / "comparison.csv", to_csv(comparison))
    write_atomically(folder / "comparison.json", json.dumps(comparison, indent=1))
    systems = comparison["systems"]
    recalls = {row["system"]: [row.get(f"recall/{c}", 0.0) for c in comparison["classes"]] for row in systems}
    plot_recalls(recalls, comparison["classes"], folder / "recalls.png")
    for row in systems:
        title = f"{row['system']}: UAR {row['UAR']:.3f}"
        plot_confusion(
            row["confusion"], comparison["classes"], title, folder / f"confusion_{row['system'].replace('/', '_')}.png"
        )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
