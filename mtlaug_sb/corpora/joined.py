"""Several corpora as one: their names stand before those of speakers and utterances, their labels get one set of names."""

import os
import pathlib
from collections import Counter
from dataclasses import replace

from mtlaug_sb.registry import make, plugins, register
from mtlaug_sb.unicode_form import one_form

KEYS = ("corpus", "folder", "options", "map", "speakers")


@register("corpus", "joined")
class Joined:
    """Reads one corpus after the other. Speaker 03 of emodb becomes ``emodb/03``, and so do the utterances.

    Labels: those of the corpora. Where no speaker of a corpus is known, all its utterances count as those of one,
    ``<name>/unknown``, so that they stay together.

    Arguments
    ---------
    corpora : dict
        Name -> folder, where the name is that of the reader; or name -> a mapping of ``corpus`` (the reader, by default
        called as the name), ``folder``, ``options`` (of the reader), ``map`` (label -> {its value there: the value here})
        and ``speakers`` (a list: these only).

    Raises
    ------
    ValueError
        If there is no corpus, or one is stated otherwise.

    Example
    -------
    >>> corpus = Joined({"ravdess": {"folder": "/corpora/ravdess", "map": {"emotion": {"calm": "neutral"}}}})
    """

    default_folder = "."  # the corpora's own folders are relative to data_folder, or absolute
    example = {"corpora": {"a": {"corpus": "folder", "folder": "a"}, "b": {"corpus": "folder", "folder": "b"}}}

    def __init__(self, corpora):
        if not isinstance(corpora, dict) or not corpora:
            raise ValueError(f"corpora must be {{name: folder or mapping}}, is {corpora!r}")
        self.corpora = {str(name): _stated(str(name), stated) for name, stated in corpora.items()}

    def read(self, data_folder):
        """Utterances in the order of the corpora.

        Raises
        ------
        FileNotFoundError
            If a corpus has no utterance.
        ValueError
            If ``map`` names a label's value, or ``speakers`` a speaker, that a corpus does not have; or if two of the
            corpora have speakers in common: the same people would go by two names.
        """
        people = {}  # reader, folder, speaker -> name
        for name, stated in self.corpora.items():
            reader = make(f"corpus/{stated['corpus']}", **(stated.get("options") or {}))
            folder = stated.get("folder") or getattr(reader, "default_folder", None)
            if folder is None:
                raise ValueError(f"corpus '{name}' needs its folder: corpora: {{{name}: FOLDER}}")
            utterances = list(reader.read(str(pathlib.Path(data_folder) / folder)))
            if not utterances:
                raise FileNotFoundError(f"no utterance of corpus '{name}' below '{folder}'")
            if all(u.speaker is None for u in utterances):
                utterances = [replace(u, speaker="unknown") for u in utterances]
            utterances = _of_speakers(name, utterances, stated.get("speakers"))
            place = stated["corpus"], os.path.realpath(pathlib.Path(data_folder) / folder)
            for speaker in sorted({u.speaker for u in utterances} - {None}):
                if (other := people.setdefault((*place, speaker), name)) != name:
                    raise ValueError(
                        f"corpora '{other}' and '{name}' are one, and speaker '{speaker}' is in both: state it once, or "
                        "give each its 'speakers'"
                    )
            for label, values in (stated.get("map") or {}).items():
                utterances = _mapped(name, utterances, label, values)
            for u in utterances:
                speaker = u.speaker and f"{name}/{u.speaker}"
                yield replace(u, id=f"{name}/{u.id}", speaker=speaker, labels={**u.labels, "corpus": name})

    @staticmethod
    def example_folder(folder):
        """Write a file per corpus for the checks."""
        for name in ("a", "b"):
            (pathlib.Path(folder) / name).mkdir()
            (pathlib.Path(folder) / name / "x.wav").touch()


def _stated(name, stated):
    stated = {"folder": stated} if stated is None or isinstance(stated, str | pathlib.Path) else stated
    if not isinstance(stated, dict):
        raise ValueError(f"corpus '{name}' must be a folder or a mapping of {', '.join(KEYS)}, is {stated!r}")
    if unknown := [key for key in stated if key not in KEYS]:
        raise ValueError(f"corpus '{name}' has no key '{unknown[0]}'; the keys are {', '.join(KEYS)}")
    if "/" in name:
        raise ValueError(f"a corpus' name stands before a '/' in its speakers' names: '{name}' must have none")
    if "corpus" not in stated and ("corpus", name) not in plugins():
        how = f"{{{name}: {{corpus: folder, folder: ...}}}}"
        readers = ", ".join(other for kind, other in plugins() if kind == "corpus")
        raise ValueError(f"no reader is called '{name}': say which one reads it, {how}; there are {readers}")
    for label, values in (stated.get("map") or {}).items():
        if not isinstance(values, dict):
            raise ValueError(f"corpus '{name}': map must be {{label: {{value there: value here}}}}, has {label}: {values!r}")
    return {"corpus": name, **stated}


def _of_speakers(name, utterances, speakers):
    if speakers is None:
        return utterances
    asked, there = {one_form(str(s)) for s in speakers}, {u.speaker for u in utterances}
    if missing := sorted(asked - there):
        raise ValueError(f"corpus '{name}' has no speaker '{missing[0]}'; it has {', '.join(sorted(there - {None}))}")
    return [u for u in utterances if u.speaker in asked]


def _mapped(name, utterances, label, values):
    values = {one_form(str(old)): one_form(new) if isinstance(new, str) else new for old, new in values.items()}
    there = Counter(str(u.labels[label]) for u in utterances if label in u.labels)
    if missing := [value for value in values if value not in there]:
        raise ValueError(
            f"corpus '{name}' has no {label} '{missing[0]}' to map; it has {', '.join(sorted(there)) or 'none'}"
        )
    return [
        replace(u, labels={**u.labels, label: values.get(str(u.labels[label]), u.labels[label])}) if label in u.labels else u
        for u in utterances
    ]
