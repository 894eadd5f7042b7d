"""DEMAND (Thiemann, Ito, Vincent 2013): 18 noisy environments, five minutes each, on 16 microphones."""

import re

from mtlaug_sb.corpus_files import files_below
from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.published_counts import warn_of_differences
from mtlaug_sb.registry import register

ENVIRONMENTS = (
    *("DKITCHEN", "DLIVING", "DWASHING", "NFIELD", "NPARK", "NRIVER", "OHALLWAY", "OMEETING", "OOFFICE"),
    *("PCAFETER", "PRESTO", "PSTATION", "SCAFE", "SPSQUARE", "STRAFFIC", "TBUS", "TCAR", "TMETRO"),
)
FOLDER = re.compile(r"([A-Z]+?)(?:_\d+k)?", re.IGNORECASE)
CHANNEL = re.compile(r"ch\d\d", re.IGNORECASE)


def environment_of(paths):
    """The environment whose channels the files of one folder are, in capitals; None where they are anything else."""
    match = FOLDER.fullmatch(paths[0].parent.name)
    channels_only = all(CHANNEL.fullmatch(path.stem) for path in paths)
    return match[1].upper() if match and channels_only else None


@register("corpus", "demand")
class DEMAND:
    """Reads ``**/<ENVIRONMENT>/ch01.wav`` (or .flac); the folder may end in ``_16k`` or ``_48k``.

    Only the first of the 16 channels: all of them recorded the same scene, and would be in training and test at once. A
    folder that holds anything else is none of them. Of an environment that is there at several rates, one is taken. Label:
    ``environment`` (DKITCHEN, TCAR, ...).

    Any other noise, a folder per environment, is read by ``corpus/folder`` with ``label_from_folder: environment``.
    """

    def read(self, data_folder):
        """One recording per environment, in order of name, without a speaker."""
        places, found = {}, {}
        for path in files_below(data_folder):
            places.setdefault(path.parent, []).append(path)
        for paths in places.values():
            environment, first = environment_of(paths), [p for p in paths if p.stem.lower() == "ch01"]
            if environment and first:
                found.setdefault(environment, first[0])
        for environment, path in sorted(found.items()):
            yield Utterance(environment, str(path), None, {"environment": environment})
        warn_of_differences("demand", found, dict.fromkeys(ENVIRONMENTS, 1))
