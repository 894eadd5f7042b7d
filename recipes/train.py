#!/usr/bin/env python3
"""Train and test one system: python recipes/train.py hparams/mtl_aug.yaml [--key=value ...]

Prepares the data, trains every task of the YAML on one shared encoder, chooses the epoch on held-out training
speakers (with n_valid_speakers 0 there are none: the last is taken), tests on the held-out test speakers, and writes the
results into the output folder. Killed, it goes on where it stopped when it is called again. With --help after the YAML,
lists the keys.
"""

import gc
import json
import logging
import pathlib
import shutil
import sys

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.utils.distributed import ddp_init_group, if_main_process, run_on_main
from torch.utils.data import ConcatDataset
from tqdm import tqdm

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.brain import MultiTaskBrain
from mtlaug_sb.dataio.audio import AudioReader
from mtlaug_sb.dataio.corpus_manifest import MANY
from mtlaug_sb.dataio.datasets import UtteranceDataset, loader_options
from mtlaug_sb.dataio.preparation import prepare
from mtlaug_sb.dataio.records import Chained, Records
from mtlaug_sb.dataio.run_folder import open_run_folder, set_aside, write_settings
from mtlaug_sb.dataio.sampler import MixedBatchSampler
from mtlaug_sb.dataio.shards import open_shards, stream_beside
from mtlaug_sb.evaluation.plots import plot_confusion, plot_learning_curves
from mtlaug_sb.evaluation.results import collect_results
from mtlaug_sb.experiment import read_experiment
from mtlaug_sb.feature_cache import FeatureCache
from mtlaug_sb.inference.training_run import write_model_of_run
from mtlaug_sb.options import help_text, read_arguments, read_settings
from mtlaug_sb.targets.categories import Categories

logger = logging.getLogger("mtlaug_sb.train")
FOR_STATISTICS = 1000  # utterances, evenly spread over the training data, give the features' mean and deviation
FOR_FITTING = 12_000  # examples for heads that are solved for, over all of the policy's outcomes
FOR_FITTING_OF_MANY = 3600  # of a very large corpus, whose first step would wait for them
IN_AN_OUTCOME = 1200  # utterances at least, whatever the outcomes are together


def main(arguments):
    """Read the command line and run. Returns what results.json holds (on the main process)."""
    if not arguments or {"-h", "--help"} & set(arguments):
        print(help_text(next((a for a in arguments if not a.startswith("-")), None), __doc__))
        return None
    results = run(*read_arguments(arguments))
    if torch.distributed.is_initialized():
        # a process that ends with the group's threads alive may abort, and the launcher then stops the one that still writes
        # the results; what holds the group (the brain's distributed modules) goes first
        gc.collect()
        torch.distributed.destroy_process_group()
    return results


