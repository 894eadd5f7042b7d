"""Checks of corpora. One with a static method ``example_folder(folder)``, which writes a few files, is read as well."""

import pathlib
import tempfile
from itertools import zip_longest

from mtlaug_sb.corpus_table import KNOWN
from mtlaug_sb.testing.contract import expect, shape
from mtlaug_sb.testing.examples import make_example


def check_missing_folder(cls):
    """A folder that is not there gives no utterances, or a FileNotFoundError: nothing else."""
    corpus = make_example(cls)
    if hasattr(cls, "default_folder"):  # it makes its folder itself
        return
    try:
        utterances = list(corpus.read("/nowhere/at/all"))
    except FileNotFoundError:
        return
    expect(not utterances, "finds utterances in a folder that is not there, /nowhere/at/all")


def check_utterances(cls):
    """Its example folder gives utterances with unique ids, files that exist and known labels only, in the same order."""
    if not hasattr(cls, "example_folder"):
        return
    with tempfile.TemporaryDirectory() as folder:
        cls.example_folder(folder)
        utterances = list(make_example(cls).read(folder))
        expect(utterances, "finds no utterance in what example_folder wrote")
        for utterance in utterances:
            lacking = [name for name in ("id", "path", "speaker", "labels") if not hasattr(utterance, name)]
            expect(not lacking, f"must give mtlaug_sb.interfaces.Utterance, got {shape(utterance)} without {lacking}")
            _expect_plain(utterance)
        ids = [utterance.id for utterance in utterances]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        expect(not twice, f"gives several utterances one id: {twice}; ids must be unique, results are joined by them")
        second = make_example(cls).read(folder)
        again = [utterance.id for utterance in second]
        expect(again == ids, "gives another order at the second reading; sort the files, sorted(folder.rglob('*.wav'))")
        if hasattr(second, "columns"):
            _expect_same(second.columns(), utterances)


def _expect_same(tables, utterances):
    """By column as one by one."""
    by_column = []
    for table in tables:
        lacking = [key for key in KNOWN if key not in table]
        expect(not lacking, f"columns() must give {', '.join(KNOWN)}, and lacks {', '.join(lacking)}")
        kinds = {key: (type(values).__name__, len(values)) for key, values in table.items()}
        expect(
            set(kinds.values()) == {("list", len(table["id"]))}, f"columns() must give lists of one length, gives {kinds}"
        )
        rows = (dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True))
        by_column += [{key: value for key, value in row.items() if value is not None} for row in rows]
    one_by_one = ({key: getattr(u, key) for key in KNOWN if getattr(u, key) is not None} | u.labels for u in utterances)
    for row, other in zip_longest(by_column, one_by_one):
        expect(row == other, f"says {row} of an utterance by columns(), and {other} one by one")


def _expect_plain(utterance):
    expect(isinstance(utterance.id, str) and utterance.id, f"an id must be text, got {utterance.id!r}")
    expect(isinstance(utterance.path, str), f"a path must be text, str(path), got {utterance.path!r}")
    expect(pathlib.Path(utterance.path).is_file(), f"gives a path where no file is: {utterance.path}")
    speaker = utterance.speaker
    expect(
        speaker is None or isinstance(speaker, str), f"a speaker must be text, or None where it is unknown, got {speaker!r}"
    )
    for name, value in utterance.labels.items():
        numbers = isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value)
        expect(
            isinstance(value, str | int | float) or numbers,
            f"label '{name}' must be text, a number or a list of numbers, got {value!r}; "
            f"leave a label out where it is unknown",
        )


CORPUS = [check_missing_folder, check_utterances]
