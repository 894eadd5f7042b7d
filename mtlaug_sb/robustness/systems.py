"""The systems that can be tested: waveforms to probabilities of the classes."""

import json
import pathlib

import numpy as np
import torch

from mtlaug_sb.baselines.functionals import Functionals
from mtlaug_sb.baselines.linear_svm import LinearSVM, standardiser
from mtlaug_sb.dataio.manifest import read_manifest
from mtlaug_sb.inference import EmotionRecognizer
from mtlaug_sb.inference.adaptation import adapt, statistics_of, use_statistics
from mtlaug_sb.inference.network import embedding_of
from mtlaug_sb.inference.padded_batches import padded_batches
from mtlaug_sb.inference.settings import SPEEDS


class TrainedNetwork:
    """A run's model folder.

    Arguments
    ---------
    folder : str
        Of the run.
    device : str
        "cpu", "cuda", ...
    batch_size : int
        Utterances at a time.
    plugins : list of str
        Python files that the model needs: the caller vouches for them.
    speeds : list of int
        In percent, over which its answers are averaged, beside the utterance's own; the embeddings are not.

    Attributes
    ----------
    classes : list of str
        In the order of the probabilities.
    sample_rate : int
        Hz, of the waveforms it takes.
    """

    def __init__(self, folder, device="cpu", batch_size=16, plugins=(), speeds=()):
        settings = {SPEEDS: speeds} if speeds else {}
        self.model = EmotionRecognizer.from_hparams(folder, overrides=settings, run_opts={"device": device}, plugins=plugins)
        self.network, self.device, self.batch_size = self.model.network, device, batch_size
        self.classes, self.sample_rate = self.model.labels, self.model.sample_rate
        self.of_training = statistics_of(self.network)

    def probabilities(self, wavs):
        """[utterances, classes], float64, of samples [time] each; as in predictions.csv, not calibrated."""
        return self._answers(wavs, lambda predictions: predictions["logits"].double().softmax(1))

    def embeddings(self, wavs):
        """[utterances, dim]: what the main task's head makes of each utterance."""
        head = self.network.heads[self.model.main_task]
        return self._answers(wavs, lambda predictions: embedding_of(predictions, head))

    def adapt_to(self, wavs_of, self_training=False, relevance=0.0):
        """Normalise, also in the batch normalisations, by the statistics of {whose: samples [time] each}; see ``adapt``."""
        batches_of = {
            whose: [
                (padded.to(self.device), lengths.to(self.device))
                for _, padded, lengths in padded_batches(wavs, self.batch_size)
            ]
            for whose, wavs in wavs_of.items()
        }
        use_statistics(self.network, self.of_training)
        self.statistics = adapt(self.network, batches_of, [self.model.main_task], self_training, relevance)

    def turn_to(self, whose):
        """Take the statistics of one of those that ``adapt_to`` was given."""
        use_statistics(self.network, self.statistics[whose])

    @torch.inference_mode()
    def _answers(self, wavs, read):
        answers = [None] * len(wavs)
        for rows, padded, lengths in padded_batches(wavs, self.batch_size):
            predictions = self.model.predict(padded.to(self.device), lengths.to(self.device), [self.model.main_task])
            for i, answer in zip(rows, read(predictions[self.model.main_task]).cpu(), strict=True):
                answers[i] = answer
        return torch.stack(answers)


class FunctionalsSVM:
    """A cell of recipes/svm_baseline.py: its training functionals are read again, with the C that it chose.

    Arguments
    ---------
    folder : str
        Of the cell.
    read_audio : AudioReader
        For training recordings whose functionals are no longer kept.
    feature_folder : str
        Where they are kept.
    """

    def __init__(self, folder, read_audio, feature_folder):
        results = json.loads((pathlib.Path(folder) / "results.json").read_text(encoding="utf-8"))
        self.classes, self.sample_rate = results["classes"], read_audio.sample_rate
        self.functionals = Functionals(results["feature_set"], feature_folder)
        records = read_manifest(pathlib.Path(folder) / "save" / "train.json").values()
        truths = [self.classes.index(str(r[results["class_label"]])) for r in records]
        x = [self.functionals(r["recording"], lambda r=r: read_audio(r["path"]), self.sample_rate) for r in records]
        self.training = np.stack(x)
        self.svm = LinearSVM().refit(self.training, truths, results["C"], results["sharpness"])

    def probabilities(self, wavs):
        """[utterances, classes], float64, of samples [time] each."""
        return torch.from_numpy(self.svm.probabilities(self._features(wavs)))

    def adapt_to(self, wavs_of, self_training=False, relevance=0.0):
        """Standardise functionals by mean and deviation of {whose: samples [time] each}, as ``adapt`` does."""
        if self_training:
            raise ValueError("self-training is for heads that can adapt, and an SVM is none")
        self.scales = {
            whose: standardiser(self._features(wavs), self.training, relevance) for whose, wavs in wavs_of.items()
        }
        self.turn_to(next(iter(self.scales)))

    def turn_to(self, whose):
        """Take the statistics of one of those that ``adapt_to`` was given."""
        self.svm.scale = self.scales[whose]

    def _features(self, wavs):
        return np.stack([self.functionals.compute(wav.numpy(), self.sample_rate) for wav in wavs])
