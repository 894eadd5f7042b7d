#!/usr/bin/env python3
"""Hand a trained model to others: python recipes/export.py RUN OUT [--onnx] [--push OWNER/NAME] [...]

RUN is the folder of a finished training. OUT gets all that a user needs, and nothing that runs code when it is loaded:
model.json (plain data), model.safetensors, a model card (README.md), and files for stock SpeechBrain; with --onnx also
model.onnx. Nothing is uploaded without --push.
"""

import argparse
import json
import pathlib
import shutil
import sys

from mtlaug_sb import load_plugins
from mtlaug_sb.evaluation.results import read_predictions
from mtlaug_sb.inference.hub import is_hub_id, push_folder
from mtlaug_sb.inference.model_card import write_card
from mtlaug_sb.inference.model_folder import DESCRIPTION, read_model, write_model


def main(arguments):
    """Read the command line and export. Returns the folder written."""
    parser = argparse.ArgumentParser(
        prog="export.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("run", metavar="RUN", type=pathlib.Path)
    parser.add_argument("out", metavar="OUT", type=pathlib.Path)
    parser.add_argument("--onnx", action="store_true", help="also write model.onnx")
    parser.add_argument(
        "--summary", metavar="FILE", type=pathlib.Path, help="summary.json of a cross-validation, for the card"
    )
    parser.add_argument("--license", help="of the weights, for the card, such as cc-by-4.0")
    parser.add_argument(
        "--plugins", nargs="+", default=[], metavar="FILE", help="Python files that the model needs: they run"
    )
    parser.add_argument("--push", metavar="OWNER/NAME", help="upload to the Hugging Face hub (you must be logged in)")
    parser.add_argument("--public", action="store_true", help="with --push: a new repository is public")
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier export in OUT")
    options = parser.parse_args(arguments)
    if options.push and not is_hub_id(options.push):
        parser.error(f"--push wants OWNER/NAME, not '{options.push}'")
    load_plugins(*options.plugins)
    export(options.run, options.out, options.onnx, options.summary, options.license, options.overwrite)
    print(f"Exported to {options.out}: {', '.join(sorted(p.name for p in options.out.iterdir()))}")
    if options.push:
        print(f"Uploaded: {push_folder(options.out, options.push, private=not options.public)}")
    return options.out


def export(run, out, onnx=False, summary=None, license_name=None, overwrite=False):
    """Write the folder; it appears whole or not at all.

    Raises
    ------
    FileNotFoundError
        If the run is not finished.
    FileExistsError
        If ``out`` is there: an earlier export needs ``overwrite``, other things are never replaced.
    """
    if not (run / "results.json").is_file():
        raise FileNotFoundError(f"'{run}' is no finished run: it has no results.json")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not (out / DESCRIPTION).is_file() or out.resolve() in (run.resolve(), (run / "model").resolve()):
            raise FileExistsError(f"'{out}' holds something that is no export; choose another folder")
        if not overwrite:
            raise FileExistsError(f"'{out}' holds an export; --overwrite replaces it")
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    rows = read_predictions([run / "predictions.csv"])
    summary = json.loads(summary.read_text(encoding="utf-8")) if summary else None
    description, network = read_model(run)
    part = out.with_name(f"{out.name}.part")
    write_model(part, description, network)
    # here: SpeechBrain's classes take their time
    from mtlaug_sb.inference.stock_speechbrain import write_stock_files

    write_stock_files(part, description, network)
    if onnx:
        from mtlaug_sb.inference.onnx_export import write_onnx

        write_onnx(part / "model.onnx", description, network)
    card = write_card(description, results, rows, summary, onnx, license_name)
    (part / "README.md").write_text(card, encoding="utf-8")
    if out.exists():
        shutil.rmtree(out)
    part.rename(out)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
