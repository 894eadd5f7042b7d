"""MSP-IMPROV (Busso et al. 2017): English dyads around target sentences, 12 speakers. Licensed by UT Dallas."""

import pathlib
import re

from mtlaug_sb.corpus_files import files_below, read_text
from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.published_counts import warn_of_differences
from mtlaug_sb.registry import register

EMOTIONS = {"A": "anger", "H": "happiness", "S": "sadness", "N": "neutral", "O": "other", "X": "no_agreement"}
SCENARIOS = {"P": "natural", "R": "target_read", "S": "other_improvised", "T": "target_improvised"}
DIMENSIONS = {"V": "valence", "A": "arousal", "D": "dominance", "N": "naturalness"}
CLIP = re.compile(r"S\d\d([AHSN])-(([FM])\d\d)-([PRST])-[FM][FM]\d+")
HEADER = re.compile(r"(?:UTD|MSP)-IMPROV-([A-Z0-9-]+)\.(?:avi|wav)\s*;\s*([AHSNOX])\s*;(.*)")
RATER = re.compile(r"(\S+)\s*;\s*(Angry|Happy|Sad|Neutral|Other)\b.*", re.IGNORECASE)
VALUE = re.compile(r"([AVDN])\s*:\s*(\d+(?:\.\d+)?)\s*(?=;|$)")  # NaN is no number here
# approximate: the script they are known from allows for 6 %
PUBLISHED = {"anger": 792, "sadness": 885, "happiness": 2644, "neutral": 3477}


@register("corpus", "msp_improv")
class MSPImprov:
    """Reads ``Evalution.txt`` (so the release spells it; or ``Evaluation.txt``) and ``**/MSP-IMPROV-*.wav``.

    Labels: ``emotion`` (anger, happiness, neutral, sadness, other, no_agreement), ``acted_emotion`` (what the target
    sentence was to be played as), ``valence``, ``arousal``, ``dominance``, ``naturalness`` (means over the raters, 1 to 5;
    left out where the file has NaN), ``gender``, ``session``, ``scenario`` (natural, target_read, other_improvised,
    target_improvised), ``n_raters`` and ``agreement`` (share of the raters whose first choice is the clip's emotion; each
    rater counts once for a clip, however often listed).
    """

    def read(self, data_folder):
        """Utterances in order of name; recordings without a label, and labels without a recording, are passed over.

        Raises
        ------
        FileNotFoundError
            If the label file is not there, neither below the folder nor beside it, or none of its recordings.
        ValueError
            If the label file has no label.
        """
        root = pathlib.Path(data_folder)
        texts = [*files_below(root, (".txt",)), *sorted(root.absolute().parent.glob("*.txt"))]
        files = [file for file in texts if file.name.lower() in ("evalution.txt", "evaluation.txt")]
        if not files:
            raise FileNotFoundError(f"no label file 'Evalution.txt' (or 'Evaluation.txt') below '{data_folder}'")
        clips = next(filter(None, map(_read_labels, files)), None)  # other texts bear that name, too
        if clips is None:
            raise ValueError(
                f"{files[0]}: has no line like 'UTD-IMPROV-S01A-F01-P-FM01.avi; A; A:3.0; V:2.0; D:3.0; N:4.0;'"
            )
        found = {}
        for path in files_below(root):
            name = path.stem.removeprefix("MSP-IMPROV-")
            match = CLIP.fullmatch(name)
            if match and name != path.stem and name in clips and name not in found:
                acted, speaker, letter, scenario = match.groups()
                found[name] = clips[name]["emotion"]
                labels = {
                    **clips[name],
                    "acted_emotion": EMOTIONS[acted],
                    "gender": {"F": "female", "M": "male"}[letter],
                    "session": str(int(speaker[1:])),
                    "scenario": SCENARIOS[scenario],
                }
                yield Utterance(path.stem, str(path), speaker, labels)
        if not found:
            raise FileNotFoundError(f"{len(clips)} labels, and none of their recordings below '{data_folder}'")
        warn_of_differences("msp_improv", found.values(), PUBLISHED, tolerance=0.06)


def _read_labels(file):
    """{clip: labels} of the label file: a header line per clip, its raters' lines, an empty line."""
    clips, raters = {}, {}
    clip = None
    for line in map(str.strip, read_text(file).splitlines()):
        if header := HEADER.fullmatch(line):
            clip = header[1]
            values = {DIMENSIONS[key]: float(value) for key, value in VALUE.findall(header[3])}
            clips.setdefault(clip, {"emotion": EMOTIONS[header[2]], **values})
        elif not line:
            clip = None
        elif clip and (rater := RATER.fullmatch(line)):
            raters.setdefault(clip, {}).setdefault(rater[1], EMOTIONS[rater[2][0].upper()])
    for clip, choices in raters.items():
        agreeing = sum(choice == clips[clip]["emotion"] for choice in choices.values())
        clips[clip] |= {"n_raters": len(choices), "agreement": agreeing / len(choices)}
    return clips
