"""LibriSpeech (Panayotov et al. 2015), and mini LibriSpeech: read English, no emotion labels."""

import itertools
import logging
import pathlib
import random

import soundfile

from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.registry import register

logger = logging.getLogger(__name__)


@register("corpus", "librispeech")
class LibriSpeech:
    """Reads ``**/<split>/<speaker>/<chapter>/<speaker>-<chapter>-<utterance>.flac`` (or .wav).

    Labels: ``transcript`` (from ``*.trans.txt``), ``gender`` (from ``SPEAKERS.TXT``), where those files are there.

    Arguments
    ---------
    splits : list of str or None
        Such as ["train-clean-100"], or ["train-clean-5"] of mini LibriSpeech; None takes all that are there.
    hours : float or None
        Draw utterances until there is so much speech: from all speakers in turn, so that each has about as much. None
        takes everything.
    seed : int
        Of that draw.

    Raises
    ------
    ValueError
        If ``hours`` is not above 0.
    """

    def __init__(self, splits=None, hours=None, seed=0):
        if hours is not None and not hours > 0:
            raise ValueError(f"hours must be above 0, is {hours!r}")
        self.splits = splits
        self.hours = hours
        self.seed = seed

    def read(self, data_folder):
        """Utterances in order of split and name.

        Raises
        ------
        FileNotFoundError
            If a split that was asked for is not there.
        """
        root = pathlib.Path(data_folder)
        genders = _genders(root)
        files = self._files(root)
        drawn = set(files) if self.hours is None else self._draw(files)
        for chapter, audios in itertools.groupby((f for f in files if f in drawn), key=lambda f: f.parent):
            transcripts = _transcripts(chapter)
            for audio in audios:
                speaker = audio.stem.partition("-")[0]
                labels = {"gender": genders.get(speaker), "transcript": transcripts.get(audio.stem)}
                yield Utterance(audio.stem, str(audio), speaker, {k: v for k, v in labels.items() if v})

    def _files(self, root):
        """All audio files of the splits."""
        files = {}
        for split in self.splits or ["."]:
            folders = [root] if split in (".", root.name) else sorted(root.rglob(split))
            if not folders:
                raise FileNotFoundError(f"no split '{split}' below '{root}'")
            found = {p for folder in folders for p in folder.rglob("*-*-*.*") if p.suffix in (".flac", ".wav")}
            # as keys: a split that is asked for twice is there once
            files |= dict.fromkeys(sorted(p for p in found if not p.name.startswith("._")))
        return list(files)

    def _draw(self, files):
        """So many hours of the files, a set: every speaker's, shuffled, in turn."""
        generator = random.Random(self.seed)
        by_speaker = {}
        # by name, so that the draw does not depend on where the corpus lies
        for file in sorted(files, key=lambda f: f.name):
            by_speaker.setdefault(file.name.partition("-")[0], []).append(file)
        speakers = sorted(by_speaker)
        generator.shuffle(speakers)
        for speaker in speakers:
            generator.shuffle(by_speaker[speaker])
        left, drawn = self.hours * 3600, set()
        for turn in itertools.zip_longest(*(by_speaker[s] for s in speakers)):
            for file in turn:
                if file is not None and left > 0:
                    drawn.add(file)
                    left -= _duration_s(file)
        if left > 0:
            logger.warning("corpus 'librispeech' has %.1f h, not the %g h asked for", self.hours - left / 3600, self.hours)
        return drawn


def _duration_s(file):
    """Seconds of a file by its header; 0 of one that cannot be read, which whoever reads it will refuse."""
    try:
        return soundfile.info(file).duration
    except soundfile.SoundFileError:
        return 0.0


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
