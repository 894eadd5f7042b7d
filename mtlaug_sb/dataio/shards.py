"""Unlabelled speech at any size: WebDataset shards, streamed shuffled and in bounded memory, by several readers."""

import io
import json
import logging
import pathlib
import tarfile

import numpy as np
import soundfile
import torch

from mtlaug_sb.dataio.audio import AudioError
from mtlaug_sb.dataio.datasets import beginning
from mtlaug_sb.dataio.sampler import MixedBatchSampler
from mtlaug_sb.dataio.splits import SpeakerLeak, people, person

logger = logging.getLogger(__name__)
NAME = "shards"  # as ``unlabelled_corpus``
INDEX, RECORDINGS = "index_{}.json", "recordings_{}.u64"  # of each part that was written by a process of its own


class Shards:
    """A folder that recipes/write_shards.py wrote: an item is a place in the stream of one of several readers.

    In every lap over the speech, the shards are dealt anew to the readers; each reader goes through its own, some shards at
    a time, in random order across these. All of that follows from the seed alone, so that a stream can begin anywhere.

    Arguments
    ---------
    folder : str
        Of the shards.
    targets : dict
        Name -> target.
    sample_rate : int
        Hz; what the shards must have.
    without : str or None
        Label that is not looked at.
    mixed : int
        Shards that are in memory, as they are on disk, at a time (of each reader): they are mixed with one another.
    workers : int
        Processes that read, beside each training process; 0 reads in the training process itself.
    seed : int
        Of the order.
    longest_s : float or None
        Of a longer utterance only so many seconds, the first, are heard.

    Raises
    ------
    FileNotFoundError
        If there is no index in the folder, or a shard is not there.
    ValueError
        If the sample rates differ.
    """

    def __init__(self, folder, targets, sample_rate, without=None, mixed=4, workers=0, seed=0, longest_s=None):
        self.folder, self.targets, self.without = pathlib.Path(folder), targets, without
        self.mixed, self.workers, self.seed = mixed, workers, seed
        self.longest = longest_s and round(longest_s * sample_rate)
        self.parts = _read_parts(self.folder)
        self.shards = [shard for part in self.parts for shard in part["shards"]]
        for part in self.parts:
            if part["sample_rate"] != sample_rate:
                raise ValueError(f"'{folder}' has {part['sample_rate']} Hz, and the experiment has {sample_rate} Hz")
        if lost := [s["file"] for s in self.shards if not (self.folder / s["file"]).exists()]:
            raise FileNotFoundError(f"'{folder}': {len(lost)} of {len(self.shards)} shards are not there, such as {lost[0]}")
        self.sizes = np.array([shard["utterances"] for shard in self.shards])
        self._lap, self._group = None, None

    def __len__(self):
        return int(self.sizes.sum())

    def __getitem__(self, place):
        """``id``, ``wav`` and the targets of (position, reader, number of readers)."""
        position, reader, n_readers = place
        shards, i, seed = self._find(position, reader, n_readers)
        if self._group is None or self._group[0] != (shards, seed):
            self._group = None  # lets go of the last ones first
            order = torch.randperm(int(self.sizes[list(shards)].sum()), generator=torch.Generator().manual_seed(seed))
            self._group = (shards, seed), [s for k in shards for s in self._read(k)], order
        _, samples, order = self._group
        record, audio = samples[order[i]]
        return self._example(json.loads(record), audio)

    def _find(self, position, reader, n_readers):
        """(shards that are in memory together, place among their utterances, seed of their order) of a position."""
        lap, start = 0, 0
        if self._lap and self._lap[0] == (reader, n_readers) and self._lap[2] <= position:
            _, lap, start = self._lap
        while True:
            mine = np.random.default_rng([self.seed, lap]).permutation(len(self.shards))[reader::n_readers]
            size = self.sizes[mine].sum()
            if position < start + size:
                break
            lap, start = lap + 1, start + size
        self._lap = (reader, n_readers), lap, start
        ends = np.cumsum(self.sizes[mine]) + start
        first = int(np.searchsorted(ends, position, side="right")) // self.mixed * self.mixed
        begin = start if first == 0 else ends[first - 1]
        seed = int(np.random.default_rng([self.seed, lap, reader, first, 1]).integers(2**63))
        return tuple(mine[first : first + self.mixed].tolist()), int(position - begin), seed

    def _read(self, k):
        """(JSON of the record, encoded audio) of every utterance of a shard."""
        import webdataset  # the extra "shards"

        path = self.folder / self.shards[k]["file"]
        pipeline = webdataset.DataPipeline(webdataset.SimpleShardList([str(path)]), webdataset.tarfile_to_samples())
        try:
            samples = [(sample["json"], sample["flac"]) for sample in pipeline]
        except (OSError, ValueError, KeyError, EOFError, tarfile.TarError) as error:
            raise AudioError(f"{path}: not readable as a shard ({error})") from error
        if len(samples) != self.sizes[k]:
            raise AudioError(f"{path}: {len(samples)} utterances, its index says {self.sizes[k]}; was it cut off?")
        return samples

    def _example(self, record, audio):
        wav, _ = soundfile.read(io.BytesIO(audio), dtype="float32")
        record.pop(self.without, None)
        made = {name: target(record) for name, target in self.targets.items()}
        wav, name = beginning(torch.from_numpy(wav), f"unlabelled/{record['id']}", self.longest)
        return {"id": name, "wav": wav, **made}

    def records(self):
        """Records of the first shard: what is learned of the data (names of classes, say) is learned from these."""
        return [{k: v for k, v in json.loads(r).items() if k != self.without} for r, _ in self._read(0)]

    def check_readers(self, n_processes):
        """Refuse more readers than shards.

        Raises
        ------
        ValueError
            If a reader would have none.
        """
        n = n_processes * max(self.workers, 1)
        if n > len(self.shards):
            raise ValueError(
                f"'{self.folder}' has {len(self.shards)} shards, too few for {n} readers ({n_processes} processes with "
                f"{max(self.workers, 1)} each): write smaller shards, or take fewer workers"
            )

    def check_splits(self, splits):
        """Refuse shards that have a speaker or a recording of the validation or the test.

        Raises
        ------
        SpeakerLeak
            If there is one.
        """
        for split in ("valid", "test"):
            pairs = (dict(zip(("corpus", "speaker"), pair, strict=True)) for part in self.parts for pair in part["speakers"])
            speakers = {person(pair) for pair in pairs}
            for value in speakers & people(splits[split]):
                raise SpeakerLeak(f"speaker {value} is in the {split} split and in the shards in '{self.folder}'")
            held_out = {int(r, 16): r for r in splits[split].counts("recording") if r is not None}
            for part in self.parts:
                with open(self.folder / RECORDINGS.format(part["part"]), "rb") as file:
                    # a part at a time: of a hundred million recordings there is a gigabyte
                    while len(found := np.frombuffer(file.read(8_000_000), np.uint64)):
                        if len(both := np.intersect1d(found, np.array(list(held_out), np.uint64))):
                            name = held_out[int(both[0])]
                            raise SpeakerLeak(
                                f"recording {name} is in the {split} split and in the shards in '{self.folder}'"
                            )


