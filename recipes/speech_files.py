"""What the recipes that answer share: audio files below paths, labels of which one is asked for, the one speaker."""

import pathlib
import sys

from tqdm import tqdm

from mtlaug_sb.corpus_files import READABLE
from mtlaug_sb.options import parse_names


def add_answer_options(parser):
    """``--among`` and ``--speaker``."""
    parser.add_argument("--among", type=parse_names, metavar="LABELS", help="of which one is the answer: anger,neutral")
    parser.add_argument(
        "--speaker",
        nargs="+",
        metavar="PATH",
        type=pathlib.Path,
        help="recordings of the one speaker who is heard, some eight or more and of all moods, perhaps those that are to be "
        "answered: answers go by what is usual for them",
    )


def adapt_to_speaker(model, paths):
    """Let a model answer for the speaker of ``--speaker``; a file that cannot be used is said.

    Raises
    ------
    FileNotFoundError
        If there is no file, or one of the paths is missing.
    """
    missing = []
    files = list(find_files(paths, missing))
    if missing or not files:
        raise FileNotFoundError(f"--speaker: no audio file {', '.join(map(str, missing or paths))}")
    model.adapt_to_speaker(files, lambda _, error: tqdm.write(f"--speaker: {error}", sys.stderr))


def find_files(paths, missing):
    """The files, and of folders the audio files below them, in order; what is not there joins ``missing``."""
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if _is_audio(p))
        elif path.exists():
            yield path
        else:
            missing.append(path)


def _is_audio(path):
    return path.suffix.lower() in READABLE and not path.name.startswith(".") and path.is_file()
