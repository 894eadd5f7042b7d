"""Audio and manifests that are read once on a machine, for many runs on the same corpora in several processes."""

import json
import pathlib

import numpy as np
import torch

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.dataio.audio import AudioError, AudioReader

AUDIO, INDEX = "audio.f32", "shared.json"


def corpora_of(hparams):
    """(plugin name, options, data folder) of every corpus that a run reads."""
    corpora = [(hparams["corpus"], hparams["corpus_options"], hparams["data_folder"])]
    if hparams["unlabelled_corpus"] not in (None, "", "shards"):  # shards are streamed
        corpora.append((hparams["unlabelled_corpus"], hparams["unlabelled_options"], hparams["unlabelled_folder"]))
    return corpora


def corpus_key(name, options, data_folder):
    """A corpus and how it is read, as text."""
    return json.dumps([name, options or {}, data_folder], default=str, sort_keys=True)


def write_shared(folder, manifests, read_audio, megabytes):
    """Decode the audio of manifests into one file, up to a bound, and write them beside it.

    Arguments
    ---------
    folder : str
        Made here.
    manifests : dict
        ``corpus_key`` -> manifest.
    read_audio : AudioReader
        Path to samples.
    megabytes : float
        Bound on the audio; files beyond it are read where they lie, whenever they are needed.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    index, end = {}, 0
    with open(folder / AUDIO, "wb") as file:
        for path in dict.fromkeys(r["path"] for records in manifests.values() for r in records.values()):
            try:
                samples = read_audio(path).numpy()
            except AudioError:  # whoever needs it reads it again, and knows what is to be done
                continue
            if 4 * (end + len(samples)) > megabytes * 1e6:
                break
            file.write(np.ascontiguousarray(samples, np.float32).tobytes())
            index[path] = (end, len(samples))
            end += len(samples)
    content = {"audio": index, "manifests": manifests, "sample_rate": read_audio.sample_rate}
    write_atomically(folder / INDEX, json.dumps(content))  # last: it says that the audio is complete


class SharedData:
    """What ``write_shared`` wrote: the manifests, and an AudioReader whose samples are mapped, not copied, into memory.

    Arguments
    ---------
    folder : str
        Of ``write_shared``.

    Attributes
    ----------
    manifests : dict
        ``corpus_key`` -> manifest.
    """

    def __init__(self, folder):
        content = json.loads((pathlib.Path(folder) / INDEX).read_text(encoding="utf-8"))
        self.manifests = content["manifests"]
        self._index = content["audio"]
        self.sample_rate = content["sample_rate"]
        self._elsewhere = AudioReader(self.sample_rate, cache_mb=0)
        # copy on write: PyTorch wants memory it may write to, and what is written stays in this process
        self._samples = np.memmap(pathlib.Path(folder) / AUDIO, np.float32, mode="c") if self._index else None

    def __call__(self, path):
        """Samples of the file, float32 [time]; raises as AudioReader does."""
        if path not in self._index:
            return self._elsewhere(path)
        start, size = self._index[path]
        return torch.from_numpy(self._samples[start : start + size])
