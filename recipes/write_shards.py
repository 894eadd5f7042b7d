#!/usr/bin/env python3
"""Speech as WebDataset shards: python recipes/write_shards.py CORPUS FOLDER OUT [--options={...}] [--part=K/N]

Reads a corpus (librispeech, folder, ...), decodes every file, and writes it as 16-bit FLAC at one sample rate into tar files
of some size, to be streamed as unlabelled speech:

    recipes/train.py hparams/mtl_aug.yaml ... --unlabelled_corpus=shards --unlabelled_folder=OUT

Files that cannot be used are named and left out. Several processes, on several machines, write a part each: --part=1/8 to
--part=8/8. Needs pip install -e ".[shards]".
"""

import argparse
import hashlib
import io
import itertools
import json
import pathlib
import sys

import numpy as np
import soundfile
from ruamel.yaml import YAML
from tqdm import tqdm

from mtlaug_sb import make
from mtlaug_sb.atomic import PART, write_atomically
from mtlaug_sb.dataio.audio import AudioError, AudioReader
from mtlaug_sb.dataio.shards import INDEX, RECORDINGS


def main(arguments):
    """Write what the command line names; returns the index."""
    parser = argparse.ArgumentParser(
        prog="write_shards.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus")
    parser.add_argument("folder")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--options", type=YAML(typ="safe").load, default={}, help="of the corpus, such as '{hours: 10}'")
    parser.add_argument("--sample_rate", type=int, default=16000)
    parser.add_argument("--shard_mb", type=float, default=32.0)
    parser.add_argument("--part", default="1/1", metavar="K/N")
    options = parser.parse_args(arguments)
    part, _, parts = options.part.partition("/")
    if not (part.isdigit() and parts.isdigit() and 0 < int(part) <= int(parts)):
        raise ValueError(f"--part must be K/N with K from 1 to N, is '{options.part}'")
    part, parts = int(part), int(parts)
    name = f"{part:05}"
    if (options.out / INDEX.format(name)).exists():
        raise FileExistsError(f"'{options.out}' has part {part} already; choose another folder")
    utterances = itertools.islice(
        make(f"corpus/{options.corpus}", **options.options).read(options.folder), part - 1, None, parts
    )
    options.out.mkdir(parents=True, exist_ok=True)
    index = write_shards(
        utterances, options.corpus, options.out, name, AudioReader(options.sample_rate, 0), options.shard_mb
    )
    write_atomically(options.out / INDEX.format(name), json.dumps({**index, "part": name, "parts": parts}, indent=1))
    n, hours, shards, bad = (index[key] for key in ("utterances", "hours", "shards", "bad"))
    print(f"{n} utterances, {hours:.2f} h, in {len(shards)} shards; {bad} left out")
    return index


def write_shards(utterances, corpus, out, name, read_audio, megabytes):
    """Write shards ``<name>-<number>.tar`` and the recordings' hashes; returns what the index is to hold.

    Raises
    ------
    ModuleNotFoundError
        If webdataset is not installed.
    ValueError
        If no utterance can be used.
    """
    import webdataset

    shards, speakers, seconds, bad = [], {}, 0.0, 0
    closed = {"maxsize": megabytes * 1e6, "maxcount": 1e9, "verbose": 0}
    recordings = out / RECORDINGS.format(name)
    with (
        open(f"{recordings}{PART}", "wb") as hashes,
        webdataset.ShardWriter(str(out / f"{name}-%06d.tar"), **closed) as writer,
    ):
        for utterance in tqdm(utterances, desc=corpus, unit="file", delay=1):
            try:
                wav = read_audio(utterance.path).numpy()
            except AudioError as error:
                tqdm.write(f"left out: {error}", file=sys.stderr)
                bad += 1
                continue
            audio, stored = encode(wav, read_audio.sample_rate)
            # as the manifest of a corpus knows a recording, so that a copy of a test recording is found: this file and ...
            recording = hashlib.sha1(wav.tobytes()).hexdigest()[:16]
            rounded = hashlib.sha1(stored.tobytes()).hexdigest()[:16]  # ... what is stored of it
            its = str(utterance.labels.get("corpus", corpus))  # of several that are joined
            record = {**utterance.labels, "id": utterance.id, "path": utterance.path, "speaker": utterance.speaker}
            record |= {"duration_s": round(len(wav) / read_audio.sample_rate, 4), "corpus": its, "recording": recording}
            # a number as its name, since names end at their first dot
            sample = {"flac": audio, "json": json.dumps(record, ensure_ascii=False).encode()}
            writer.write({"__key__": f"{writer.total:09}", **sample})
            if not shards or shards[-1]["file"] != pathlib.Path(writer.fname).name:
                shards.append({"file": pathlib.Path(writer.fname).name, "utterances": 0})
            shards[-1]["utterances"] += 1
            hashes.write(np.array([int(known, 16) for known in {recording, rounded}], np.uint64).tobytes())
            seconds += record["duration_s"]
            speakers[its, utterance.speaker] = None
    pathlib.Path(f"{recordings}{PART}").replace(recordings)
    if not shards:
        raise ValueError(f"not one utterance of corpus '{corpus}' can be used ({bad} tried)")
    for shard in shards:
        shard["bytes"] = (out / shard["file"]).stat().st_size
    return {
        "sample_rate": read_audio.sample_rate,
        "utterances": sum(shard["utterances"] for shard in shards),
        "hours": seconds / 3600,
        "bad": bad,
        "shards": shards,
        "speakers": list(speakers),
    }


def encode(wav, sample_rate):
    """A FLAC file of 16 bits, and its samples as a reader will have them, float32 [time]."""
    samples = np.round(wav * 32768).clip(-32768, 32767).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, "PCM_16", format="FLAC")
    return file.getvalue(), samples.astype(np.float32) / 32768


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ModuleNotFoundError as error:
        sys.exit(f"error: {error}: pip install -e '.[shards]'")
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
