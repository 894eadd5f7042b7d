"""The convolutional part of the 3-D attention CRNN (Chen et al. 2018)."""

import math

import torch
from torch import nn

from mtlaug_sb.frame_batch_norm import FrameBatchNorm
from mtlaug_sb.masking import strided_lengths, valid_mask, valid_steps
from mtlaug_sb.registry import register


@register("encoder", "acrnn")
class ACRNN(nn.Module):
    """2-D convolutions over time and frequency, one max-pooling after the first, and a linear layer.

    "3-D Convolutional Recurrent Neural Networks With Attention Model for Speech Emotion Recognition", IEEE Signal Processing
    Letters 25(10), 2018; the third dimension is log-mel, deltas and deltas of deltas, as ``features/log_mel`` with
    ``deltas: 2`` gives them. What follows there, a BLSTM with attention and a dense layer, is ``head/blstm_attention``.
    The linear layer is batch-normalised, over valid frames. Padding is zeroed before every layer, so an utterance has the
    same frames alone and in any batch.

    Arguments
    ---------
    input_size : int
        Dimensions of the features: ``n_maps`` times the bands.
    n_maps : int
        Maps of the input, one behind the other in the features.
    channels : list of int
        Maps of each convolution.
    kernel_size : list of int
        Of every convolution, [frames, bands], both odd.
    pooling : list of int
        After the first convolution, [frames, bands]; bands that are left over are dropped.
    linear : int
        Units of the linear layer, the output.
    dropout : float
        Of single values, after every convolution.

    Raises
    ------
    ValueError
        If ``input_size`` is no multiple of ``n_maps``, or a kernel's size is even.

    Example
    -------
    >>> layers = ACRNN(3 * 40, channels=[4, 8], linear=16)(torch.rand(2, 51, 120), torch.ones(2))
    >>> [tuple(frames.shape) for frames, lengths in layers]
    [(2, 26, 16)]
    """

    example = {"input_size": 24, "channels": [4, 6, 6], "linear": 12}

    def __init__(
        self,
        input_size,
        n_maps=3,
        channels=(128, 256, 256, 256, 256, 256),
        kernel_size=(5, 3),
        pooling=(2, 4),
        linear=768,
        dropout=0.0,
    ):
        super().__init__()
        if input_size % n_maps:
            raise ValueError(f"features of {input_size} dimensions are no {n_maps} maps of as many bands each")
        if not all(k % 2 for k in kernel_size):
            raise ValueError(f"kernel_size must be odd, in frames and in bands, is {list(kernel_size)}")
        self.input_size = input_size
        self.n_maps = n_maps
        self.pooling = tuple(pooling)
        padding = [k // 2 for k in kernel_size]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(i, o, tuple(kernel_size), padding=padding) for i, o in zip([n_maps, *channels], channels, strict=False)
        )
        for convolution in self.convolutions:
            # nothing is normalised before the last layer: torch's default would shrink the signal at every one
            nn.init.kaiming_normal_(convolution.weight, a=0.01, nonlinearity="leaky_relu")
            nn.init.zeros_(convolution.bias)
        self.linear = nn.Linear(input_size // n_maps // self.pooling[1] * channels[-1], linear, bias=False)
        self.norm = FrameBatchNorm(linear)
        self.dropout = nn.Dropout(dropout)
        self.output_size = linear

    def forward(self, features, lengths):
        """Frames [batch, ceil(frames / pooling[0]), linear], padding zero, and their lengths: one layer."""
        batch, size, _ = features.shape
        maps = features.reshape(batch, size, self.n_maps, -1).transpose(1, 2)  # [batch, maps, frames, bands]
        for number, convolution in enumerate(self.convolutions):
            maps = nn.functional.leaky_relu(convolution(_silenced(maps, lengths)), 0.01)
            if number == 0:
                maps = self._pool(maps, lengths)
                lengths = strided_lengths(lengths, size, self.pooling[0])
            maps = self.dropout(maps)
        flat = self.linear(maps.transpose(1, 2).flatten(2))
        if self.training:
            speech = valid_steps(lengths, flat.shape[1])
            frames = torch.zeros_like(flat)
            frames[speech] = nn.functional.leaky_relu(self.norm(flat[speech]), 0.01)
        else:  # the statistics are there: no frame has to be left out of them
            normalised = self.norm(flat.flatten(0, 1)).view_as(flat)
            frames = nn.functional.leaky_relu(normalised, 0.01) * valid_mask(lengths, flat.shape[1]).unsqueeze(2)
        return [(frames, lengths)]

    def _pool(self, maps, lengths):
        """Maxima of windows of which the last one of an utterance may be shorter: padding is no candidate."""
        candidates = _silenced(maps, lengths, -math.inf)
        missing = -maps.shape[2] % self.pooling[0]
        return nn.functional.max_pool2d(nn.functional.pad(candidates, (0, 0, 0, missing), value=-math.inf), self.pooling)


def _silenced(maps, lengths, value=0.0):
    """maps [batch, maps, frames, bands] with their padding set to a value."""
    return maps.masked_fill(~valid_mask(lengths, maps.shape[2])[:, None, :, None], value)
