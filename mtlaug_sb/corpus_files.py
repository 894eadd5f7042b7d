"""The files of a corpus, wherever they lie below its folder."""

import os
import pathlib

import soundfile

AUDIO = (".wav", ".flac")
# what soundfile reads; a .raw does not say its rate
READABLE = {f".{name.lower()}" for name in soundfile.available_formats()} - {".raw"} | {".aif", ".oga", ".opus", ".wave"}
NOT_READABLE = {".m4a", ".mp4", ".aac", ".wma", ".webm", ".amr", ".3gp", ".mov"}  # speech is often kept in these


def files_below(folder, endings=AUDIO):
    """Paths of the files below a folder whose ending, in small letters, is one of these; in order.

    Links are followed, and each folder is entered once, so that parts of a corpus may lie elsewhere. Names that begin with
    ``._`` are passed over: macOS leaves such files beside the real ones, and they are none.

    Example
    -------
    >>> files_below("/no/such/folder")
    []
    """
    found, entered = [], set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders.sort()
        real_names = (name for name in names if not name.startswith("._"))
        found += [pathlib.Path(place, name) for name in real_names if os.path.splitext(name)[1].lower() in endings]
    return sorted(found)


def read_text(file):
    """A text file's content; a byte-order mark is left out, and what is not UTF-8 replaced."""
    return pathlib.Path(file).read_text(encoding="utf-8-sig", errors="replace")
