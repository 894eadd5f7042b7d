"""Manifests: SpeechBrain's JSON, {id: {"path": ..., "duration_s": ..., "speaker": ..., "recording": ..., labels...}}."""

import hashlib
import json
import logging
import os

from tqdm import tqdm

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.dataio.audio import AudioError

logger = logging.getLogger(__name__)
REQUIRED = {"path": str, "duration_s": (int, float), "speaker": (str, type(None)), "corpus": str}


def build_manifest(corpus, data_folder, read_audio, skip_bad_audio=False):
    """Read a corpus, open every file, and return {id: record}.

    Arguments
    ---------
    corpus : interfaces.Corpus
        Reader of the corpus.
    data_folder : str
        Its folder.
    read_audio : AudioReader
        Opens (and keeps) every file.
    skip_bad_audio : bool
        Leave unusable files out, saying so, instead of refusing the corpus.

    Raises
    ------
    FileNotFoundError
        If there is not one utterance below the folder.
    AudioError
        If files cannot be used; the first few are named.
    ValueError
        If an id occurs twice.
    """
    name = corpus.plugin.partition("/")[2]
    utterances = list(corpus.read(str(data_folder)))
    if not utterances:
        raise FileNotFoundError(f"no utterance of corpus '{name}' below '{data_folder}'; is data_folder right?")
    records, bad = {}, []
    for utterance in tqdm(utterances, desc=f"checking {name}", unit="file", leave=False, delay=1):
        if utterance.id in records:
            raise ValueError(f"two utterances of corpus '{name}' are called '{utterance.id}'")
        try:
            wav = read_audio(utterance.path)
        except AudioError as error:
            bad.append(str(error))
            continue
        records[utterance.id] = {
            **utterance.labels,
            "path": os.path.realpath(utterance.path),
            "duration_s": round(len(wav) / read_audio.sample_rate, 4),
            "speaker": utterance.speaker,
            # a corpus of several says from which one an utterance is
            "corpus": str(utterance.labels.get("corpus", name)),
            "recording": hashlib.sha1(wav.numpy().tobytes()).hexdigest()[:16],
        }
    if bad and not (skip_bad_audio and records):
        listed = "; ".join(bad[:5]) + (f"; and {len(bad) - 5} more" if len(bad) > 5 else "")
        raise AudioError(
            f"{len(bad)} of {len(utterances)} files of corpus '{name}' cannot be used (mend or remove them, or leave them "
            f"out with --skip_bad_audio=True): {listed}"
        )
    if bad:
        logger.warning("Left out %d of %d files: %s", len(bad), len(utterances), "; ".join(bad[:5]))
    return records


def write_manifest(records, path):
    """Write {id: record} as JSON, whole or not at all."""
    write_atomically(path, json.dumps(records, indent=1, ensure_ascii=False))


def read_manifest(path):
    """Read and validate a manifest.

    Raises
    ------
    ValueError
        If a record lacks a key or has one of a wrong type; names the file, the utterance and the key.
    """
    try:
        with open(path, encoding="utf-8") as file:
            records = json.load(file)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    if not isinstance(records, dict):
        raise ValueError(f"{path}: a manifest is a mapping from utterance id to record, this is a {type(records).__name__}")
    for utterance, record in records.items():
        for key, kind in REQUIRED.items():
            if not isinstance(record, dict) or key not in record or not isinstance(record[key], kind):
                given = repr(record.get(key, "nothing")) if isinstance(record, dict) else repr(record)
                raise ValueError(f"{path}: utterance '{utterance}' needs '{key}', has {given}")
    return records
