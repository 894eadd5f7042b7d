"""A CSV that lists audio files, read by column: it may have a million rows."""

import contextlib
import csv
import itertools
import math
import os
from collections import Counter

from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.unicode_form import one_form

KNOWN = ("id", "path", "speaker", "duration_s")  # columns that are no labels
CHUNK = 500  # rows at a time: few enough for a processor's cache


class UtteranceTable:
    """The utterances of a CSV, in order: one by one, or ``columns`` of some hundred.

    Blanks around a cell do not count, and an empty cell is a missing value.

    Arguments
    ---------
    table : pathlib.Path
        The file.
    rename : dict
        Labels' values there -> here.

    Raises
    ------
    ValueError
        While it is read: if there is no column ``path``, one column twice, or one that is known in capitals, or the file is
        not in UTF-8; or a row has more cells than the header, no path, or no number as its duration.
    """

    def __init__(self, table, rename):
        self.table, self.rename = table, rename

    def __iter__(self):
        for columns in self.columns():
            ids, paths, speakers, seconds = (columns.pop(name) for name in KNOWN)
            for i, path in enumerate(paths):
                labels = {name: values[i] for name, values in columns.items() if values[i] is not None}
                yield Utterance(ids[i], path, speakers[i], labels, seconds[i])

    def columns(self):
        """See ``interfaces.Corpus``."""
        with self._opened() as (reader, names):
            first = 1  # the header is row 0
            while chunk := list(itertools.islice(reader, CHUNK)):
                rows, cells = self._filled(range(first, first + len(chunk)), chunk, len(names), names.index("path"))
                yield self._columns(dict(zip(names, cells, strict=True)), rows)
                first += len(chunk)

    @contextlib.contextmanager
    def _opened(self):
        """What reads the rows, and the names of the columns."""
        with open(self.table, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            try:
                names = [name.strip() for name in next(reader, [])]
                _check_names(names, self.table)
                yield reader, names
            except UnicodeDecodeError:
                raise ValueError(f"{self.table}: is not in UTF-8; save it so") from None
            except csv.Error as error:
                raise ValueError(f"{self.table}: line {reader.line_num}: {error}") from None

    def _filled(self, rows, chunk, size, path):
        """Which rows of the table are not empty, and the cells of each column."""
        if {*map(len, chunk)} != {size}:
            chunk = [self._fitting(row, cells, size) for row, cells in zip(rows, chunk, strict=True)]
        if not all(cells[path].strip() for cells in chunk):
            filled = [(row, cells) for row, cells in zip(rows, chunk, strict=True) if any(map(str.strip, cells))]
            if pathless := [row for row, cells in filled if not cells[path].strip()]:
                raise ValueError(f"{self.table}: line {self._line(pathless[0])} has no path")
            rows, chunk = zip(*filled, strict=True) if filled else ((), ())
        return rows, list(zip(*chunk, strict=True)) if chunk else [()] * size

    def _fitting(self, row, cells, size):
        """The cells of a row that may have more or fewer than the header."""
        if any(map(str.strip, cells[size:])):
            raise ValueError(f"{self.table}: line {self._line(row)} has {len(cells)} cells, the header has {size}")
        return cells[:size] + [""] * (size - len(cells))

    def _line(self, row):
        """Where a row ends in the file: a cell in quotation marks may have lines of its own."""
        with self._opened() as (reader, _):
            next(itertools.islice(reader, row - 1, row))
            return reader.line_num

    def _columns(self, columns, rows):
        """What is said of the files, of the cells as they are written."""
        folder = f"{self.table.parent}{os.sep}"
        written = list(map(str.strip, columns["path"]))
        none = [None] * len(written)
        result = {
            "id": [name or path for name, path in zip(map(str.strip, columns.get("id", written)), written, strict=True)],
            "path": [path if os.path.isabs(path) else folder + path for path in written],
            "speaker": _values(columns["speaker"]) if "speaker" in columns else none,
            "duration_s": self._seconds(columns["duration_s"], rows) if "duration_s" in columns else none,
        }
        for name in (name for name in columns if name and name not in KNOWN):
            values = _values(columns[name])
            result[name] = [self.rename.get(v, v) for v in values] if self.rename else values
        return result

    def _seconds(self, cells, rows):
        """Durations as numbers, None where there is none."""
        try:
            seconds = [float(cell) if cell.strip() else None for cell in cells]
        except ValueError:
            seconds = [_number(cell) if cell.strip() else None for cell in cells]
        if wrong := [i for i, s in enumerate(seconds) if s is not None and not 0 < s < math.inf]:
            line, cell = self._line(rows[wrong[0]]), cells[wrong[0]].strip()
            raise ValueError(f"{self.table}: line {line}: duration_s must be a number of seconds, is '{cell}'")
        return seconds


def _check_names(names, table):
    """Refuse a header from which it does not follow what is what."""
    for name in names:
        if name not in KNOWN and (meant := name.casefold()) in KNOWN and meant not in ("id", *names):
            raise ValueError(f"{table}: the column '{name}' must be called '{meant}'")
    if "path" not in names:
        hint = "; cells are separated by commas" if len(names) == 1 and any(mark in names[0] for mark in ";\t|") else ""
        raise ValueError(f"{table}: needs a column 'path', has {names}{hint}")
    if twice := [name for name, n in Counter(filter(None, names)).items() if n > 1]:
        raise ValueError(f"{table}: has two columns '{twice[0]}'")


def _values(cells):
    """Texts in one Unicode form, None where a cell is empty."""
    texts = list(map(str.strip, cells))
    if not "".join(texts).isascii():
        texts = list(map(one_form, texts))
    return [text or None for text in texts]


def _number(cell):
    try:
        return float(cell)
    except ValueError:
        return math.nan
