"""RAVDESS (Livingstone and Russo 2018): North American English, acted, 24 speakers."""

import re

from mtlaug_sb.corpus_files import files_below
from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.published_counts import warn_of_differences
from mtlaug_sb.registry import register

EMOTIONS = {
    "01": "neutral",
    "02": "calm",
    "03": "happiness",
    "04": "sadness",
    "05": "anger",
    "06": "fear",
    "07": "disgust",
    "08": "surprise",
}
PUBLISHED = dict.fromkeys(EMOTIONS.values(), 192) | {"neutral": 96}
NAME = re.compile(r"03-01-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])")


@register("corpus", "ravdess")
class RAVDESS:
    """Reads the audio-only speech, ``**/03-01-EE-II-SS-RR-AA.wav`` (or .flac); songs are passed over.

    Labels: ``emotion`` (anger, calm, disgust, fear, happiness, neutral, sadness, surprise), ``gender``, ``intensity``
    (1.0 normal, 2.0 strong), ``text``.
    """

    def read(self, data_folder):
        """Utterances in order of name, each once: some copies of the corpus hold every file twice."""
        found = {}
        for path in files_below(data_folder):
            match = NAME.fullmatch(path.stem)
            if match and path.stem not in found:
                emotion, intensity, statement, _, actor = match.groups()
                found[path.stem] = EMOTIONS[emotion]
                labels = {
                    "emotion": EMOTIONS[emotion],
                    "gender": "male" if int(actor) % 2 else "female",
                    "intensity": float(intensity),
                    "text": statement,
                }
                yield Utterance(path.stem, str(path), actor, labels)
        warn_of_differences("ravdess", found.values(), PUBLISHED)
