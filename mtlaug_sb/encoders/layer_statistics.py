"""One vector for a whole utterance: statistics of a frozen front end's layers."""

from torch import nn

from mtlaug_sb.front_end_layers import check_layers, normalized_layers
from mtlaug_sb.masking import zero_padding
from mtlaug_sb.registry import register
from mtlaug_sb.statistics_pooling import pool_statistics


@register("encoder", "layer_statistics")
class LayerStatistics(nn.Module):
    """An utterance as a single frame: mean and standard deviation over time of a pretrained front end's layers.

    The layers come side by side in each frame, as features/onnx gives them, and each is normalised within the frame first.
    Nothing is learned.

    Arguments
    ---------
    input_size : int
        Dimensions of the features: of all layers together.
    n_layers : int
        Layers side by side.

    Raises
    ------
    ValueError
        If the layers do not divide the dimensions.

    Example
    -------
    >>> import torch
    >>> [(frames, lengths)] = LayerStatistics(12, n_layers=3)(torch.rand(2, 9, 12), torch.tensor([1.0, 4 / 9]))
    >>> frames.shape, lengths
    (torch.Size([2, 1, 24]), tensor([1., 1.]))
    """

    example = {"n_layers": 2}

    def __init__(self, input_size, n_layers):
        super().__init__()
        check_layers(input_size, n_layers)
        self.n_layers = n_layers
        self.output_size = 2 * input_size

    def forward(self, features, lengths):
        """A list of one layer: frames [batch, 1, output_size] and lengths of 1."""
        layers = normalized_layers(zero_padding(features, lengths), self.n_layers).flatten(2)
        return [(pool_statistics(layers, lengths).unsqueeze(1), lengths.new_ones(len(lengths)))]