class WithStream(torch.utils.data.Dataset):
    """Utterances by index, and places of a stream, as MixedBatchSampler gives them."""

    def __init__(self, labelled, stream):
        self.labelled, self.stream = labelled, stream

    def __len__(self):
        return len(self.labelled)

    def __getitem__(self, index):
        return self.stream[index] if isinstance(index, tuple) else self.labelled[index]


def stream_beside(labelled, shards, durations, drawing):
    """A dataset of labelled utterances with a stream beside it, and its loader's options.

    Arguments
    ---------
    labelled : Dataset
        Of utterances with these durations.
    shards : Shards
        The stream.
    durations : sequence of float
        Seconds.
    drawing : dict
        Further arguments of MixedBatchSampler.
    """
    n_processes = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    shards.check_readers(n_processes)
    sampler = MixedBatchSampler(durations, len(shards), readers=max(shards.workers, 1), **drawing)
    # workers that live on keep their shards in memory from epoch to epoch
    workers = {"num_workers": shards.workers, "persistent_workers": True} if shards.workers else {}
    return WithStream(labelled, shards), {"batch_sampler": sampler, **workers}


def open_shards(hparams):
    """The Shards that an experiment names as its unlabelled speech, or None."""
    if hparams["unlabelled_corpus"] != NAME:
        return None
    if not hparams["unlabelled_folder"]:
        raise ValueError(f"unlabelled_corpus: {NAME} needs its folder: give --unlabelled_folder")
    options = hparams["unlabelled_options"] or {}
    rate, label = hparams["sample_rate"], hparams["class_label"]
    options = {"seed": hparams["seed"], "longest_s": hparams["unlabelled_max_s"], **options}
    return Shards(hparams["unlabelled_folder"], hparams["targets"], rate, label, **options)


def _read_parts(folder):
    parts = []
    for path in sorted(folder.glob(INDEX.format("*"))):
        parts.append(json.loads(path.read_text(encoding="utf-8")))
    if not parts:
        raise FileNotFoundError(f"no {INDEX.format('*')} in '{folder}'; recipes/write_shards.py writes it last")
    n_parts = parts[0]["parts"]
    if len(parts) != n_parts or any(part["parts"] != n_parts for part in parts):
        raise FileNotFoundError(f"'{folder}' has the index of {len(parts)} of {n_parts} parts; are all written?")
    return parts
