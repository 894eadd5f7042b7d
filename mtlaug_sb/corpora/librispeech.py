"""LibriSpeech (Panayotov et al. 2015), and mini LibriSpeech: read English, no emotion labels."""

import itertools
import logging
import pathlib
import random
import re

import soundfile

from mtlaug_sb.corpus_files import files_below, read_text
from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.registry import register

logger = logging.getLogger(__name__)
NAME = re.compile(r"\d+-\d+-\d{4}")


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
        self.splits = [splits] if isinstance(splits, str) else splits
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
        """All audio files of the splits, each utterance once: mini LibriSpeech is a part of LibriSpeech."""
        below = [file for file in files_below(root) if NAME.fullmatch(file.stem)]
        files = {}
        for split in self.splits or ["."]:
            found = below if split in (".", root.name) else [f for f in below if split in f.relative_to(root).parts[:-1]]
            if self.splits and not found:
                raise FileNotFoundError(f"no split '{split}' below '{root}'")
            for file in found:
                files.setdefault(file.stem, file)
        return list(files.values())

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
    below = [file for file in files_below(root, (".txt",)) if file.name == "SPEAKERS.TXT"]
    for file in [*below, root.parent / "SPEAKERS.TXT"]:
        if file.is_file():
            lines = read_text(file).splitlines()
            # the fifth field, a name, may hold a bar itself
            fields = [line.split("|", 4) for line in lines if "|" in line and not line.startswith(";")]
            return {f[0].strip(): {"F": "female", "M": "male"}.get(f[1].strip()) for f in fields}
    return {}


def _transcripts(chapter):
    """{utterance: text} from the ``*.trans.txt`` of a chapter's folder."""
    files = [file for file in sorted(chapter.glob("*.trans.txt")) if not file.name.startswith("._")]
    lines = [line for file in files for line in read_text(file).splitlines()]
    return dict(line.split(" ", 1) for line in lines if " " in line)
