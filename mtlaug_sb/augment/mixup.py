"""Mixup (Zhang et al. 2018) of two utterances' power spectra and of their targets."""

import torch
from torch import nn

from mtlaug_sb.masking import labelled_rows, valid_mask
from mtlaug_sb.registry import register


@register("augmentation", "mixup")
class Mixup(nn.Module):
    """Add another utterance's power to each, and mix the targets with the same weight.

    Partners are drawn among the rows given, so a row that is alone stays as it is. Rows with a target are mixed with rows
    that have it too: a mix of a known and an unknown emotion would have to be thrown away.

    Arguments
    ---------
    alpha : float
        The weight is drawn from Beta(alpha, alpha); its larger part goes to the row itself, whose length is kept.
    log_power : bool
        The features are logarithms of power, and what is mixed is the power. False mixes the features as they are: those of
        a pretrained model, say, or the waveform.

    Example
    -------
    >>> features, targets = torch.rand(2, 50, 40), {"emotion": torch.eye(2)}
    >>> _, _, mixed = Mixup()(features, torch.ones(2), targets, torch.Generator().manual_seed(0))
    >>> mixed["emotion"].sum(1)
    tensor([1., 1.])
    """

    domain = "features"

    def __init__(self, alpha=0.5, log_power=True):
        super().__init__()
        self.alpha, self.log_power = alpha, log_power

    def forward(self, inputs, lengths, targets, generator):
        """inputs: features [batch, frames, dim]."""
        partner = _partners(targets, len(inputs), generator).to(inputs.device)
        weight = _beta(self.alpha, len(inputs), generator).to(inputs.device)
        weight = torch.maximum(weight, 1 - weight)
        # a row that is its own partner stays exactly as it is
        weight = torch.where(partner == torch.arange(len(inputs), device=inputs.device), 1.0, weight)
        own, other = weight.view(-1, 1, 1), (1 - weight).view(-1, 1, 1)
        heard = valid_mask(lengths, inputs.shape[1])
        both = (heard & heard[partner]).unsqueeze(2)
        if self.log_power:
            silence = torch.where(both, inputs[partner] + other.log(), -torch.inf)
            mixed = torch.logaddexp(inputs + own.log(), silence)
        else:
            mixed = own * inputs + torch.where(both, other * inputs[partner], 0.0)
        mixed = torch.where(heard.unsqueeze(2), mixed, inputs)
        return mixed, lengths, {k: _mix_targets(t, partner, weight) for k, t in targets.items()}


def _partners(targets, n, generator):
    """For each row another row with the same targets present, int64 [n]; the row itself where there is none."""
    partner = torch.arange(n)
    if not targets:
        present = torch.zeros(n, dtype=torch.long)
    else:
        known = torch.stack([labelled_rows(t) for t in targets.values()], dim=1).cpu()
        present = torch.unique(known, dim=0, return_inverse=True)[1]
    for pattern in present.unique():
        rows = (present == pattern).nonzero().squeeze(1)
        rows = rows[torch.randperm(len(rows), generator=generator)]
        partner[rows] = rows.roll(1)
    return partner


def _beta(alpha, n, generator):
    """n draws from Beta(alpha, alpha): torch's own sampler takes no generator."""
    gamma = torch._standard_gamma(torch.full((2, n), float(alpha)), generator=generator)
    return gamma[0] / gamma.sum(0)


def _mix_targets(target, partner, weight):
    weight = weight.view(-1, *[1] * (target.ndim - 1))
    # a value missing in the partner has weight 0 for a row that is its own partner, and NaN * 0 is NaN
    return torch.where(weight < 1, weight * target + (1 - weight) * target[partner], target)
