"""The embedded corpus: a parametric voice that plays four emotions. No licence, no download, no result on people."""

import json
import pathlib

import numpy as np
import soundfile
from tqdm import tqdm

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.registry import register
from mtlaug_sb.voice import EMOTIONS, SAMPLE_RATE, draw_voice, plan, spell, synthesise


@register("corpus", "synthetic")
class Synthetic:
    """Generates its folder on the first reading, in a few seconds; the same settings give the same samples.

    Labels: ``emotion`` (anger, happiness, neutral, sadness), ``gender``, ``transcript`` (of its syllables), ``arousal`` and
    ``valence`` (1 to 5; those of this voice are its level and the melody of its ending).

    Arguments
    ---------
    n_speakers : int
        Half of them female.
    n_utterances : int
        Per speaker and emotion.
    seed : int
        Of everything drawn.
    """

    default_folder = "data/synthetic"
    notice = "The corpus is SYNTHETIC: a parametric voice, to try the toolkit with. Its figures say nothing about people."

    def __init__(self, n_speakers=8, n_utterances=12, seed=0):
        self.settings = {"n_speakers": n_speakers, "n_utterances": n_utterances, "seed": seed}

    def read(self, data_folder):
        """Utterances in order of speaker, emotion and number.

        Raises
        ------
        FileExistsError
            If the folder was generated with other settings, or holds something else.
        """
        folder = pathlib.Path(data_folder)
        stamp = folder / "settings.json"
        if not stamp.exists() and folder.exists() and any(folder.iterdir()):
            raise FileExistsError(f"'{folder}' holds other files; the synthetic corpus needs a folder of its own")
        found = json.loads(stamp.read_text()) if stamp.exists() else {}
        complete = found.pop("complete", False)
        if found and found != self.settings:
            raise FileExistsError(f"'{folder}' was generated with {found}, not {self.settings}; remove it")
        if not complete:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(stamp, json.dumps(self.settings))
            self._generate(folder)
            write_atomically(stamp, json.dumps({**self.settings, "complete": True}))
        for path, voice, emotion, seed in self._plan(folder):
            delivery, syllables = plan(voice, emotion, np.random.default_rng(seed))
            labels = {
                "emotion": emotion,
                "gender": voice.gender,
                "transcript": spell(syllables),
                "arousal": round(float(np.clip(3 + delivery.level / 7, 1, 5)), 3),
                "valence": round(float(np.clip(3 + delivery.ending / 2.5, 1, 5)), 3),
            }
            yield Utterance(path.stem, str(path), voice.name, labels)

    def _generate(self, folder):
        for path, voice, emotion, seed in tqdm(list(self._plan(folder)), desc="synthesising", unit="file", leave=False):
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, synthesise(voice, emotion, np.random.default_rng(seed)), SAMPLE_RATE, "PCM_16")

    def _plan(self, folder):
        """(path, voice, emotion, seed) of every utterance."""
        seed = self.settings["seed"]
        for s in range(self.settings["n_speakers"]):
            voice = draw_voice(f"s{s + 1:02}", ("female", "male")[s % 2], np.random.default_rng([seed, s]))
            for e, emotion in enumerate(EMOTIONS):
                for k in range(self.settings["n_utterances"]):
                    yield folder / voice.name / f"{voice.name}_{emotion}_{k:02}.wav", voice, emotion, [seed, s, e, k]


@register("corpus", "synthetic_unlabelled")
class SyntheticUnlabelled(Synthetic):
    """More of the embedded corpus without its emotions: other voices that speak, as LibriSpeech's would.

    Labels: ``gender``, ``transcript``. Arguments as of ``corpus/synthetic``; the same seed gives the same voices there.
    """

    default_folder = "data/synthetic_unlabelled"
    notice = (
        "The unlabelled speech is SYNTHETIC, to try the toolkit with: name speech of people with --unlabelled_corpus and "
        "--unlabelled_folder"
    )

    def __init__(self, n_speakers=6, n_utterances=6, seed=1):
        super().__init__(n_speakers, n_utterances, seed)

    def read(self, data_folder):
        """As ``corpus/synthetic``."""
        for utterance in super().read(data_folder):
            kept = {name: utterance.labels[name] for name in ("gender", "transcript")}
            yield Utterance(utterance.id, utterance.path, utterance.speaker, kept)
