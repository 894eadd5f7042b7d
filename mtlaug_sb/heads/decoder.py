"""The decoder: reconstructs the encoder's input features from its frames."""

from torch import nn

from mtlaug_sb.masking import zero_padding
from mtlaug_sb.registry import register


@register("head", "decoder")
class Decoder(nn.Module):
    """One convolution over the frames, then a transposed one back to the features' frame rate.

    Arguments
    ---------
    input_size : int
        Dimensions of the encoder's frames.
    output_size : int
        Dimensions of the features.
    stride : int
        Features per frame: the product of the encoder's strides.
    hidden : int
        Channels between the two layers.
    kernel_size : int
        Of the first layer, in frames; odd.

    Example
    -------
    >>> import torch
    >>> Decoder(8, output_size=40, stride=4)(torch.rand(2, 9, 8), torch.ones(2))["features"].shape
    torch.Size([2, 36, 40])
    """

    def __init__(self, input_size, output_size, stride=4, hidden=64, kernel_size=3):
        super().__init__()
        self.mix = nn.Conv1d(input_size, hidden, kernel_size, padding=kernel_size // 2)
        self.expand = nn.ConvTranspose1d(hidden, output_size, stride, stride)

    def forward(self, frames, lengths):
        """``features`` [batch, frames * stride, output_size]."""
        hidden = self.mix(zero_padding(frames, lengths).transpose(1, 2)).relu()
        return {"features": self.expand(hidden).transpose(1, 2)}
