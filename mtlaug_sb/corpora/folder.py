"""Any folder of audio, or any table that lists audio files."""

import csv
import io
import pathlib

import soundfile

from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.registry import register


@register("corpus", "folder")
class Folder:
    """Reads every audio file below a folder, or the rows of a CSV.

    A CSV has a column ``path`` (relative to the CSV, or absolute), and any of ``id``, ``speaker`` and further columns,
    which become labels; an empty cell is a missing label. Without a CSV, the files carry no labels, unless
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
        self.rename = rename or {}

    def read(self, data_folder):
        """Utterances in order of path (folder) or of row (CSV).

        Raises
        ------
        FileNotFoundError
            If neither a folder nor a CSV is there.
        ValueError
            If a CSV has no column ``path``, a row an empty one, or another encoding than UTF-8.
        """
        root = pathlib.Path(data_folder)
        if root.is_dir():
            return self._read_folder(root)
        if root.is_file():
            return self._read_table(root)
        raise FileNotFoundError(f"no folder and no CSV file '{data_folder}'")

    def _read_folder(self, root):
        endings = {f".{name.lower()}" for name in soundfile.available_formats()} | {".opus", ".oga", ".aif"}
        for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in endings and not p.name.startswith("._")):
            labels = {self.label_from_folder: path.parent.name} if self.label_from_folder else {}
            yield self._utterance(path.relative_to(root).with_suffix("").as_posix(), path, labels)

    def _read_table(self, table):
        try:
            text = table.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise ValueError(f"{table}: is not in UTF-8; save it so") from None
        with io.StringIO(text, newline="") as file:
            reader = csv.DictReader(file)
            if "path" not in (reader.fieldnames or []):
                raise ValueError(f"{table}: needs a column 'path', has {reader.fieldnames}")
            for row in reader:
                if not row["path"]:
                    raise ValueError(f"{table}: line {reader.line_num} has no path")
                labels = {k: v for k, v in row.items() if k and v and k not in ("path", "id")}
                yield self._utterance(row.get("id") or row["path"], table.parent / row["path"], labels)

    def _utterance(self, name, path, labels):
        speaker = labels.pop("speaker", None)
        return Utterance(name, str(path), speaker, {k: self.rename.get(v, v) for k, v in labels.items()})
