"""EMODB, the Berlin Database of Emotional Speech (Burkhardt et al. 2005): German, acted, 10 speakers."""

import re

from mtlaug_sb.corpus_files import files_below
from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.published_counts import warn_of_differences
from mtlaug_sb.registry import register

EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "happiness",
    "T": "sadness",
    "N": "neutral",
}
MALE = {"03", "10", "11", "12", "15"}
PUBLISHED = {
    "anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "happiness": 71, "sadness": 62, "neutral": 79,
}  # fmt: skip
NAME = re.compile(r"(\d\d)([ab]\d\d)([WLEAFTN])([a-z])")


@register("corpus", "emodb")
class EMODB:
    """Reads ``**/<speaker><text><emotion><version>.wav`` (or .flac): emotion, gender, text.

    Labels: ``emotion`` (anger, boredom, disgust, fear, happiness, neutral, sadness), ``gender``, ``text``.
    """

    def read(self, data_folder):
        """Utterances in order of path, each once; files with other names are not EMODB's and are passed over."""
        found = {}
        for path in files_below(data_folder):
            match = NAME.fullmatch(path.stem)
            if match and path.stem not in found:
                speaker, text, emotion, _ = match.groups()
                found[path.stem] = EMOTIONS[emotion]
                labels = {
                    "emotion": EMOTIONS[emotion],
                    "gender": "male" if speaker in MALE else "female",
                    "text": text,
                }
                yield Utterance(path.stem, str(path), speaker, labels)
        warn_of_differences("emodb", found.values(), PUBLISHED)
