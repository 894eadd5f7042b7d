"""Learned weights over the layers of a pretrained front end."""

import torch
from torch import nn

from mtlaug_sb.frame_batch_norm import FrameBatchNorm
from mtlaug_sb.front_end_layers import check_layers, layer_deviations, layer_mean, normalized_layers
from mtlaug_sb.masking import valid_steps, zero_padding
from mtlaug_sb.registry import register


@register("encoder", "weighted_layers")
class WeightedLayers(nn.Module):
    """A frozen front end's layers with learned weights, and a dense layer on each frame of them.

    The layers come side by side in each frame, as features/onnx gives them. Each is normalised to mean 0 and variance 1
    within the frame, then weighted by a softmax, equal at first, as in SUPERB (Yang et al. 2021). The front end stays apart,
    so that its features are computed once and kept.

    Arguments
    ---------
    input_size : int
        Dimensions of the features: of all layers together.
    n_layers : int
        Layers side by side.
    output_size : int
        Units of the dense layer.
    join : str
        What the dense layer reads: "mean", the weighted mean of the layers, as in SUPERB; or "all" of them side by side,
        each multiplied by its weight.
    input_dropout : float
        Share of the dense layer's inputs left out in training, each for a whole utterance.
    dropout : float
        After the dense layer.
    skip : bool
        On top, the dense layer's frames and what it reads, side by side: nothing that the front end knows is lost.
    deviations : bool
        The second half of each layer are deviations, as features/onnx gives them: they are left out.

    Raises
    ------
    ValueError
        If the layers do not divide the dimensions, or ``join`` is neither.

    Example
    -------
    >>> encoder = WeightedLayers(input_size=12, n_layers=3, output_size=8, join="mean")
    >>> layers = encoder(torch.rand(2, 9, 12), torch.tensor([1.0, 4 / 9]))
    >>> [tuple(frames.shape) for frames, lengths in layers]  # the mean of the layers, and the dense layer
    [(2, 9, 4), (2, 9, 8)]
    """

    example = {"n_layers": 2}

    def __init__(
        self,
        input_size,
        n_layers,
        output_size=64,
        join="all",
        input_dropout=0.3,
        dropout=0.2,
        skip=False,
        deviations=False,
    ):
        super().__init__()
        check_layers(input_size, 2 * n_layers if deviations else n_layers)
        if join not in ("mean", "all"):
            raise ValueError(f"join must be 'mean' or 'all', is {join!r}")
        self.n_layers, self.join, self.skip, self.deviations = n_layers, join, skip, deviations
        self.layer_weights = nn.Parameter(torch.zeros(n_layers))
        self.input_dropout = nn.Dropout1d(input_dropout)
        layers_size = input_size // 2 if deviations else input_size
        joined_size = layers_size if join == "all" else layers_size // n_layers
        self.dense = nn.Linear(joined_size, output_size, bias=False)
        self.norm = FrameBatchNorm(output_size)
        self.dropout = nn.Dropout(dropout)
        self.output_size = output_size + skip * joined_size

    def forward(self, features, lengths):
        """What the dense layer reads, what it gives, and with ``skip`` both; [batch, frames, dim], padding zero."""
        if self.deviations:
            features = layer_deviations(features, self.n_layers)[0].flatten(2)
        layers = normalized_layers(features, self.n_layers)
        if self.join == "mean":
            joined = layer_mean(layers.unbind(2), self.layer_weights)
        else:  # times their number: of equal weights nothing is to be seen
            joined = (layers * (self.n_layers * self.layer_weights.softmax(0)).unsqueeze(1)).flatten(2)
        joined = zero_padding(joined, lengths)
        speech = valid_steps(lengths, joined.shape[1])
        seen = self.input_dropout(joined.transpose(1, 2)).transpose(1, 2)
        heard = self.dropout(self.norm(self.dense(seen[speech])).relu())
        frames = heard.new_zeros(*joined.shape[:2], self.dense.out_features)  # of 16 bits, perhaps
        frames[speech] = heard
        layers = [joined, frames, torch.cat([frames, joined], dim=2)] if self.skip else [joined, frames]
        return [(frames, lengths) for frames in layers]
