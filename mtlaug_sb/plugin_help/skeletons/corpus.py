"""A corpus."""

PLUGIN = '''"""The corpus __NAME__."""

import pathlib

import numpy as np
import soundfile

from mtlaug_sb import interfaces, register


@register("corpus", "__NAME__")
class __CLASS__:
    """Reads ``<speaker>/<emotion>_<number>.wav``.

    Labels: ``emotion``, as the file's name says it.

    Arguments
    ---------
    ending : str
        Of the audio files' names.
    """

    def __init__(self, ending=".wav"):
        self.ending = ending

    def read(self, data_folder):
        """Utterances in order of path, the same each time. The id is unique; a label that is unknown is left out.

        Raises
        ------
        FileNotFoundError
            If the folder is not there.
        """
        root = pathlib.Path(data_folder)
        if not root.is_dir():
            raise FileNotFoundError(f"no folder '{data_folder}'")
        for path in sorted(root.glob(f"*/*_*{self.ending}")):
            speaker, emotion = path.parent.name, path.stem.partition("_")[0]
            yield interfaces.Utterance(f"{speaker}_{path.stem}", str(path), speaker, {"emotion": emotion})

    @staticmethod
    def example_folder(folder):
        """Write a few files for the checks."""
        for name in ("s1/anger_1.wav", "s1/sadness_1.wav", "s2/anger_1.wav"):
            path = pathlib.Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, np.zeros(1600), 16000)
'''

TEST = '''"""Test of the corpus __NAME__."""

import pathlib

from mtlaug_sb import load_plugins, make
from mtlaug_sb.testing import check_plugin

load_plugins(str(pathlib.Path(__file__).with_name("__NAME__.py")))


def test_it_keeps_the_contract_of_corpora():
    check_plugin("corpus/__NAME__")


def test_what_it_reads(tmp_path):
    corpus = make("corpus/__NAME__")
    corpus.example_folder(tmp_path)
    first, *_ = utterances = list(corpus.read(tmp_path))
    assert len(utterances) == 3
    assert (first.speaker, first.labels) == ("s1", {"emotion": "anger"})
'''
