"""The contracts, over every registered plugin; and each contract broken on purpose."""

import pytest
import torch
from torch import nn

from mtlaug_sb import plugins, register
from mtlaug_sb.registry import _plugins
from mtlaug_sb.testing import ContractError, check_plugin


@pytest.mark.parametrize("plugin", plugins().values(), ids=lambda cls: cls.plugin)
def test_contract(plugin):
    check_plugin(plugin)


class BatchMean(nn.Module):
    reads = "logits"

    def forward(self, predictions, targets, lengths):
        return nn.functional.cross_entropy(predictions, targets).expand(len(predictions))


class Averaged(nn.Module):
    reads = "logits"

    def forward(self, predictions, targets, lengths):
        return nn.functional.cross_entropy(predictions, targets)


class SeesPadding(nn.Module):
    def __init__(self, input_size, n_classes):
        super().__init__()
        self.output = nn.Linear(input_size, n_classes)

    def forward(self, frames, lengths):
        return {"logits": self.output(frames.mean(1))}


class WritesFrames(nn.Module):
    def __init__(self, input_size, n_classes):
        super().__init__()
        self.output = nn.Linear(input_size, n_classes)

    def forward(self, frames, lengths):
        with torch.no_grad():
            frames += 1
        return {"logits": self.output(frames[:, 0])}


class TensorNotDict(nn.Module):
    def forward(self, frames, lengths):
        return frames.mean(1)


class GlobalChance(nn.Module):
    domain = "waveform"

    def forward(self, inputs, lengths, targets, generator):
        return inputs + torch.randn_like(inputs), lengths, targets


class NoDomain(nn.Module):
    def forward(self, inputs, lengths, targets, generator):
        return inputs, lengths, targets


class SeesPaddingEncoder(nn.Module):
    def __init__(self, input_size):
        super().__init__()
        self.output_size = input_size

    def forward(self, features, lengths):
        return [(features - features.mean(1, keepdim=True), lengths)]


class LeavesOut(nn.Module):
    def forward(self, objectives, weights):
        return next(iter(objectives.values())) * 1.0


@pytest.mark.parametrize(
    ("kind", "cls", "says"),
    [
        ("loss", BatchMean, "depends on its neighbours"),
        ("loss", Averaged, "do not average"),
        ("head", SeesPadding, "is padding seen"),
        ("head", WritesFrames, "in place"),
        ("head", TensorNotDict, "dictionary"),
        ("augmentation", GlobalChance, "generator"),
        ("augmentation", NoDomain, "domain"),
        ("encoder", SeesPaddingEncoder, "see the padding"),
        ("weighting", LeavesOut, "leaves an objective out"),
    ],
)
def test_a_broken_contract_is_found(kind, cls, says):
    try:
        plugin = register(kind, "broken")(type(cls.__name__, (cls,), {"__doc__": "Broken."}))
        with pytest.raises(ContractError, match=says):
            check_plugin(plugin)
    finally:
        _plugins.pop((kind, "broken"), None)
