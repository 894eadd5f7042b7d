"""CREMA-D (Cao et al. 2014): American English, acted, 91 speakers, with listeners' votes."""

import csv
import pathlib
import re

from mtlaug_sb.corpus_files import files_below, read_text
from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.published_counts import warn_of_differences
from mtlaug_sb.registry import register

EMOTIONS = {
    "ANG": "anger",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happiness",
    "NEU": "neutral",
    "SAD": "sadness",
}
VOTES = {name[0]: emotion for name, emotion in EMOTIONS.items()}
INTENSITIES = {"LO": 1.0, "MD": 2.0, "HI": 3.0}
# actors 1001 to 1091; one file's level is X
NAME = re.compile(r"(10(?:0[1-9]|[1-8]\d|9[01]))_([A-Z]{3})_(ANG|DIS|FEA|HAP|NEU|SAD)_(LO|MD|HI|XX?)")
PUBLISHED = dict.fromkeys(EMOTIONS.values(), 1271) | {"neutral": 1087}


@register("corpus", "cremad")
class CREMAD:
    """Reads ``**/<actor>_<sentence>_<emotion>_<level>.wav`` (or .flac), ``VideoDemographics.csv``, ``summaryTable.csv``.

    Labels: ``emotion`` (anger, disgust, fear, happiness, neutral, sadness), ``acted_emotion``, ``perceived_emotion``
    (what most listeners heard in the voice alone; unknown for a tie), ``intensity`` (1.0 low, 2.0 medium, 3.0 high; one
    sentence has levels), ``text``, ``gender``, ``age`` (years).

    Arguments
    ---------
    label : str
        "acted": ``emotion`` is what was to be played, from the file's name. "perceived": it is what listeners heard, from
        ``summaryTable.csv``; recordings with a tie, or without votes, are left out.

    Raises
    ------
    ValueError
        If ``label`` is another.
    """

    def __init__(self, label="acted"):
        if label not in ("acted", "perceived"):
            raise ValueError(f"label must be 'acted' or 'perceived', is {label!r}")
        self.label = label

    def read(self, data_folder):
        """Utterances in order of path, each once.

        Raises
        ------
        FileNotFoundError
            If the perceived label is asked for and ``summaryTable.csv`` is not there.
        ValueError
            If a table lacks a column.
        """
        root = pathlib.Path(data_folder)
        people = {row["ActorID"]: row for row in _table(root, "VideoDemographics.csv", ("ActorID", "Age", "Sex")) or []}
        votes = _table(root, "summaryTable.csv", ("FileName", "VoiceVote"))
        if self.label == "perceived" and votes is None:
            raise FileNotFoundError(f"no 'summaryTable.csv' below or beside '{data_folder}': the perceived label is in it")
        perceived = {_key(row["FileName"]): VOTES.get(row["VoiceVote"].strip()) for row in votes or []}
        acted = {}
        for path in files_below(root):
            match = NAME.fullmatch(path.stem)
            if not match or path.stem in acted:
                continue
            actor, text, emotion, level = match.groups()
            acted[path.stem] = EMOTIONS[emotion]
            labels = {
                "acted_emotion": EMOTIONS[emotion],
                "perceived_emotion": perceived.get(_key(path.stem)),
                "intensity": INTENSITIES.get(level),
                "text": text,
                **_person(people.get(actor)),
            }
            labels["emotion"] = labels[f"{self.label}_emotion"]
            if labels["emotion"]:
                yield Utterance(path.stem, str(path), actor, {k: v for k, v in labels.items() if v is not None})
        warn_of_differences("cremad", acted.values(), PUBLISHED)


def _key(name):
    """A recording's name in the table: there, every unspecified level is XX."""
    return re.sub("_X$", "_XX", name.strip())


def _person(row):
    """Gender and age from a row of the demographics, as far as they are known."""
    if row is None:
        return {}
    age = row["Age"].strip()
    return {"gender": row["Sex"].strip().lower() or None, "age": float(age) if age.replace(".", "", 1).isdigit() else None}


def _table(root, name, columns):
    """Rows of a CSV below the folder, or beside it as where the folder is AudioWAV; None where there is none."""
    below = [file for file in files_below(root, (".csv",)) if file.name == name]
    for file in (*below, root.parent / name, root.parent / "processedResults" / name):
        if file.is_file():
            table = csv.DictReader(read_text(file).splitlines(), restval="")
            if missing := set(columns) - set(table.fieldnames or []):
                stub = "; it is a Git LFS pointer: get the table itself" if "git-lfs" in str(table.fieldnames) else ""
                raise ValueError(f"{file}: has no column '{min(missing)}'{stub}")
            return list(table)
    return None
