"""Domain-adversarial training: features that do not tell where a recording is from (Ganin et al. 2016)."""

import torch
from torch import nn

from mtlaug_sb import make, register


class _Reverse(torch.autograd.Function):
    """The identity, with the gradient's sign turned and its size scaled (Ganin et al. 2016, equation 17)."""

    @staticmethod
    def forward(ctx, frames, strength):
        ctx.strength = strength
        return frames.clone()

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.strength * gradient, None


@register("head", "domain_adversarial")
class DomainAdversarial(nn.Module):
    """Tell corpora (or speakers) apart, while the encoder learns to make that impossible.

    The head's own layers get the plain gradient; the encoder gets it reversed, times ``strength``. A warm-up, such as
    Ganin's, is the task's ``schedule``.

    Arguments
    ---------
    input_size : int
        Dimensions of the encoder's frames.
    n_classes : int
        Domains.
    strength : float
        Factor of the reversed gradient (lambda in the paper).
    dense : int
        Units of the dense layer.
    """

    def __init__(self, input_size, n_classes, strength=1.0, dense=64):
        super().__init__()
        self.strength = strength
        self.classifier = make("head/attentive", input_size=input_size, n_classes=n_classes, dense=dense)

    def forward(self, frames, lengths):
        """``logits`` [batch, n_classes]."""
        return {"logits": self.classifier(_Reverse.apply(frames, self.strength), lengths)["logits"]}
