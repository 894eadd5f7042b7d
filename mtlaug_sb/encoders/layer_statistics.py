"""One vector for a whole utterance: statistics of a frozen front end's layers."""

import torch
from torch import nn

from mtlaug_sb.front_end_layers import check_layers, layer_deviations, normalized_layers
from mtlaug_sb.masking import zero_padding
from mtlaug_sb.registry import register
from mtlaug_sb.statistics_pooling import pool_mean, pool_statistics


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
    deviations : bool
        The second half of each layer are deviations of shorter frames from their mean, the first half: the deviation over
        time is then nearly that of the shorter frames, as if they had not been pooled (one may be made of one more than
        another, and counts as much). They are taken as they are; let the front
        end normalise them (features/onnx: ``normalize_layers``).

    Raises
    ------
    ValueError
        If the layers do not divide the dimensions.

    Example
    -------
    >>> [(frames, lengths)] = LayerStatistics(12, n_layers=3)(torch.rand(2, 9, 12), torch.tensor([1.0, 4 / 9]))
    >>> frames.shape, lengths
    (torch.Size([2, 1, 24]), tensor([1., 1.]))
    """

    example = {"n_layers": 2}

    def __init__(self, input_size, n_layers, deviations=False):
        super().__init__()
        check_layers(input_size, 2 * n_layers if deviations else n_layers)
        self.n_layers, self.deviations = n_layers, deviations
        self.output_size = input_size if deviations else 2 * input_size

    def forward(self, features, lengths):
        """A list of one layer: frames [batch, 1, output_size] and lengths of 1."""
        features = zero_padding(features, lengths)
        if self.deviations:
            means, deviations = (part.flatten(2) for part in layer_deviations(features, self.n_layers))
            mean, between = pool_statistics(means, lengths).chunk(2, dim=1)
            within = pool_mean(deviations.square(), lengths)
            vectors = torch.cat([mean, (between.square() + within).sqrt()], dim=1)  # the law of total variance
        else:
            vectors = pool_statistics(normalized_layers(features, self.n_layers).flatten(2), lengths)
        return [(vectors.unsqueeze(1), lengths.new_ones(len(lengths)))]
