"""An answer averaged over several speeds of an utterance."""

import torch

from mtlaug_sb.masking import zero_padding


def logits_at_speeds(network, task, speed, wavs, lengths):
    """A task's logits [batch, classes] at each of other speeds, a list.

    Arguments
    ---------
    network : Network
        Asked once for each speed.
    task : str
        With classes.
    speed : Speed
        augmentation/speed with these speeds.
    wavs : torch.Tensor
        [batch, time].
    lengths : torch.Tensor
        Relative, [batch].
    """
    wavs = zero_padding(wavs, lengths)  # a resampler hears across an utterance's end
    variants = torch.arange(speed.n_variants).unsqueeze(1).expand(-1, len(wavs))
    return [network(*speed.vary(wavs, lengths, of_all), [task])[task]["logits"] for of_all in variants]
