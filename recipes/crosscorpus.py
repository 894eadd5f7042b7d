#!/usr/bin/env python3
"""Train on some corpora, test on others: python recipes/crosscorpus.py hparams/mtl_aug.yaml --sources=... --targets=...

    --sources="{ravdess: /corpora/ravdess}" --targets="{emodb: /corpora/emodb}" --repeats=5

The speakers of the sources train and choose the epoch. The targets are used for nothing but the test: every utterance of the
classes is tested, in every repeat (seed). Cells are those of recipes/crossvalidate.py: killed, the grid goes on where it
stopped. Writes what that recipe writes, all targets together being one fold; with several targets, a folder for each too.

  --sources=CORPORA     {NAME: FOLDER, ...}, NAME being that of a reader; or {NAME: {corpus: READER, folder: FOLDER,
                        options: {...}, map: {emotion: {calm: neutral}}, speakers: [...]}}: what is left out is as above,
                        map brings labels to the names that the YAML's classes have, speakers keeps these only
  --targets=CORPORA     the same
  --corpora=FILE        or both from a YAML file with the keys sources and targets
  --unlabelled_target   adaptation: the targets' speakers are divided; each part is tested by a system that has heard the
                        other parts, without labels, in the tasks that need none
  --target_parts=N      how many parts (default 2)
  --repeats=N           seeds seed, seed + 1, ... of the YAML (default 1)
  --jobs=N, --backend=ray, --cell_cpus=N, --cell_gpus=X
                        as for crossvalidate.py
  --output_folder=DIR   default: results/<YAML's name>/<sources>_to_<targets>/crosscorpus

All other keys are those of recipes/train.py. Statistics of the unlabelled target in place of the sources': evaluate.py
--target_statistics on the finished grid.
"""

import argparse
import itertools
import json
import pathlib
import shutil
import sys

from cells import CACHE, add_worker_options, check_worker_options, run_grid
from crossvalidate import fold_path, show

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.dataio.audio import AudioReader
from mtlaug_sb.dataio.folds import make_folds
from mtlaug_sb.dataio.preparation import read_corpus
from mtlaug_sb.dataio.shared_data import corpora_of, corpus_key
from mtlaug_sb.dataio.splits import exclude_speakers, keep_classes, person, without_strangers
from mtlaug_sb.evaluation.plots import plot_confusion
from mtlaug_sb.evaluation.results import read_predictions
from mtlaug_sb.evaluation.summary import pool_predictions, summarise_rows
from mtlaug_sb.options import parse_own, parse_yaml, read_arguments, read_settings

DECIDED = ("corpus", "corpus_options", "data_folder", "test_speaker")


def main(arguments):
    """Run the grid and write its summary. Returns the summary."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return None
    own, rest = read_own(arguments)
    hparams_file, run_opts, overrides = read_arguments(rest)
    if given := [key for key in DECIDED if key in overrides]:
        raise ValueError(f"--{given[0]} is for recipes/train.py: here, --sources and --targets say it")
    settings = read_settings(hparams_file, overrides)
    name = pathlib.Path(hparams_file).stem
    between = "_to_".join("+".join(corpora) for corpora in (own.sources, own.targets))
    between += "_unlabelled_target" if own.unlabelled_target else ""
    folder = own.output_folder or pathlib.Path(f"results/{name}/{between}/crosscorpus")

    read_audio = AudioReader(settings["sample_rate"], settings["cache_mb"])
    read = {**own.sources, **own.targets}
    if own.unlabelled_target and settings["unlabelled_corpus"]:
        read |= plain_unlabelled(settings)
    everything = dict(read_corpus("joined", {"corpora": read}, None, settings, read_audio))
    known = without_strangers(exclude_speakers(everything, settings["excluded_speakers"]))
    targets, tested = labelled(known, own.targets, settings, "targets")
    labelled(known, own.sources, settings, "sources")  # says what is left out of them
    cells, repeats, manifests = {}, {}, {}
    for part, speakers in divide(tested, own).items():
        data = {
            "corpus": "joined",
            "corpus_options": {"corpora": {**own.sources, **only(own.targets, speakers)}},
            "test_speaker": speakers,
        }
        if settings["excluded_speakers"]:  # those of the targets are not among what a cell reads
            of_sources = [s for s in settings["excluded_speakers"] if str(s).partition("/")[0] in own.sources]
            data["excluded_speakers"] = of_sources
        if own.unlabelled_target:
            others = {r["speaker"] for r in targets.values()} - set(speakers)
            more = {**plain_unlabelled(settings), **only(own.targets, others)}
            data |= {"unlabelled_corpus": "joined", "unlabelled_options": {"corpora": more}, "unlabelled_folder": None}
        # every corpus is read once: what a cell reads is a part of it
        for corpus in corpora_of(read_settings(hparams_file, {**overrides, **data})):
            reader, options, _ = corpus
            manifests[corpus_key(*corpus)] = (
                part_of(everything, options["corpora"])
                if reader == "joined"
                else dict(read_corpus(*corpus, settings, read_audio))
            )
        for seed in range(settings["seed"], settings["seed"] + own.repeats):
            path = fold_path(folder, seed, part)
            repeats.setdefault(seed, []).append(path)
            cells[path] = {**overrides, **data, "seed": seed, "output_folder": str(path), "tensorboard": False}
    run_grid(folder, hparams_file, run_opts, overrides, cells, manifests, read_audio, own)
    about = {"sources": list(own.sources), "targets": list(own.targets), "unlabelled_target": own.unlabelled_target}
    for target in own.targets if len(own.targets) > 1 else ():
        write_summary(
            folder / target, f"{name}, {between}, on {target}", settings["classes"], repeats, tested, [target], about
        )
    summary = write_summary(folder, f"{name}, {between}", settings["classes"], repeats, tested, own.targets, about)
    shutil.rmtree(folder / CACHE, ignore_errors=True)
    return summary


def labelled(records, corpora, settings, option):
    """The records of these corpora, and those of the classes among them; what is left out is said."""
    there = {k: r for k, r in records.items() if r["corpus"] in corpora}
    try:
        return there, keep_classes(there, settings["class_label"], settings["classes"], "+".join(corpora))
    except ValueError as error:
        raise ValueError(f"{error}; map, in --{option}, brings its names to those of the classes") from None


def read_own(arguments):
    """This recipe's own options, and the rest."""
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    add_corpora_options(parser)
    parser.add_argument("--unlabelled_target", action="store_true")
    parser.add_argument("--target_parts", type=int)
    add_worker_options(parser)
    parser.add_argument("--output_folder", type=pathlib.Path)
    own, rest = parse_own(parser, arguments)
    check_worker_options(own)
    read_corpora(own)
    if own.target_parts and not own.unlabelled_target:
        raise ValueError("--target_parts is for --unlabelled_target")
    own.target_parts = own.target_parts or 2
    return own, rest


