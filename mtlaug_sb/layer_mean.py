"""The layers of a pretrained model as one."""


def layer_mean(layers, scores):
    """The mean of layers, each [batch, frames, dim], weighted by the softmax of ``scores`` [layers] as SUPERB has it.

    Example
    -------
    >>> import torch
    >>> layer_mean([torch.zeros(1, 1, 2), torch.ones(1, 1, 2)], torch.zeros(2))
    tensor([[[0.5000, 0.5000]]])
    """
    return sum(weight * layer for weight, layer in zip(scores.softmax(0), layers, strict=True))
