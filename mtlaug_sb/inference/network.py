"""What remains of a training when it is over: front end, normalisation, encoder, and the heads that answer."""

import torch
from torch import nn

from mtlaug_sb.interfaces import ask


class Network(nn.Module):
    """Waveforms to every asked task's predictions.

    Arguments
    ---------
    features, normalization, encoder : nn.Module
        As in training (see ``interfaces``).
    heads : dict
        Task -> head.
    layers : dict
        Task -> the encoder's layer that its head sits on.
    """

    def __init__(self, features, normalization, encoder, heads, layers):
        super().__init__()
        self.features = features
        self.normalization = normalization
        self.encoder = encoder
        self.heads = nn.ModuleDict(heads)
        self.layers = dict(layers)

    def forward(self, wavs, lengths, tasks):
        """{task: predictions by name} of wavs [batch, time], relative lengths [batch]."""
        return self.answer(*self.extract(wavs, lengths), tasks)

    def extract(self, wavs, lengths):
        """Features [batch, frames, dim] and their relative lengths."""
        with torch.autocast(wavs.device.type, enabled=False):  # power spectra do not fit into 16 bits
            return self.features(wavs, lengths)

    def answer(self, features, lengths, tasks):
        """As ``forward``, from features before normalisation."""
        inputs = self.normalization(features, lengths), lengths
        layers = self.encoder(*inputs)
        return {task: ask(self.heads[task], layers[self.layers[task]], inputs) for task in tasks}


def embedding_of(predictions, head):
    """An utterance as a vector [batch, dim]: the embedding of a head that can ``classify`` it, the logits of any other."""
    return predictions["embedding"] if hasattr(head, "classify") else predictions["logits"]


def classified_of(predictions, head):
    """What a head's ``classify`` takes, [batch, dim]; the logits of a head without."""
    parts = getattr(head, "classified", ("embedding",)) if hasattr(head, "classify") else ("logits",)
    return torch.cat([predictions[part] for part in parts], dim=1)