def add_corpora_options(parser):
    """The command-line options that say who trains and who is tested."""
    for name in ("sources", "targets"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--corpora", type=pathlib.Path)


def read_corpora(own):
    """Make {name: statement} of the options ``sources`` and ``targets``, or of the file ``corpora``.

    Raises
    ------
    ValueError
        If one of them is missing or no mapping, or a corpus is in both.
    """
    in_file = (parse_yaml("corpora", own.corpora, "safe") if own.corpora else None) or {}
    if not isinstance(in_file, dict):
        raise ValueError(f"'{own.corpora}' must have the keys sources and targets")
    for name in ("sources", "targets"):
        given = parse_yaml(name, getattr(own, name), "safe") if getattr(own, name) else in_file.get(name)
        if not isinstance(given, dict) or not given:
            raise ValueError(f"--{name} must be {{NAME: FOLDER, ...}}, is {given!r}")
        setattr(own, name, {str(key): value for key, value in given.items()})
    if both := own.sources.keys() & own.targets.keys():
        raise ValueError(f"'{sorted(both)[0]}' is among the sources and the targets: who is tested must not train")


def divide(tested, own):
    """{name of the part: its speakers}: all of the targets, or parts of each of them."""
    if not own.unlabelled_target:
        return {"+".join(own.targets): sorted({r["speaker"] for r in tested.values()})}
    folds = [
        list(make_folds({k: r for k, r in tested.items() if r["corpus"] == name}, own.target_parts).values())
        for name in own.targets
    ]
    together = enumerate(zip(*folds, strict=True), start=1)
    return {f"{i}of{own.target_parts}": sorted(itertools.chain(*part)) for i, part in together}


def only(corpora, speakers):
    """Statements of corpora that keep these speakers, {name: {..., speakers: [...]}}; a corpus without any is left out."""
    kept = {name: sorted(s.partition("/")[2] for s in speakers if s.startswith(f"{name}/")) for name in corpora}
    stated = {name: s if isinstance(s, dict) else {"folder": s} for name, s in corpora.items()}
    return {name: {**stated[name], "speakers": own} for name, own in kept.items() if own}


def plain_unlabelled(settings):
    """The statement of the unlabelled speech that the YAML asks for, {name: statement}; empty without any."""
    name = settings["unlabelled_corpus"]
    stated = {"folder": settings["unlabelled_folder"], "options": dict(settings["unlabelled_options"])}
    return {name: stated} if name else {}


def part_of(records, corpora):
    """The records that a reader of these corpora, with or without ``speakers``, gives."""

    def there(record):
        stated = corpora.get(record["corpus"])
        speakers = stated.get("speakers") if isinstance(stated, dict) else None
        if record["corpus"] not in corpora or speakers is None:
            return record["corpus"] in corpora
        return record["speaker"] is not None and person(record)[1] in map(str, speakers)

    return {k: r for k, r in records.items() if there(r)}


def write_summary(folder, title, classes, repeats, tested, targets, about):
    """Pool the cells' predictions of these targets into summary.json, predictions_seed_N.csv and a picture."""
    folder.mkdir(parents=True, exist_ok=True)
    tested = {k: r for k, r in tested.items() if r["corpus"] in targets}
    tables = {}
    for seed, paths in repeats.items():
        pooled = folder / f"predictions_seed_{seed}.csv"
        pool_predictions([p / "predictions.csv" for p in paths], pooled, tested)
        tables[seed] = read_predictions([pooled])
    summary = summarise_rows(tables, [sorted({r["speaker"] for r in tested.values()})], classes)
    if summary["utterances"] != len(tested):
        raise RuntimeError(f"{summary['utterances']} utterances were tested, the targets have {len(tested)}")
    title = f"{title}: UAR {show(summary['UAR'])}"
    plot_confusion(summary["confusion"], summary["classes"], title, folder / "confusion.png")
    summary |= about | {"target": list(targets)}
    write_atomically(folder / "summary.json", json.dumps(summary, indent=1))  # last: it says that the grid is finished
    recalls = {c: sum(r.get(f"recall/{c}", 0) for r in summary["repeats"].values()) / len(repeats) for c in classes}
    print(f"{title} over {summary['UAR']['n']} repeats; recall {', '.join(f'{c} {r:.2f}' for c, r in recalls.items())}")
    return summary


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, TypeError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
