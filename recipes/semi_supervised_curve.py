#!/usr/bin/env python3
"""How much labels are worth: python recipes/semi_supervised_curve.py hparams/mtl_aug_semi.yaml [--key=value ...]

Cross-validates with labels of 2, 4, 6, 8 training speakers, with and without unlabelled speech. Every point of the curve is
a grid of recipes/crossvalidate.py in a folder of its own, <unlabelled>_<speakers>, with the same folds and seeds. The
speakers of a point are among those of the next one. Fewer labelled utterances make fewer steps of as many epochs, with and
without unlabelled speech alike. Finished cells are not run again: a killed curve goes on where it stopped. Writes curve.md,
curve.csv, curve.json and curve.png.

  --labelled_speakers=N,N    default 2,4,6,8; as many must be left after test and validation speakers (--n_valid_speakers)
  --unlabelled=KIND,KIND     default without,with:
                               without   none
                               with      that of the YAML or of the command line (--unlabelled_corpus=... and so on)
                               left_out  the speech of the corpus' own training speakers whose class labels are not used
  --output_folder=DIR        default: results/<YAML's name>/<corpus>/semi_supervised_curve

All other keys are those of recipes/crossvalidate.py (--repeats, --folds, --jobs, ...) and of recipes/train.py.
"""

import argparse
import json
import pathlib
import sys

import crossvalidate

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.dataio.audio import AudioReader
from mtlaug_sb.dataio.folds import make_folds
from mtlaug_sb.evaluation.label_curve import curve_rows, plot_curve, to_csv, to_markdown
from mtlaug_sb.options import parse_own, read_arguments

# kind of unlabelled speech -> what it takes; the last value of a key counts
KINDS = {
    "without": ["--unlabelled_corpus=null", "--left_out_speakers=dropped"],
    "with": ["--left_out_speakers=dropped"],
    "left_out": ["--unlabelled_corpus=null", "--left_out_speakers=unlabelled"],
}


def main(arguments):
    """Run the grids that are open and write the curve. Returns its rows."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return None
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--labelled_speakers", type=numbers, default=[2, 4, 6, 8])
    parser.add_argument("--unlabelled", type=kinds, default=["without", "with"])
    parser.add_argument("--output_folder", type=pathlib.Path)
    own, rest = parse_own(parser, arguments)
    hparams_file, hparams = settings(rest)
    if "with" in own.unlabelled and not hparams["unlabelled_corpus"]:
        raise ValueError("--unlabelled=with: neither the YAML nor the command line has an unlabelled_corpus")
    name = pathlib.Path(hparams_file).stem
    folder = own.output_folder or pathlib.Path(f"results/{name}/{hparams['corpus']}/semi_supervised_curve")
    check_speakers(hparams, crossvalidate.grid_options(rest)[0], max(own.labelled_speakers))
    summaries, failures = {}, []
    for kind in own.unlabelled:
        for n in own.labelled_speakers:
            point = [*KINDS[kind], f"--n_train_speakers={n}", f"--output_folder={folder / f'{kind}_{n}'}"]
            try:
                summaries[kind, n] = crossvalidate.main([*rest, *point])
            except RuntimeError as error:  # cells that crash, time after time: the other points are worth having
                failures.append(f"{kind}, {n} labelled speakers: {error}")
    if summaries:
        write(folder, curve_rows(summaries), len(hparams["classes"]), f"{name} on {hparams['corpus']}")
    if failures:
        raise RuntimeError("\n".join(failures))
    return curve_rows(summaries)


def check_speakers(hparams, grid, most):
    """Refuse more labelled speakers than a fold leaves, before the first grid is run."""
    records = crossvalidate.read_labelled(hparams, AudioReader(hparams["sample_rate"], 0))
    folds = make_folds(records, grid.folds, grid.leave_out, grid.folds_file)
    speakers = {r["speaker"] for r in records.values()} - {None}
    left = len(speakers) - max(map(len, folds.values())) - hparams["n_valid_speakers"]
    if most > left:
        raise ValueError(f"--labelled_speakers: {most} are too many: {left} speakers are left to train")


def settings(arguments):
    """The YAML's path and its values, from arguments that recipes/crossvalidate.py takes."""
    hparams_file, _, overrides = read_arguments(crossvalidate.grid_options(arguments)[1])
    if "n_train_speakers" in overrides or "left_out_speakers" in overrides:
        raise ValueError(
            "n_train_speakers and left_out_speakers are what the curve is over: --labelled_speakers, --unlabelled"
        )
    return hparams_file, crossvalidate.read_settings(hparams_file, overrides)


def write(folder, rows, n_classes, title):
    """Table and picture."""
    write_atomically(folder / "curve.md", to_markdown(rows))
    write_atomically(folder / "curve.csv", to_csv(rows))
    write_atomically(folder / "curve.json", json.dumps(rows, indent=1))
    plot_curve(rows, n_classes, title, folder / "curve.png")
    print(to_markdown(rows))


def numbers(text):
    """Whole numbers above 0, between commas."""
    values = text.split(",")
    if not all(value.isdigit() and int(value) for value in values):
        raise argparse.ArgumentTypeError(f"whole numbers above 0 between commas, such as 2,4,6; got '{text}'")
    return list(map(int, values))


def kinds(text):
    """Names of ``KINDS``, between commas."""
    for kind in text.split(","):
        if kind not in KINDS:
            raise argparse.ArgumentTypeError(f"there is no '{kind}'; there are {', '.join(KINDS)}")
    return text.split(",")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
