"""What an augmentation does to one utterance and to the answer."""

from dataclasses import dataclass

import torch

from mtlaug_sb.masking import absolute_lengths


@dataclass(frozen=True)
class Effect:
    """One augmentation of one utterance.

    Attributes
    ----------
    features : torch.Tensor
        [frames, dim], as the encoder is given them, before normalisation.
    probabilities : dict
        The main task's answer.
    """

    features: torch.Tensor
    probabilities: dict


@torch.inference_mode()
def apply_augmentation(model, wav, name=None, seed=0):
    """The utterance after an augmentation that the model was trained with; ``name`` None leaves it as it is.

    An effect that mixes utterances is given a second one: the same backwards.

    Arguments
    ---------
    model : EmotionRecognizer
        Says which augmentations there are.
    wav : torch.Tensor
        Samples [time] at the model's rate.
    name : str or None
        Of the augmentation.
    seed : int
        Of its chance.

    Raises
    ------
    ValueError
        If the model was trained with no such augmentation.
    """
    known = model.description["augmentations"]
    if name is not None and name not in known:
        raise ValueError(f"the model was trained with no augmentation '{name}'; there are {', '.join(known) or 'none'}")
    effect = model.augmentations()[name] if name is not None else None
    generator = torch.Generator().manual_seed(seed)
    wavs, lengths = torch.stack([wav, wav.flip(0)]), torch.ones(2)
    if effect is not None and effect.domain == "waveform":
        wavs, lengths, _ = effect(wavs, lengths, {}, generator)
    features, lengths = model.network.extract(wavs.to(model.device), lengths.to(model.device))
    if effect is not None and effect.domain == "features":
        # on the CPU, where its generator is
        features, lengths, _ = effect(features.cpu(), lengths.cpu(), {}, generator)
        features, lengths = features.to(model.device), lengths.to(model.device)
    logits = model.network.answer(features, lengths, [model.main_task])[model.main_task]["logits"]
    scores = model.classify_main(logits[:1]).scores[0].tolist()
    frames = int(absolute_lengths(lengths, features.shape[1])[0])
    return Effect(features[0, :frames].cpu(), dict(zip(model.labels, scores, strict=True)))
