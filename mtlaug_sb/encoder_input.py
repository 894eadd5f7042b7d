"""From waveforms to what the encoder sees, and the targets that change with them."""

from dataclasses import replace

import torch

from mtlaug_sb.masking import trim, valid_mask
from mtlaug_sb.policy import AugmentationPolicy

SOURCES = "sources"  # [batch, batch]: the share of each utterance in each row, as a target that mixes with the others
CLEAN_OR_SEEN = ("clean_features", "features")  # the encoder's input as a target: before masking and mixing, and after


class EncoderInput:
    """Augmented waveforms, their features, these augmented, and normalised.

    Arguments
    ---------
    modules : nn.ModuleDict
        With ``features`` and ``normalization``.
    policy : AugmentationPolicy
        What may happen to an utterance.
    targets : dict
        Name -> target (see ``interfaces.Target``), those of the recordings.
    tasks : dict
        Name -> Task: what they want of ``clean_features`` and ``features`` is made.
    cache : FeatureCache
        Of features that come out the same every time.
    """

    def __init__(self, modules, policy, targets, tasks, cache):
        self.modules, self.policy, self.targets, self.tasks, self.cache = modules, policy, targets, tasks, cache
        self.untouched = AugmentationPolicy({})

    def __call__(self, batch, augmented):
        """Normalised features [batch, frames, dim], relative lengths [batch] and all targets of a batch, on its device."""
        every = {name: batch[name].clone() for name in self.targets}
        # the policy changes targets as it changes inputs; of these it shows whose share each row has
        targets = {k: t for k, t in every.items() if getattr(self.targets[k], "mixable", True)}
        device = batch.wav.data.device
        targets[SOURCES] = torch.eye(len(batch), device=device)
        policy = self.policy if augmented else self.untouched
        clean, lengths, draw = self._features(batch, policy, policy.draw(len(batch)), targets)
        seen, lengths, targets, draw = policy.apply("features", draw, clean, lengths, targets)
        mixed = targets[SOURCES].amax(1) < 1
        for name in every.keys() - targets.keys():
            targets[name] = every[name]
            targets[name][mixed] = torch.nan
        normalize = self.modules.normalization
        seen = normalize(seen, lengths)
        wanted = {task.target for task in self.tasks.values()}
        for name, features in zip(CLEAN_OR_SEEN, (clean, seen), strict=True):
            if name in wanted:
                targets[name] = _nan_padding(features if features is seen else normalize(features, lengths), lengths)
        for name in policy.provides:
            targets[name] = policy.labels(draw, device)
        return seen, lengths, targets

    def outcome(self, batch, type_=0, variant=0):
        """Features, not normalised, and lengths of a batch whose rows all have one outcome of the policy; 0 is "none"."""
        features, lengths, _ = self._features(batch, self.policy, self.policy.draw_of(len(batch), type_, variant), {})
        return features, lengths

    def _features(self, batch, policy, draw, targets):
        """Features before their effects, lengths, and what happened; ``targets`` follow the waveform effects in place."""
        wavs, lengths = batch.wav

        def features_of(rows):
            rows = slice(None) if len(rows) == len(wavs) else rows  # spares a copy
            some = {k: t[rows] for k, t in targets.items()}
            some_wavs, some_lengths = trim(wavs[rows], lengths[rows])
            some_wavs, some_lengths, some, done = policy.apply("waveform", draw[rows], some_wavs, some_lengths, some)
            for k, t in some.items():
                targets[k][rows] = t
            return *self.modules.features(some_wavs, some_lengths), done.types == draw[rows].types

        keys = [key and (name, key) for name, key in zip(batch.id, policy.reproducible(draw), strict=True)]
        features, lengths, happened = self.cache(keys, features_of)
        # "none" where a waveform effect left its row as it was
        return features, lengths, replace(draw, types=torch.where(happened, draw.types, 0))


def _nan_padding(features, lengths):
    """Features as a target: NaN beyond each utterance's length."""
    return features.masked_fill(~valid_mask(lengths, features.shape[1]).unsqueeze(2), torch.nan)
