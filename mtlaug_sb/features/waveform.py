"""The waveform itself, for encoders that read it."""

from torch import nn

from mtlaug_sb.masking import zero_padding
from mtlaug_sb.registry import register


@register("features", "waveform")
class Waveform(nn.Module):
    """Samples as frames of dimension 1.

    Example
    -------
    >>> import torch
    >>> features, lengths = Waveform()(torch.rand(2, 16000), torch.tensor([1.0, 0.5]))
    >>> features.shape
    torch.Size([2, 16000, 1])
    """

    def __init__(self):
        super().__init__()
        self.output_size = 1

    def forward(self, wavs, lengths):
        """Features [batch, time, 1], padding zero, and the lengths as they were."""
        return zero_padding(wavs, lengths).unsqueeze(2), lengths
