"""SpeechBrain's ECAPA-TDNN (Desplanques et al. 2020) up to its multi-layer feature aggregation."""

import torch
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN, Conv1d, TDNNBlock
from torch import nn

from mtlaug_sb.frame_batch_norm import FrameBatchNorm
from mtlaug_sb.masking import absolute_lengths, zero_padding
from mtlaug_sb.registry import register


@register("encoder", "ecapa_tdnn")
class ECAPATDNN(nn.Module):
    """Dilated convolutions with Res2Net blocks, squeeze and excitation, and aggregation of all blocks; no pooling.

    "ECAPA-TDNN: Emphasized Channel Attention, Propagation and Aggregation in TDNN Based Speaker Verification", Interspeech
    2020. The blocks are SpeechBrain's, with two changes, so that padding is never seen: convolutions see zeros beyond the
    utterance instead of its reflection, and batch normalisation takes its statistics over valid frames and leaves padding
    zero. Names of the parameters are SpeechBrain's: weights of its ``embedding_model`` load with ``strict=False``; what they
    give differs by what is seen at an utterance's two ends.

    Arguments
    ---------
    input_size : int
        Dimensions of the features.
    channels : list of int
        Of the first block, of each Res2Net block, and of the aggregation, which is the output.
    kernel_sizes, dilations : list of int
        In frames, one per entry of ``channels``; kernels are odd.
    res2net_scale : int
        Parts of a Res2Net block; divides its channels.
    se_channels : int
        Of the squeeze and excitation.
    dropout : float
        Whole channels left out in training, after every layer.

    Raises
    ------
    ValueError
        If the lists have different sizes, or the scale does not divide the channels.

    Example
    -------
    >>> layers = ECAPATDNN(40, channels=[8, 8, 8, 12], kernel_sizes=[5, 3, 3, 1], dilations=[1, 2, 3, 1])(
    ...     torch.rand(2, 50, 40), torch.ones(2)
    ... )
    >>> [tuple(frames.shape) for frames, lengths in layers]
    [(2, 50, 8), (2, 50, 8), (2, 50, 8), (2, 50, 12)]
    """

    def __init__(
        self,
        input_size,
        channels=(64, 64, 64, 64, 96),
        kernel_sizes=(5, 3, 3, 3, 1),
        dilations=(1, 2, 3, 4, 1),
        res2net_scale=4,
        se_channels=32,
        dropout=0.0,
    ):
        super().__init__()
        if not len(channels) == len(kernel_sizes) == len(dilations) >= 3:
            raise ValueError(
                f"one kernel size and dilation per entry of channels, and three or more: got {len(channels)} channels, "
                f"{len(kernel_sizes)} kernel_sizes, {len(dilations)} dilations"
            )
        if any(c % res2net_scale for c in channels[:-1]):
            raise ValueError(f"res2net_scale {res2net_scale} does not divide the channels {list(channels[:-1])}")
        # its pooling and what follows are not used, so they may be tiny
        whole = ECAPA_TDNN(
            input_size,
            lin_neurons=1,
            channels=list(channels),
            kernel_sizes=list(kernel_sizes),
            dilations=list(dilations),
            attention_channels=1,
            res2net_scale=res2net_scale,
            se_channels=se_channels,
            groups=[1] * len(channels),
            dropout=dropout,
        )
        self.blocks, self.mfa = whole.blocks, whole.mfa
        self.output_size = channels[-1]
        self._valid = _Valid()
        for module in self.modules():
            if isinstance(module, Conv1d):
                module.padding_mode = "constant"
            elif isinstance(module, TDNNBlock):
                module.norm = _ValidBatchNorm(module.norm.norm.num_features, self._valid)

    def forward(self, features, lengths):
        """Of every block, and of the aggregation: frames [batch, frames, channels], padding zero, and their lengths."""
        size = features.shape[1]
        steps = absolute_lengths(lengths, size)
        self._valid.mask = torch.arange(size, device=features.device) < steps.unsqueeze(1)
        x = zero_padding(features, lengths).transpose(1, 2)
        # half a frame less: SpeechBrain rounds lengths * size up, and the product may lie just above a whole number
        shares = (steps - 0.5) / size
        layers = []
        for block in self.blocks:
            x = block(x) if isinstance(block, TDNNBlock) else block(x, lengths=shares)
            layers.append(x)
        layers.append(self.mfa(torch.cat(layers[1:], dim=1)))
        return [(zero_padding(layer.transpose(1, 2), lengths), lengths) for layer in layers]


class _Valid:
    """Which frames of the batch at hand are speech: ``mask``, bool [batch, frames]."""


class _ValidBatchNorm(nn.Module):
    """Batch normalisation over valid frames in the place of SpeechBrain's; zero elsewhere.

    Every convolution over several frames follows one, and so sees no padding but zeros.
    """

    def __init__(self, size, valid):
        super().__init__()
        self.norm = FrameBatchNorm(size)
        self.valid = valid

    def forward(self, x):
        """x and result [batch, channels, frames]."""
        frames = x.transpose(1, 2)
        normalised = torch.zeros_like(frames)
        normalised[self.valid.mask] = self.norm(frames[self.valid.mask]).to(x.dtype)
        return normalised.transpose(1, 2)
