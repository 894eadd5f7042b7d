"""Manifests: SpeechBrain's JSON, {id: {"path": ..., "duration_s": ..., "speaker": ..., "recording": ..., labels...}}."""

import contextlib
import gc
import hashlib
import itertools
import json
import logging
import os
from array import array
from collections import Counter

import numpy as np
from tqdm import tqdm

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.dataio.audio import AudioError
from mtlaug_sb.dataio.columns import MISSING
from mtlaug_sb.dataio.records import CHUNK, Records

logger = logging.getLogger(__name__)
REQUIRED = {"path": (str,), "duration_s": (int, float), "speaker": (str, type(None)), "corpus": (str,)}
MANY = 20_000  # of more utterances, those whose durations the corpus knows are not all opened
SAMPLE = 200  # of these are


def build_manifest(corpus, data_folder, read_audio, skip_bad_audio=False):
    """Read a corpus, open every file, and return {id: record}.

    In a corpus of more than 20,000 utterances, those that come with their duration are taken unopened, but for a sample:
    one of them that cannot be read is found, and named, when it is its turn. They are known by their paths only, and not by
    their samples (``recording``).

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

    Returns
    -------
    Records

    Raises
    ------
    FileNotFoundError
        If there is not one utterance below the folder.
    AudioError
        If files cannot be used; the first few are named.
    ValueError
        If an id occurs twice, or a sample of the durations is wrong.
    """
    name = corpus.plugin.partition("/")[2]
    utterances = iter(corpus.read(str(data_folder)))
    first = list(itertools.islice(utterances, MANY + 1))
    if not first:
        raise FileNotFoundError(f"no utterance of corpus '{name}' below '{data_folder}'; is data_folder right?")
    many = len(first) > MANY
    places, records, hashes, bad, n = _Places(), Records(), array("q"), [], 0
    with (
        tqdm(desc=f"checking {name}", total=None if many else len(first), unit="file", leave=False, delay=1) as bar,
        _no_garbage_collection(),
    ):
        for chunk in _chunks(_emptying(first), utterances):
            usable, files = [], []
            for utterance in chunk:
                if many and utterance.duration_s is not None:
                    files.append((places.real(utterance.path), utterance.duration_s, MISSING))
                    usable.append(utterance)
                    continue
                try:
                    files.append(_open(utterance.path, read_audio))
                    usable.append(utterance)
                except AudioError as error:
                    bad.append(str(error))
                bar.update()
            ids = [u.id for u in usable]
            hashes.extend(map(hash, ids))
            records.extend_columns(ids, _columns(name, usable, files))
            n += len(chunk)
            bar.update(n - bar.n)
    n_opened = len(records) - records.counts("recording").get(None, 0)
    _check_ids(records, np.sort(hashes), name)
    _tell_bad(bad, n, name, skip_bad_audio and len(records))
    if n_opened < len(records):
        _check_sample(records.where("recording", lambda r: r is None), read_audio, name, skip_bad_audio)
    return records


