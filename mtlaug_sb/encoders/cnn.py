"""1-D convolutions over time."""

import math

import torch
import torchaudio
from torch import nn

from mtlaug_sb.frame_batch_norm import FrameBatchNorm
from mtlaug_sb.masking import strided_lengths, valid_mask, valid_steps
from mtlaug_sb.registry import register


@register("encoder", "cnn")
class CNN(nn.Module):
    """A stack of 1-D convolutions over time, each with batch normalisation and ReLU.

    Padding is zeroed after every layer and is left out of the batch statistics, so an utterance has the same frames
    alone and in any batch.

    Arguments
    ---------
    input_size : int
        Dimensions of the features.
    channels : list of int
        Output channels of each layer.
    kernel_sizes, strides : list of int
        In frames, one per layer. Kernels are odd, or one more than odd where the layer strides.
    dropout : float
        Before every layer but the first. What a layer gives to the heads has nothing dropped: zeros here and there would
        change the deviations and percentiles that a head takes of it, in training only.
    input_dropout : float
        Whole dimensions of the features (mel bands, say) left out in training, before the first layer.
    skip : bool
        The top frames end with the features themselves, each the mean over the frame's time.
    skip_cepstra : int
        And with so many cepstral coefficients of these (their cosine transform): how the spectrum's shape varied cannot be
        told from how each band varied.

    Example
    -------
    >>> layers = CNN(40, channels=[8, 6], kernel_sizes=[8, 5], strides=[4, 2])(torch.rand(2, 50, 40), torch.ones(2))
    >>> [tuple(frames.shape) for frames, lengths in layers]
    [(2, 13, 8), (2, 7, 6)]
    """

    def __init__(
        self,
        input_size,
        channels=(96, 96, 96),
        kernel_sizes=(8, 5, 5),
        strides=(4, 1, 1),
        dropout=0.2,
        input_dropout=0.0,
        skip=False,
        skip_cepstra=0,
    ):
        super().__init__()
        layers = list(zip([input_size, *channels], channels, kernel_sizes, strides, strict=False))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(i, o, kernel, stride, padding=(kernel - 1) // 2, bias=False) for i, o, kernel, stride in layers
        )
        self.norms = nn.ModuleList(FrameBatchNorm(o) for _, o, _, _ in layers)
        self.dropout = nn.Dropout(dropout)
        self.input_dropout = nn.Dropout1d(input_dropout)
        self.skip, self.skip_cepstra = skip, skip_cepstra
        cosines = torchaudio.functional.create_dct(input_size, input_size, norm="ortho")[:, :skip_cepstra]
        self.register_buffer("cosines", cosines, persistent=False)
        self.stride = math.prod(strides)
        self.output_size = channels[-1] + skip * (input_size + skip_cepstra)

    def forward(self, features, lengths):
        """Of every layer: frames [batch, ceil(frames / strides so far), channels], padding zero, and their lengths."""
        layers, inputs = [], (features, lengths)
        speech = None
        frames = self.input_dropout(features.transpose(1, 2)).transpose(1, 2)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            stride = convolution.stride[0]
            lengths = strided_lengths(lengths, frames.shape[1], stride)
            size = -(-frames.shape[1] // stride)
            convolved = _convolve(convolution, self.dropout(frames) if layers else frames, size)
            if stride > 1 or speech is None:
                speech = valid_steps(lengths, size)
            frames = torch.zeros_like(convolved)
            frames[speech] = norm(convolved[speech]).relu()
            layers.append((frames, lengths))
        return self.with_skip(layers, *inputs)

    def with_skip(self, layers, features, lengths):
        """The layers, with the features beside the top frames where that is asked for."""
        if self.skip:
            frames, top_lengths = layers[-1]
            means = _means(features, lengths, self.stride).to(frames.dtype)
            cepstra = [means @ self.cosines.to(means.dtype)] if self.skip_cepstra else []
            layers = [*layers[:-1], (torch.cat([frames, means, *cepstra], dim=2), top_lengths)]
        return layers


def _convolve(convolution, frames, size):
    """The first ``size`` output frames, with as many zeros on the right as that takes."""
    (kernel,), (stride,), (left,) = convolution.kernel_size, convolution.stride, convolution.padding
    missing = (size - 1) * stride + kernel - left - frames.shape[1]
    x = nn.functional.pad(frames, (0, 0, left, max(missing, 0))).transpose(1, 2)
    return nn.functional.conv1d(x, convolution.weight, convolution.bias, stride)[..., :size].transpose(1, 2)


def _means(frames, lengths, stretch):
    """Means of every ``stretch`` frames, [batch, ceil(frames / stretch), dim], over what is valid; zero where nothing is."""
    size = (frames.shape[1] + stretch - 1) // stretch
    missing = size * stretch - frames.shape[1]
    valid = nn.functional.pad(valid_mask(lengths, frames.shape[1]).to(frames.dtype), (0, missing))
    valid = valid.view(-1, size, stretch, 1)
    frames = nn.functional.pad(frames, (0, 0, 0, missing)).view(-1, size, stretch, frames.shape[2])
    return (frames * valid).sum(2) / valid.sum(2).clamp(min=1)
