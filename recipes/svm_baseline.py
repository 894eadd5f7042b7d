#!/usr/bin/env python3
"""openSMILE and a linear SVM: python recipes/svm_baseline.py hparams/stl.yaml --corpus=emodb --data_folder=... [--key=value]

What a user would otherwise pick, on the very folds that recipes/crossvalidate.py makes of the same YAML and keys (corpus,
classes, seed, n_valid_speakers; the others of the YAML are of no use here). Everybody but the test speakers trains, and C is
chosen by cross-validation over the training speakers. Writes what crossvalidate.py writes, for recipes/compare.py.
Needs pip install -e ".[baselines]".

  --feature_set=NAME     ComParE_2016 (default) or eGeMAPSv02
  --folds=N, --leave_out=LABEL, --folds_file=FILE
                         as for crossvalidate.py
  --sources, --targets, --corpora
                         as for crosscorpus.py: the sources train, all speakers of the targets are tested
  --leave_out_validation the speakers who choose the epoch of the networks, drawn by the seed, do not train either
  --repeats=N            with --leave_out_validation: seeds seed, seed + 1, ... (without, every repeat is the same)
  --feature_folder=DIR   where functionals are kept, per recording (default data/functionals)
  --output_folder=DIR    default: results/svm_<feature set>/<corpus>/crossvalidation
"""

import argparse
import json
import pathlib
import sys

import numpy as np
from crosscorpus import add_corpora_options, read_corpora
from crossvalidate import fold_path, read_labelled, write_summary
from tqdm import tqdm

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.baselines.functionals import Functionals
from mtlaug_sb.baselines.linear_svm import LinearSVM
from mtlaug_sb.dataio.audio import AudioReader
from mtlaug_sb.dataio.folds import add_fold_options, make_folds
from mtlaug_sb.dataio.manifest import write_manifest
from mtlaug_sb.dataio.splits import check_splits, split_by_speaker
from mtlaug_sb.evaluation.results import count_confusions, read_predictions, versions, write_predictions
from mtlaug_sb.metrics.classification import figures
from mtlaug_sb.options import parse_own, read_arguments, read_settings


def main(arguments):
    """Train and test on every fold and write the summary. Returns the summary."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return None
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--feature_set", default="ComParE_2016")
    parser.add_argument("--feature_folder", default="data/functionals")
    parser.add_argument("--leave_out_validation", action="store_true")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--output_folder", type=pathlib.Path)
    add_fold_options(parser)
    add_corpora_options(parser)
    own, rest = parse_own(parser, arguments)
    if own.repeats < 1 or (own.repeats > 1 and not own.leave_out_validation):
        raise ValueError("--repeats: at least 1, and more than 1 only with --leave_out_validation: all would be the same")
    functionals = Functionals(own.feature_set, own.feature_folder)
    hparams_file, _, overrides = read_arguments(rest)
    across = bool(own.sources or own.targets or own.corpora)
    place = "crossvalidation"
    if across:
        read_corpora(own)
        overrides |= {"corpus": "joined", "corpus_options": {"corpora": {**own.sources, **own.targets}}}
        place = "crosscorpus"
    hparams = read_settings(hparams_file, overrides)
    name = f"svm_{own.feature_set}"
    tested_on = "_to_".join("+".join(c) for c in (own.sources, own.targets)) if across else hparams["corpus"]
    folder = own.output_folder or pathlib.Path(f"results/{name}/{tested_on}/{place}")
    if (folder / "summary.json").exists():
        raise FileExistsError(f"'{folder}' holds a finished cross-validation; choose another --output_folder")

    read_audio = AudioReader(hparams["sample_rate"], 0)
    records = read_labelled(hparams, read_audio)
    features = {}
    for k, record in tqdm(records.items(), desc="functionals", unit="file", delay=1):
        features[k] = functionals(record["recording"], lambda r=record: read_audio(r["path"]), hparams["sample_rate"])
    if across:
        folds = {"+".join(own.targets): sorted({r["speaker"] for r in records.values() if r["corpus"] in own.targets})}
    else:
        folds = make_folds(records, own.folds, own.leave_out, own.folds_file)
    tested = {s for speakers in folds.values() for s in speakers}
    repeats = {}
    for seed in range(hparams["seed"], hparams["seed"] + own.repeats):
        repeats[seed] = []
        for fold, speakers in tqdm(folds.items(), desc=f"seed {seed}", unit="fold"):
            path = fold_path(folder, seed, fold)
            run_fold(hparams | {"seed": seed}, records, features, speakers, own, path)
            repeats[seed].append(path)
    n_utterances = sum(r["speaker"] in tested for r in records.values())
    return write_summary(folder, name, hparams, repeats, n_utterances)


def run_fold(hparams, records, features, speakers, own, folder):
    """Train on one fold, and write predictions.csv, results.json and, for recipes/evaluate.py, its manifests."""
    label, classes = hparams["class_label"], hparams["classes"]
    splits = split_by_speaker(records, speakers, hparams["n_valid_speakers"], hparams["seed"])
    check_splits(splits, label, classes)
    if not own.leave_out_validation:
        splits["train"] |= splits.pop("valid")
    x, truths = (
        {s: np.stack([features[k] for k in splits[s]]) for s in ("train", "test")},
        {s: [classes.index(str(r[label])) for r in splits[s].values()] for s in ("train", "test")},
    )
    svm = LinearSVM().fit(x["train"], truths["train"], [r["speaker"] for r in splits["train"].values()])
    rows = list(zip(splits["test"], truths["test"], svm.probabilities(x["test"]).tolist(), strict=True))
    (folder / "save").mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        write_manifest(splits[split], folder / "save" / f"{split}.json")
    write_predictions(folder / "predictions.csv", rows, splits["test"], classes)
    confusion = count_confusions(read_predictions([folder / "predictions.csv"]), classes)
    results = {
        "corpus": hparams["corpus"],
        "seed": hparams["seed"],
        "class_label": label,
        "classes": classes,
        "feature_set": own.feature_set,
        "sample_rate": hparams["sample_rate"],
        "C": svm.c,
        "sharpness": svm.sharpness,
        "test": figures(confusion, classes),
        "speakers": {split: sorted({r["speaker"] for r in part.values()}) for split, part in splits.items()},
        "versions": versions(),
    }
    write_atomically(folder / "results.json", json.dumps(results, indent=1))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, TypeError, OSError, RuntimeError, ModuleNotFoundError) as error:
        sys.exit(f"error: {error}")
