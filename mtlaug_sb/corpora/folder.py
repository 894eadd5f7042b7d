"""Any folder of audio, or any table that lists audio files."""

import logging
import pathlib
from collections import Counter

from mtlaug_sb.corpus_files import NOT_READABLE, READABLE, files_below
from mtlaug_sb.corpus_table import UtteranceTable
from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.registry import register
from mtlaug_sb.unicode_form import one_form

logger = logging.getLogger(__name__)


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
            return UtteranceTable(root, self.rename)
        raise FileNotFoundError(f"no folder and no CSV file '{data_folder}'")

    def _read_folder(self, root):
        files = files_below(root, READABLE | NOT_READABLE)
        if others := Counter(ending for path in files if (ending := path.suffix.lower()) in NOT_READABLE):
            listed = ", ".join(f"{n} {ending}" for ending, n in sorted(others.items()))
            logger.warning("%s: passed over %s, which cannot be read: what is only there must be converted", root, listed)
        for path in (path for path in files if path.suffix.lower() in READABLE):
            labels = {self.label_from_folder: one_form(path.parent.name)} if self.label_from_folder else {}
            speaker = labels.pop("speaker", None)
            labels = {label: self.rename.get(value, value) for label, value in labels.items()}
            yield Utterance(path.relative_to(root).with_suffix("").as_posix(), str(path), speaker, labels)
