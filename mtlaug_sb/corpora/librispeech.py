"""LibriSpeech (Panayotov et al. 2015): read English, no emotion labels."""

import pathlib

from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.registry import register


@register("corpus", "librispeech")
class LibriSpeech:
    """Reads ``**/<split>/<speaker>/<chapter>/<speaker>-<chapter>-<utterance>.flac``.

    Labels: ``transcript`` (from ``*.trans.txt``), ``gender`` (from ``SPEAKERS.TXT``), where those files are there.

    Arguments
    ---------
    splits : list of str or None
        Such as ["train-clean-100"]; None takes all that are there.
    """

    def __init__(self, splits=None):
        self.splits = splits

    def read(self, data_folder):
        """Utterances in order of name.

        Raises
        ------
        FileNotFoundError
            If a split that was asked for is not there.
        """
        root = pathlib.Path(data_folder)
        genders = _genders(root)
        for split in self.splits or ["."]:
            folders = [root] if split in (".", root.name) else sorted(root.rglob(split))
            if not folders:
                raise FileNotFoundError(f"no split '{split}' below '{data_folder}'")
            chapters = sorted({audio.parent for folder in folders for audio in folder.rglob("*-*-*.flac")})
            for chapter in chapters:
                transcripts = _transcripts(chapter)
                for audio in sorted(chapter.glob("*-*-*.flac")):
                    speaker = audio.stem.partition("-")[0]
                    labels = {"gender": genders.get(speaker), "transcript": transcripts.get(audio.stem)}
                    yield Utterance(audio.stem, str(audio), speaker, {k: v for k, v in labels.items() if v})


def _genders(root):
    """{speaker: gender} from the SPEAKERS.TXT below the folder or beside it."""
    for file in [*sorted(root.rglob("SPEAKERS.TXT")), root.parent / "SPEAKERS.TXT"]:
        if file.is_file():
            lines = file.read_text(encoding="utf-8").splitlines()
            # the fifth field, a name, may hold a bar itself
            fields = [line.split("|", 4) for line in lines if "|" in line and not line.startswith(";")]
            return {f[0].strip(): {"F": "female", "M": "male"}.get(f[1].strip()) for f in fields}
    return {}


def _transcripts(chapter):
    """{utterance: text} from the ``*.trans.txt`` of a chapter's folder."""
    lines = [line for file in chapter.glob("*.trans.txt") for line in file.read_text(encoding="utf-8").splitlines()]
    return dict(line.split(" ", 1) for line in lines if " " in line)
