"""The layers of a pretrained model."""

from torch import nn


def layer_mean(layers, scores):
    """The mean of layers, each [batch, frames, dim], weighted by the softmax of ``scores`` [layers] as SUPERB has it.

    Example
    -------
    >>> import torch
    >>> layer_mean([torch.zeros(1, 1, 2), torch.ones(1, 1, 2)], torch.zeros(2))
    tensor([[[0.5000, 0.5000]]])
    """
    return sum(weight * layer for weight, layer in zip(scores.softmax(0), layers, strict=True))


def check_layers(input_size, n_layers):
    """Raise a ValueError if so many layers do not divide the dimensions."""
    if n_layers < 1 or input_size % n_layers:
        raise ValueError(f"{n_layers} layers do not divide {input_size} dimensions")


def layer_deviations(features, n_layers):
    """Means and deviations, each [batch, frames, layers, dim], of layers side by side, with their deviations last."""
    layers = features.unflatten(2, (n_layers, 2, -1))
    return layers[:, :, :, 0], layers[:, :, :, 1]


def normalized_layers(features, n_layers):
    """Layers that stand side by side in each frame, [batch, frames, layers, dim], each with mean 0 and variance 1 there."""
    layers = features.unflatten(2, (n_layers, -1))
    return nn.functional.layer_norm(layers, layers.shape[3:])
