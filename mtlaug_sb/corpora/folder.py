"""Any folder of audio, or any table that lists audio files."""

import csv
import logging
import math
import operator
import os
import pathlib
from collections import Counter

from mtlaug_sb.corpus_files import NOT_READABLE, READABLE, files_below
from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.registry import register
from mtlaug_sb.unicode_form import one_form

logger = logging.getLogger(__name__)
KNOWN = ("path", "id", "speaker", "duration_s")  # columns of a CSV that are no labels


@register("corpus", "folder")
class Folder:
    """Reads every audio file below a folder, or the rows of a CSV.

    A CSV has a column ``path`` (relative to the CSV, or absolute), and any of ``id``, ``speaker``, ``duration_s`` (seconds;
    spares a very large corpus the opening of every file) and further columns, which become labels; blanks around a cell
    do not count, and an empty cell is a missing label. Without a CSV, the files carry no labels, unless
    ``label_from_folder`` is set.

    Arguments
    ---------
    label_from_folder : str or None
        Take each file's folder as this label: "emotion" for a folder per emotion, "speaker" for a folder per speaker.
    rename : dict or None
        Class names of this corpus -> names used here, such as {"Angry": "anger"}.
    """

    def __init__(self, label_from_folder=None, rename=None):
        self.label_from_folder = label_from_folder
        self.rename = {one_form(str(old)): one_form(str(new)) for old, new in (rename or {}).items()}

    def read(self, data_folder):
        """Utterances in order of path (folder) or of row (CSV).

        Raises
        ------
        FileNotFoundError
            If neither a folder nor a CSV is there.
        ValueError
            If a CSV has no column ``path``, one twice, or one of those above in capitals, or is not in UTF-8; or a row has
            more cells than the header, no path, or no number as its duration.
        """
        root = pathlib.Path(data_folder)
        if root.is_dir():
            return self._read_folder(root)
        if root.is_file():
            return self._read_table(root)
        raise FileNotFoundError(f"no folder and no CSV file '{data_folder}'")

    def _read_folder(self, root):
        files = files_below(root, READABLE | NOT_READABLE)
        if others := Counter(ending for path in files if (ending := path.suffix.lower()) in NOT_READABLE):
            listed = ", ".join(f"{n} {ending}" for ending, n in sorted(others.items()))
            logger.warning("%s: passed over %s, which cannot be read: what is only there must be converted", root, listed)
        for path in (path for path in files if path.suffix.lower() in READABLE):
            labels = {self.label_from_folder: one_form(path.parent.name)} if self.label_from_folder else {}
            speaker = labels.pop("speaker", None)
            yield self._utterance(path.relative_to(root).with_suffix("").as_posix(), str(path), speaker, labels)

    def _read_table(self, table):
        folder = f"{table.parent}{os.sep}"
        with open(table, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            try:
                names = [name.strip() for name in next(reader, [])]
                _check_names(names, table)
                size = len(names)
                columns = [(i, name) for i, name in enumerate(names) if name and name not in KNOWN]
                known = operator.itemgetter(*(names.index(name) if name in names else size for name in KNOWN))
                for cells in reader:
                    if len(cells) != size and not (cells := _fitting(cells, size, table, reader)):
                        continue
                    cells.append("")  # a column that is not there
                    path, name, speaker, seconds = map(str.strip, known(cells))
                    if not path:
                        if any(map(str.strip, cells)):
                            raise ValueError(f"{table}: line {reader.line_num} has no path")
                        continue
                    labels = {label: value for i, label in columns if (value := one_form(cells[i].strip()))}
                    seconds = _seconds(seconds, table, reader) if seconds else None
                    file = path if os.path.isabs(path) else folder + path
                    yield self._utterance(name or path, file, speaker or None, labels, seconds)
            except UnicodeDecodeError:
                raise ValueError(f"{table}: is not in UTF-8; save it so") from None
            except csv.Error as error:
                raise ValueError(f"{table}: line {reader.line_num}: {error}") from None

    def _utterance(self, name, path, speaker, labels, duration_s=None):
        labels = {k: self.rename.get(v, v) for k, v in labels.items()} if self.rename else labels
        return Utterance(name, path, speaker and one_form(speaker), labels, duration_s)


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


def _fitting(cells, size, table, reader):
    """The cells of a row that has more or fewer than the header; none of an empty line."""
    if any(map(str.strip, cells[size:])):
        raise ValueError(f"{table}: line {reader.line_num} has {len(cells)} cells, the header has {size}")
    return cells[:size] + [""] * (size - len(cells)) if cells else []


def _seconds(text, table, reader):
    """The cell of a duration as a number."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ValueError(f"{table}: line {reader.line_num}: duration_s must be a number of seconds, is '{text}'")
    return seconds
