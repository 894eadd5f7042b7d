"""An adversarial autoencoder's discriminator: frames that look as if drawn from a prior (Makhzani et al. 2015).

"Adversarial Autoencoders", arXiv 1511.05644, section 2; in speech emotion recognition, Latif et al., arXiv 1907.06078.
There, discriminator and encoder (the generator) are updated in turn, each by an optimiser of its own. Here they are two
losses of one task, and one backward pass serves both: the discriminator's loss sees the frames detached, the generator's
sees them judged by a discriminator whose weights are held. Each side gets the gradient that its own turn would give it. What
differs: both step from the same point, so the encoder meets the discriminator of before this step and not of after it; and
both share the optimiser, its learning rate and the clipping of the gradient, one step of each per batch.
"""

import torch
from torch import nn

from mtlaug_sb import register
from mtlaug_sb.masking import valid_mask


@register("head", "prior_discriminator")
class PriorDiscriminator(nn.Module):
    """Tell frames of the encoder from samples of the prior, a normal distribution N(0, 1) of every dimension.

    Every valid frame is one point, and meets one sample. Samples are drawn anew in training; in evaluation they are a fixed
    row, the same for every utterance.

    Arguments
    ---------
    input_size : int
        Dimensions of the encoder's frames, which should not end in a ReLU (see ``encoder/latent``).
    hidden : int
        Units of each of two hidden layers.
    """

    N_FIXED = 512  # samples of evaluation, over and over along time

    def __init__(self, input_size, hidden=64):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(input_size, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, 1),
        )
        fixed = torch.randn(self.N_FIXED, input_size, generator=torch.Generator().manual_seed(0))
        self.register_buffer("fixed", fixed, persistent=False)

    def forward(self, frames, lengths):
        """Logits of "drawn from the prior".

        ``judged`` [batch, frames, 2]: of the frames, detached from the encoder, and of a sample each; ``generated``
        [batch, frames]: of the frames, by layers that get no gradient.
        """
        size = frames.shape[1]
        if self.training:
            samples = torch.randn_like(frames)
        else:
            samples = self.fixed[torch.arange(size, device=frames.device) % self.N_FIXED].expand_as(frames)
        judged = torch.cat([self.layers(frames.detach()), self.layers(samples)], dim=2)
        held = {name: parameter.detach() for name, parameter in self.layers.named_parameters()}
        return {"judged": judged, "generated": torch.func.functional_call(self.layers, held, (frames,)).squeeze(2)}


class _OverFrames(nn.Module):
    """Mean over an utterance's valid frames of a value of each."""

    def forward(self, predictions, targets, lengths):
        """Logits [batch, frames, ...] -> [batch]; targets are not looked at: any that every utterance has will do."""
        valid = valid_mask(lengths, predictions.shape[1])
        values = torch.where(valid, self.values(predictions), 0.0)
        return values.sum(1) / valid.sum(1)

    @staticmethod
    def _example(*shape):
        lengths = torch.tensor([1.0, 0.5, 1.0])
        return torch.randn(3, 6, *shape, generator=torch.Generator().manual_seed(0)), torch.zeros(3, 1), lengths


@register("loss", "prior_discriminator")
class PriorDiscriminatorLoss(_OverFrames):
    """-log(1 - D(z)) - log D(sample): the binary cross entropy of both (Goodfellow et al. 2014, equation 1).

    It is 2 log 2 = 1.386 where the discriminator cannot tell.
    """

    reads = "judged"

    @staticmethod
    def example_data():
        """For the contract's check."""
        return _OverFrames._example(2)

    def values(self, logits):
        """[batch, frames, 2] -> [batch, frames]."""
        return nn.functional.softplus(logits[..., 0]) + nn.functional.softplus(-logits[..., 1])


@register("loss", "prior_generator")
class PriorGeneratorLoss(_OverFrames):
    """-log D(z), the loss that does not saturate where the discriminator is sure (Goodfellow et al. 2014, section 3).

    It is log 2 = 0.693 where the discriminator cannot tell.
    """

    reads = "generated"

    @staticmethod
    def example_data():
        """For the contract's check."""
        return _OverFrames._example()

    def values(self, logits):
        """[batch, frames] -> [batch, frames]."""
        return nn.functional.softplus(-logits)