@contextlib.contextmanager
def _no_garbage_collection():
    """It would look again and again at a million objects that are needed; what is not goes without it."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def _open(path, read_audio):
    """Where a file really is, its seconds, and what it is known by."""
    wav = read_audio(path)
    seconds = round(len(wav) / read_audio.sample_rate, 4)
    return os.path.realpath(path), seconds, hashlib.sha1(wav.numpy().tobytes()).hexdigest()[:16]


def _columns(name, utterances, files):
    """{key: a value of each utterance}, of the utterances and their (path, seconds, recording)."""
    if not utterances:
        return {}
    labels = dict.fromkeys(itertools.chain.from_iterable(u.labels for u in utterances))
    columns = {key: [u.labels.get(key, MISSING) for u in utterances] for key in labels}
    columns |= dict(zip(("path", "duration_s", "recording"), map(list, zip(*files, strict=True)), strict=True))
    if set(columns["recording"]) == {MISSING}:
        del columns["recording"]
    # a corpus of several says from which one an utterance is
    corpora = [str(u.labels.get("corpus", name)) for u in utterances]
    return columns | {"speaker": [u.speaker for u in utterances], "corpus": corpora}


class _Places(dict):
    """Folder -> where it really is; asked once each, as the file system is slow to answer a million times."""

    def real(self, path):
        folder, separator, name = path.rpartition(os.sep)
        return f"{self[folder + separator]}{name}"

    def __missing__(self, folder):
        self[folder] = os.path.join(os.path.realpath(folder), "")
        return self[folder]


def _emptying(items):
    """The items, each let go when it has been given."""
    items.reverse()
    while items:
        yield items.pop()


def _chunks(*iterables):
    items = itertools.chain(*iterables)
    while chunk := list(itertools.islice(items, CHUNK)):
        yield chunk


def _check_ids(records, hashes, name):
    if (hashes[1:] == hashes[:-1]).any():  # unlikely of two different ids: counted exactly
        utterance, n = Counter(iter(records)).most_common(1)[0]
        if n > 1:
            raise ValueError(f"two utterances of corpus '{name}' are called '{utterance}'")


def _tell_bad(bad, n, name, may_go_on):
    listed = "; ".join(bad[:5]) + (f"; and {len(bad) - 5} more" if len(bad) > 5 else "")
    if bad and not may_go_on:
        raise AudioError(
            f"{len(bad)} of {n} files of corpus '{name}' cannot be used (mend or remove them, or leave them "
            f"out with --skip_bad_audio=True): {listed}"
        )
    if bad:
        logger.warning("Left out %d of %d files: %s", len(bad), n, listed)
        logger.debug("All of them: %s", "; ".join(bad))


def _check_sample(records, read_audio, name, skip_bad_audio):
    """Open some of the files that were taken as the corpus describes them."""
    bad = []
    for record in records.spread(SAMPLE).values():
        try:
            seconds = len(read_audio(record["path"])) / read_audio.sample_rate
        except AudioError as error:
            bad.append(str(error))
            continue
        if abs(seconds - record["duration_s"]) > 0.1 + 0.02 * seconds:
            raise ValueError(
                f"corpus '{name}' says that {record['path']} lasts {record['duration_s']:g} s, and it lasts {seconds:.2f} s"
            )
    _tell_bad(bad, min(SAMPLE, len(records)), f"{name} (a sample)", skip_bad_audio)
    fate = "left out" if skip_bad_audio else "an error; --skip_bad_audio=True would leave it out"
    logger.info(
        "%d utterances of corpus '%s' come with their durations, and %d of them were opened: a copy of a recording under "
        "another name would not be noticed, and a file that cannot be read is met when it is its turn (then %s)",
        *(len(records), name, min(SAMPLE, len(records)), fate),
    )


def write_manifest(records, path):
    """Write {id: record} as JSON, a line each, whole or not at all."""

    def content():
        before = "{\n"
        for lines in Records.of(records).json_lines():
            yield before + ",\n".join(lines)
            before = ",\n"
        yield "\n}\n" if before != "{\n" else "{}\n"

    write_atomically(path, content())


def read_manifest(path):
    """Read and validate a manifest; returns Records.

    Raises
    ------
    ValueError
        If a record lacks a key or has one of a wrong type; names the file, the utterance and the key.
    """
    records = Records()
    try:
        for chunk in _read_lines(path):
            _validate(chunk, path)
            records.extend(list(chunk), list(chunk.values()))
    except json.JSONDecodeError:  # another layout than ours, or no JSON at all
        whole = _read_whole(path)
        _validate(whole, path)
        records = Records.of(whole)
    return records


def _read_lines(path):
    """Mappings of some records each, from the layout of ``write_manifest``; JSONDecodeError for any other."""
    with open(path, encoding="utf-8") as file:
        at_end = (first := file.readline().strip()) == "{}"
        while first == "{" and (lines := list(itertools.islice(file, CHUNK))):
            at_end = lines[-1].strip() == "}"
            text = "".join(lines[:-1] if at_end else lines)
            yield json.loads(f"{{{text.rstrip().removesuffix(',')}}}")
        if not at_end:
            raise json.JSONDecodeError("no end", "", 0)


def _read_whole(path):
    try:
        with open(path, encoding="utf-8") as file:
            records = json.load(file)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None
    if not isinstance(records, dict):
        raise ValueError(f"{path}: a manifest is a mapping from utterance id to record, this is a {type(records).__name__}")
    return records


def _validate(records, path):
    if not all(type(record) is dict for record in records.values()):
        wrong = next(k for k, record in records.items() if type(record) is not dict)
        raise ValueError(f"{path}: utterance '{wrong}' needs 'path', has {records[wrong]!r}")
    for key, kinds in REQUIRED.items():
        if not {type(record.get(key, ...)) for record in records.values()} <= set(kinds):
            wrong, record = next((k, r) for k, r in records.items() if type(r.get(key, ...)) not in kinds)
            raise ValueError(f"{path}: utterance '{wrong}' needs '{key}', has {record.get(key, 'nothing')!r}")