def run(hparams_file, run_opts, overrides, caches=None, quiet=False):
    """The whole experiment, from the YAML to results.json.

    Arguments
    ---------
    hparams_file, run_opts, overrides
        As ``read_arguments`` gives them.
    caches : dict or None
        Carries audio, features and manifests from one run to the next; these must have the same corpora, features and
        augmentations of the waveform.
    quiet : bool
        Say nothing on the console but errors, show no progress, and draw no pictures: one run of many.
    """
    ddp_init_group(run_opts)
    run_on_main(open_run_folder, args=[hparams_file, overrides])
    # before anything is made: by this file a run that was killed right after is known as one
    run_on_main(write_settings, args=[hparams_file, overrides])
    # before targets and metrics are made of them
    classes = read_settings(hparams_file, overrides)["classes"]
    # read_arguments has matched the overrides
    hparams = load_hyperpyyaml(read_experiment(hparams_file), {**overrides, "classes": classes}, overrides_must_match=False)
    folder = pathlib.Path(hparams["output_folder"])
    log_config = run_opts.log_config or str(pathlib.Path(__file__).with_name("log.yaml"))
    sb.create_experiment_directory(folder, log_config=log_config, save_env_desc=False)
    if quiet:
        logging.getLogger().handlers[0].setLevel(logging.ERROR)

    # data: splits by speaker on disk, then datasets in memory
    pathlib.Path(hparams["save_folder"]).mkdir(parents=True, exist_ok=True)
    caches = {} if caches is None else caches
    read_audio = caches.setdefault("audio", AudioReader(hparams["sample_rate"], hparams["cache_mb"]))
    feature_cache = caches.setdefault("features", FeatureCache(hparams["cache_mb"]))
    shards = open_shards(hparams)
    splits = run_on_main(prepare, args=[hparams, read_audio, caches.get("manifests"), shards])
    unlabelled = splits.get("unlabelled", Records())
    more = unlabelled.values() if shards is None else shards.records()
    all_training = Chained(splits["train"].values(), more)
    for name, target in hparams["targets"].items():
        target.learn(all_training)
        if all(target(record).isnan().all() for record in all_training):
            raise ValueError(f"target '{name}': no training utterance has it; labels: {', '.join(labels(all_training))}")
    reading = {"targets": hparams["targets"], "read_audio": read_audio, "skip_bad_audio": hparams["skip_bad_audio"]}
    # sorted: less padding
    datasets = {s: UtteranceDataset(splits[s].sorted_by_duration(), **reading) for s in ("valid", "test") if splits[s]}
    datasets["train"] = UtteranceDataset(splits["train"].spread(FOR_STATISTICS).sorted_by_duration(), **reading)
    training = UtteranceDataset(splits["train"], **reading)
    drawing = {"seed": hparams["seed"], **hparams["batches"]}
    if shards is None:
        training = ConcatDataset([training, UtteranceDataset(unlabelled, **reading, longest_s=hparams["unlabelled_max_s"])])
        loading = {"batch_sampler": MixedBatchSampler(splits["train"].durations, len(unlabelled), **drawing)}
    else:
        training, loading = stream_beside(training, shards, splits["train"].durations, drawing)
    sampler = loading["batch_sampler"]

    # training: the epoch with the best score on the validation speakers is kept, without any the last one
    brain = MultiTaskBrain(hparams, run_opts, hparams["checkpointer"], feature_cache)
    if not isinstance(hparams["targets"].get(brain.tasks[hparams["main_task"]].target), Categories):
        raise ValueError(f"main_task: '{hparams['main_task']}' has no classes, and the results are a classification's")
    eval_options = loader_options(batch_size=hparams["eval_batch_size"])
    brain.fit_normalization(brain.make_dataloader(datasets["train"], sb.Stage.VALID, ckpt_prefix=None, **eval_options))
    if hparams["checkpointer"].find_checkpoint() is None:  # which has what they were solved for
        outcomes = brain.policy.outcomes()
        n_examples = FOR_FITTING if len(splits["train"]) <= MANY else FOR_FITTING_OF_MANY
        parts = splits["train"].parts(max(n_examples // len(outcomes), IN_AN_OUTCOME), len(outcomes))
        shown = []
        for part, of_part in zip(parts, [[o] for o in outcomes] if len(parts) > 1 else [outcomes], strict=True):
            examples = UtteranceDataset(part.sorted_by_duration(), **reading)
            shown.append((brain.make_dataloader(examples, sb.Stage.VALID, ckpt_prefix=None, **eval_options), of_part))
        brain.fit_heads(shown, {name: record["speaker"] for part in parts for name, record in part.items()})
    train_loader = brain.make_dataloader(training, sb.Stage.TRAIN, **loader_options(**loading))
    if brain.test_only and not any(pathlib.Path(hparams["save_folder"]).glob("CKPT*")):
        raise ValueError(f"--test_only: there is no checkpoint in '{hparams['save_folder']}'")
    valid_loader = None
    if "valid" in datasets:
        valid_loader = brain.make_dataloader(datasets["valid"], sb.Stage.VALID, ckpt_prefix=None, **eval_options)
    brain.fit(
        with_progress(hparams["epoch_counter"], brain, hparams, folder, quiet),
        train_loader,
        valid_loader,
        progressbar=len(sampler) > 100 and not (brain.noprogressbar or quiet),
    )
    seconds = brain.history.seconds

    # test: once, with that epoch
    brain.evaluate(datasets["test"], max_key="score", progressbar=False, test_loader_kwargs=eval_options)
    if brain.debug:
        logger.info("Debug mode: it runs; no results are written")
        return None
    best = brain.checkpointer.find_checkpoint(max_key="score").meta
    brain.checkpointer.delete_checkpoints(num_to_keep=1, max_keys=["score"], importance_keys=[], verbosity=logging.DEBUG)
    if not if_main_process():
        return None
    training = {
        "yaml": pathlib.Path(hparams_file).name,
        "overrides": json.loads(json.dumps(overrides, default=str)),
        "best_epoch": best["epoch"],
        "valid_score": best["score"],
        "train_seconds": round(seconds, 1),
        "tasks": brain.test_figures,
    }
    training["calibration"] = write_model_of_run(folder / "model", brain, valid_loader, splits["valid"])
    results = collect_results(folder, hparams, splits, brain.test_rows, training)
    if not quiet:  # they take seconds
        plot_learning_curves(hparams["train_log"], folder / "learning_curves.png", best["epoch"])
        title = f"{folder.name}: UAR {results['test']['UAR']:.3f}"
        plot_confusion(results["confusion"], results["classes"], title, folder / "confusion.png")
    write_atomically(folder / "results.json", json.dumps(results, indent=1))  # last: it says that the run is finished
    shutil.rmtree(set_aside(folder), ignore_errors=True)
    report(results, folder)
    return results


def with_progress(epoch_counter, brain, hparams, folder, quiet):
    """The epochs, with one progress bar over all of them, and the last epoch's figures for TensorBoard."""
    visible = if_main_process() and not (brain.noprogressbar or quiet)
    writer = None
    if hparams["tensorboard"] and if_main_process():
        from torch.utils.tensorboard import SummaryWriter  # a third of a second, which most cells of a grid need not wait

        writer = SummaryWriter(folder / "tensorboard", purge_step=epoch_counter.current + 1)
    bar = tqdm(total=epoch_counter.limit, initial=epoch_counter.current, unit="epoch", disable=not visible)
    for epoch in epoch_counter:
        yield epoch
        row = brain.history.rows[-1]
        shown = ("train/loss", hparams["choose_epoch_by"].removeprefix("-"))
        bar.set_postfix({k: f"{row[k]:.3f}" for k in shown if k in row})
        bar.update()
        for name in row.keys() - {"epoch"} if writer else ():
            writer.add_scalar(name, row[name], epoch)
    bar.close()


def labels(records):
    """Names of all labels in manifest records."""
    return sorted({key for record in records for key in record} - {"path", "duration_s", "recording"})


def report(results, folder):
    """Say how it went."""
    test = results["test"]
    recalls = ", ".join(f"{c} {test.get(f'recall/{c}', float('nan')):.2f}" for c in results["classes"])
    logger.info(
        "Test on speaker %s: UAR %.3f, WA %.3f, macro-F1 %.3f over %d utterances (recall: %s), epoch %d of the training",
        ", ".join(results["speakers"]["test"]),
        *(test[k] for k in ("UAR", "WA", "macro_F1")),
        results["utterances"]["test"],
        recalls,
        results["best_epoch"],
    )
    if results["synthetic"]:
        logger.warning("This was the SYNTHETIC corpus: the figures say nothing about people.")
    logger.info("Results, predictions, pictures and the model are in %s", folder)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, TypeError, OSError, RuntimeError, AssertionError) as error:
        logger.debug("Stopped", exc_info=True)
        files = [h.baseFilename for h in logging.getLogger().handlers if hasattr(h, "baseFilename")]
        where = f" (traceback in {files[0]})" if files else ""
        # HyperPyYAML wraps what it cannot make in further arguments; the last one says what was wrong
        said = error.args[-1] if isinstance(error, TypeError | ValueError) and error.args else error
        sys.exit(f"error: {' '.join(str(said).split())}{where}")
