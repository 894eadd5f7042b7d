"""Manifests: SpeechBrain's JSON, {id: {"path": ..., "duration_s": ..., "speaker": ..., "recording": ..., labels...}}."""

import itertools
import json

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.dataio.records import CHUNK, Records

REQUIRED = {"path": (str,), "duration_s": (int, float), "speaker": (str, type(None)), "corpus": (str,)}


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
