"""Manifests to SpeechBrain datasets and loaders."""

import functools

import torch
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataset import DynamicItemDataset


def make_dataset(records, targets, read_audio):
    """A dataset of ``id``, ``wav`` [time] and one tensor per target.

    Arguments
    ---------
    records : dict
        Manifest.
    targets : dict
        Name -> target (see ``mtlaug_sb.targets``).
    read_audio : AudioReader
        Path to samples; of a record with ``heard_s`` only so many seconds are taken.
    """
    items = {k: {"record": r, "path": r["path"], "duration_s": r["duration_s"]} for k, r in records.items()}
    dataset = DynamicItemDataset(items)
    rate = read_audio.sample_rate

    def read(record):
        wav = read_audio(record["path"])
        return wav[: round(record["heard_s"] * rate)] if "heard_s" in record else wav

    dataset.add_dynamic_item(read, takes="record", provides="wav")
    for name, target in targets.items():
        dataset.add_dynamic_item(target, takes="record", provides=f"target_{name}")
    dataset.set_output_keys({"id": "id", "wav": "wav", **{name: f"target_{name}" for name in targets}})
    return dataset


def loader_options(**options):
    """Options of a DataLoader over such a dataset."""
    return {
        "collate_fn": functools.partial(PaddedBatch, padded_keys=["wav"]),
        # a generator of its own: the iterator draws a seed, which must not come from the run's random state
        "generator": torch.Generator(),
        **options,
    }
