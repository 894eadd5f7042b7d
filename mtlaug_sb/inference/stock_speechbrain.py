"""The same model for SpeechBrain's own EncoderClassifier: files beside a model, and the modules that they name.

``model.ckpt`` is a safetensors file with model.json in its head: the ending is SpeechBrain's wish, nothing is pickled.
"""

import json
import pathlib

import safetensors.torch
import torch
from speechbrain.dataio.encoder import CategoricalEncoder
from speechbrain.utils.checkpoints import mark_as_transfer, register_checkpoint_hooks
from torch import nn

from mtlaug_sb.inference.answers import classify_logits
from mtlaug_sb.inference.model_folder import read_single_file
from mtlaug_sb.inference.network import classified_of
from mtlaug_sb.inference.resampling import Resampler
from mtlaug_sb.inference.sound_file import to_mono
from mtlaug_sb.inference.stock_files import HYPERPARAMS


def write_stock_files(folder, description, network):
    """Write hyperparams.yaml, model.ckpt and label_encoder.ckpt (text) into a model's folder."""
    folder = pathlib.Path(folder)
    (folder / "hyperparams.yaml").write_text(HYPERPARAMS, encoding="utf-8")
    tensors = {k: t.detach().cpu().clone().contiguous() for k, t in network.state_dict().items()}
    (folder / "model.ckpt").write_bytes(safetensors.torch.save(tensors, {"model.json": json.dumps(description)}))
    labels = CategoricalEncoder()
    labels.update_from_iterable(description["tasks"][description["main_task"]]["classes"])
    labels.save(folder / "label_encoder.ckpt")


@register_checkpoint_hooks
class Model(nn.Module):
    """A model that SpeechBrain's Pretrainer fills from ``model.ckpt``, with the checks of ``read_model``."""

    @mark_as_transfer
    def load(self, path):
        """Read description and weights."""
        self.description, self.network = read_single_file(path)
        self.main_task = self.description["main_task"]

    def head(self):
        """The main task's head."""
        return self.network.heads[self.main_task]


class AudioNormalizer:
    """Audio [time, channels] to the model's rate, mono, as ``EmotionRecognizer`` reads it."""

    def __init__(self, model):
        self.model = model

    def __call__(self, audio, sample_rate):
        """Samples [time]."""
        resampler = Resampler(sample_rate, self.model.description["sample_rate"])
        pieces = [resampler.push(to_mono(audio.cpu().numpy())), resampler.finish()]
        return torch.cat([torch.from_numpy(piece) for piece in pieces]).to(audio.device)


class FrontEnd(nn.Module):
    """In place of ``mean_var_norm``: features and normalisation together.

    SpeechBrain gives ``compute_features`` no lengths, so that one passes the waveforms on.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, wavs, lengths):
        """(features [batch, frames, dim], relative lengths of them) of wavs [batch, time]."""
        return self.model.network.extract(wavs, lengths)


class Embedding(nn.Module):
    """``embedding_model``: encoder and head, as far as the embedding."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, features, wav_lens=None):
        """Embeddings [batch, 1, dim], with all that the classifier needs."""
        task = self.model.main_task
        return classified_of(self.model.network.answer(*features, [task])[task], self.model.head()).unsqueeze(1)


class Classifier(nn.Module):
    """``classifier``: from the embedding to probabilities."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, embeddings):
        """Probabilities [batch, 1, classes]."""
        head, description = self.model.head(), self.model.description
        logits = head.classify(embeddings) if hasattr(head, "classify") else embeddings
        names = description["tasks"][self.model.main_task]["classes"]
        scores = classify_logits(logits.squeeze(1), names, description["calibration"]["temperature"], 0.0).scores
        return scores.unsqueeze(1)
