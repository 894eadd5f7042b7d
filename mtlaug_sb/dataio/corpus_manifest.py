"""The manifest of a corpus: what its reader says of every utterance, and what its files are."""

import contextlib
import gc
import hashlib
import itertools
import logging
import os
from array import array
from collections import Counter

import numpy as np
from tqdm import tqdm

from mtlaug_sb.dataio.audio import AudioError
from mtlaug_sb.dataio.columns import MISSING
from mtlaug_sb.dataio.manifest import REQUIRED
from mtlaug_sb.dataio.records import CHUNK, Records

logger = logging.getLogger(__name__)
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
    tables, first, n_first = _tables(corpus.read(str(data_folder))), [], 0
    while n_first <= MANY and (table := next(tables, None)):
        first.append(table)
        n_first += len(table[0])
    if not n_first:
        raise FileNotFoundError(f"no utterance of corpus '{name}' below '{data_folder}'; is data_folder right?")
    many = n_first > MANY
    places, records, hashes, bad, n = _Places(), Records(), array("q"), [], 0
    with (
        tqdm(desc=f"checking {name}", total=None if many else n_first, unit="file", leave=False, delay=1) as bar,
        _no_garbage_collection(),
    ):
        for ids, table in _emptying(first, tables):
            n += len(ids)
            paths, seconds = table["path"], table["duration_s"]
            found = {"path": list(map(places.real, paths)) if many else [*paths], "duration_s": [*seconds]}
            found["recording"] = [MISSING] * len(ids)
            unusable = []
            for i in (i for i, known in enumerate(seconds) if known is None or not many):
                try:
                    for key, value in _open(paths[i], read_audio).items():
                        found[key][i] = value
                except AudioError as error:
                    bad.append(str(error))
                    unusable.append(i)
                bar.update()
            usable, columns = _columns(name, ids, table | found, unusable)
            hashes.extend(map(hash, usable))
            records.extend_columns(usable, columns)
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


def _tables(utterances):
    """Ids, and {key: its values}, of many utterances at a time (see ``interfaces.Corpus``)."""
    if hasattr(utterances, "columns"):
        yield from ((table.pop("id"), table) for table in utterances.columns())
        return
    utterances = iter(utterances)
    while chunk := list(itertools.islice(utterances, CHUNK)):
        labels = dict.fromkeys(itertools.chain.from_iterable(u.labels for u in chunk))
        table = {key: [u.labels.get(key) for u in chunk] for key in labels}
        table |= {key: [getattr(u, key, None) for u in chunk] for key in ("path", "speaker", "duration_s")}
        yield [u.id for u in chunk], table


def _emptying(first, others):
    """All tables, each of the first let go when it has been given."""
    first.reverse()
    while first:
        yield first.pop()
    yield from others


def _open(path, read_audio):
    """Where a file really is, its seconds, and what it is known by."""
    wav = read_audio(path)
    return {
        "path": os.path.realpath(path),
        "duration_s": round(len(wav) / read_audio.sample_rate, 4),
        "recording": hashlib.sha1(wav.numpy().tobytes()).hexdigest()[:16],
    }


def _columns(name, ids, table, unusable):
    """Ids, and {key: a value of each utterance}, without the rows that are unusable."""
    # a corpus of several says from which one an utterance is
    columns = table | {"corpus": [name if c is None else str(c) for c in table.get("corpus", [None] * len(ids))]}
    if unusable:
        rows = sorted(set(range(len(ids))) - set(unusable))
        ids, columns = [ids[i] for i in rows], {key: [values[i] for i in rows] for key, values in columns.items()}
    for key in columns.keys() - REQUIRED.keys():
        columns[key] = [MISSING if value is None else value for value in columns[key]]
    return ids, {key: values for key, values in columns.items() if any(value is not MISSING for value in values)}


class _Places(dict):
    """Folder -> where it really is; asked once each, as the file system is slow to answer a million times."""

    def real(self, path):
        folder, separator, name = path.rpartition(os.sep)
        return f"{self[folder + separator]}{name}"

    def __missing__(self, folder):
        self[folder] = os.path.join(os.path.realpath(folder), "")
        return self[folder]


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
