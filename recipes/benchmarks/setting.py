"""What the sections measure on: an experiment that is ready to train, and its batches in memory."""

import itertools
import os
import pathlib
import statistics
import time

import speechbrain as sb
import torch
from hyperpyyaml import load_hyperpyyaml

from mtlaug_sb.brain import MultiTaskBrain
from mtlaug_sb.dataio.audio import AudioReader
from mtlaug_sb.dataio.datasets import UtteranceDataset, loader_options
from mtlaug_sb.dataio.preparation import prepare, read_corpus
from mtlaug_sb.dataio.sampler import MixedBatchSampler
from mtlaug_sb.dataio.shared_data import corpora_of, corpus_key
from mtlaug_sb.experiment import read_experiment

ROOT = pathlib.Path(__file__).resolve().parents[2]
UTTERANCES = 96  # of the training data: enough for batches of all lengths, few enough to fill the caches in seconds
_manifests = {}


def data_options(options, folder):
    """Overrides that name the data: a folder that was given, EMODB below MTLAUG_DATA, or the synthetic corpus."""
    data, corpus = options.data_folder, options.corpus
    if data is None and os.environ.get("MTLAUG_DATA") and corpus in (None, "emodb"):
        data, corpus = str(pathlib.Path(os.environ["MTLAUG_DATA"], "emodb")), "emodb"
    corpus = corpus or ("synthetic" if data is None else "emodb")
    return {
        "corpus": corpus,
        "data_folder": data or (str(pathlib.Path(folder, "synthetic")) if corpus == "synthetic" else None),
    }


class Setting:
    """An experiment up to its first step, as recipes/train.py sets it up, on some utterances.

    Arguments
    ---------
    options : argparse.Namespace
        ``yaml``, ``corpus``, ``data_folder``, ``device``.
    folder : str
        For what it writes.
    cache_mb : float
        Of audio, and of features.
    run_opts : dict
        Of SpeechBrain, besides the device.
    overrides : dict
        Of further keys of the YAML.
    """

    def __init__(self, options, folder, cache_mb=500.0, run_opts=None, **overrides):
        given = {"output_folder": f"{folder}/run", **data_options(options, folder), "cache_mb": cache_mb, **overrides}
        self.hparams = load_hyperpyyaml(read_experiment(options.yaml), given, overrides_must_match=False)
        pathlib.Path(self.hparams["save_folder"]).mkdir(parents=True, exist_ok=True)
        self.read_audio = AudioReader(self.hparams["sample_rate"], cache_mb)
        for corpus in corpora_of(self.hparams):  # read once for all settings
            if corpus_key(*corpus) not in _manifests:
                _manifests[corpus_key(*corpus)] = read_corpus(*corpus, self.hparams, self.read_audio)
        self.records = prepare(self.hparams, self.read_audio, _manifests)["train"].spread(UTTERANCES)
        for target in self.hparams["targets"].values():
            target.learn(self.records.values())
        self.dataset = UtteranceDataset(self.records, self.hparams["targets"], self.read_audio)
        self.sampler = MixedBatchSampler(self.records.durations, 0, seed=0, **self.hparams["batches"])
        self.brain = MultiTaskBrain(self.hparams, {"device": options.device, "noprogressbar": True, **(run_opts or {})})
        loader = self.brain.make_dataloader(self.dataset, sb.Stage.TRAIN, **loader_options(batch_sampler=self.sampler))
        self.brain.fit_normalization(itertools.islice(loader, 4))
        self.brain.on_fit_start()
        self.brain.modules.train()
        self.batches = endless(loader, self.sampler)

    def step(self):
        """Read a batch and train on it, as the loop does."""
        self.brain.step = 1 + self.brain.step % self.brain.steps_per_epoch
        return self.brain.fit_batch(next(self.batches))

    def fill_caches(self, rounds=60):
        """Train until the features of nearly all variants of all utterances have been computed."""
        for _ in range(rounds * len(self.sampler)):
            self.step()


def endless(loader, sampler):
    """Batches of epoch after epoch."""
    for epoch in itertools.count():
        sampler.set_epoch(epoch)
        yield from loader


def in_turns(candidates, rounds, device="cpu", warm_up=3):
    """{name: seconds of each turn}: all candidates in every turn, so that what slows the machine down slows all.

    A turn is there and back, and its time the mean of both: of two that see the same tensors, the one that first meets their
    size waits for what the libraries prepare for it.

    Arguments
    ---------
    candidates : dict
        Name -> callable without arguments.
    rounds : int
        How many turns count.
    device : str
        Waited for before a clock is read.
    warm_up : int
        Turns before those.
    """
    times = {name: [] for name in candidates}
    for turn in range(warm_up + rounds):
        seconds = dict.fromkeys(candidates, 0.0)
        for name in [*candidates, *reversed(candidates)]:
            wait_for(device)
            start = time.perf_counter()
            candidates[name]()
            wait_for(device)
            seconds[name] += (time.perf_counter() - start) / 2
        if turn >= warm_up:
            for name, both in seconds.items():
                times[name].append(both)
    return times


def medians_ms(times):
    """{name: median in milliseconds}."""
    return {name: 1000 * statistics.median(values) for name, values in times.items()}


def ratio(times, numerator, denominator):
    """Median over the turns of the quotient of two candidates' times."""
    return statistics.median(a / b for a, b in zip(times[numerator], times[denominator], strict=True))


def wait_for(device):
    """Until a GPU has done what it was asked for."""
    if str(device).startswith("cuda"):
        torch.cuda.synchronize(device)
