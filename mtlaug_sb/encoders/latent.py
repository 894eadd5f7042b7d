"""An encoder with a linear layer on top: frames that may take any value."""

from torch import nn

from mtlaug_sb.masking import zero_padding
from mtlaug_sb.registry import make, register


@register("encoder", "latent")
class Latent(nn.Module):
    """Another encoder, and a linear map of its top layer as one layer more.

    The frames of an encoder that ends in a ReLU are never negative. A latent code that is to follow a prior distribution, as
    that of an adversarial autoencoder (Makhzani et al. 2015, section 2), must be free to.

    Arguments
    ---------
    encoder : nn.Module
        Whose layers stay what they are.
    size : int
        Dimensions of the latent frames.

    Example
    -------
    >>> import torch
    >>> encoder = make("encoder/cnn", input_size=40, channels=[8, 6], kernel_sizes=[8, 5], strides=[4, 2])
    >>> layers = Latent(encoder, size=5)(torch.rand(2, 50, 40), torch.ones(2))
    >>> [tuple(frames.shape) for frames, lengths in layers]
    [(2, 13, 8), (2, 7, 6), (2, 7, 5)]
    """

    def __init__(self, encoder, size=64):
        super().__init__()
        self.encoder = encoder
        self.latent = nn.Linear(encoder.output_size, size)
        self.output_size = size

    @staticmethod
    def example():
        """Arguments for the contract's check."""
        return {"encoder": make("encoder/cnn", input_size=8, channels=[6], kernel_sizes=[3], strides=[2]), "size": 5}

    def forward(self, features, lengths):
        """The other encoder's layers, and (frames [batch, frames, size], lengths) as the top; padding is zero."""
        layers = self.encoder(features, lengths)
        frames, lengths = layers[-1]
        return [*layers, (zero_padding(self.latent(frames), lengths), lengths)]
