"""1-D convolutions over time."""

import torch
from torch import nn

from mtlaug_sb.frame_batch_norm import FrameBatchNorm
from mtlaug_sb.masking import strided_lengths, valid_mask
from mtlaug_sb.registry import register


@register("encoder", "cnn")
class CNN(nn.Module):
    """A stack of 1-D convolutions over time, each with batch normalisation, ReLU and dropout.

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
        After every layer.

    Example
    -------
    >>> frames, lengths = CNN(40, channels=[8, 8])(torch.rand(2, 50, 40), torch.ones(2))
    >>> frames.shape
    torch.Size([2, 13, 8])
    """

    def __init__(self, input_size, channels=(96, 96, 96), kernel_sizes=(8, 5, 5), strides=(4, 1, 1), dropout=0.2):
        super().__init__()
        layers = list(zip([input_size, *channels], channels, kernel_sizes, strides, strict=False))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(i, o, kernel, stride, padding=(kernel - 1) // 2, bias=False) for i, o, kernel, stride in layers
        )
        self.norms = nn.ModuleList(FrameBatchNorm(o) for _, o, _, _ in layers)
        self.dropout = nn.Dropout(dropout)
        self.output_size = channels[-1]

    def forward(self, features, lengths):
        """Frames [batch, ceil(frames / strides), channels[-1]], padding zero, and their relative lengths."""
        frames = features
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            stride = convolution.stride[0]
            lengths = strided_lengths(lengths, frames.shape[1], stride)
            convolved = _convolve(convolution, frames, -(-frames.shape[1] // stride))
            valid = valid_mask(lengths, convolved.shape[1])
            frames = torch.zeros_like(convolved)
            frames[valid] = self.dropout(norm(convolved[valid]).relu())
        return frames, lengths


def _convolve(convolution, frames, size):
    """The first ``size`` output frames, with as many zeros on the right as that takes."""
    (kernel,), (stride,), (left,) = convolution.kernel_size, convolution.stride, convolution.padding
    missing = (size - 1) * stride + kernel - left - frames.shape[1]
    x = nn.functional.pad(frames, (0, 0, left, max(missing, 0))).transpose(1, 2)
    return nn.functional.conv1d(x, convolution.weight, convolution.bias, stride)[..., :size].transpose(1, 2)
