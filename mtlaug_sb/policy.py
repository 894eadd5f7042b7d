"""Which augmentation each utterance gets, and a true label of it."""

import logging
from dataclasses import dataclass, replace

import torch
from torch import nn

from mtlaug_sb.masking import absolute_lengths, rows_where, valid_mask, zero_padding

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Draw:
    """What was drawn for a batch.

    Attributes
    ----------
    types : torch.Tensor
        Indices into the policy's ``names``, int64 [batch], on CPU; 0 is "none".
    variants : torch.Tensor
        Which of its variants an effect is to use, int64 [batch], on CPU; 0 for effects without variants.
    """

    types: torch.Tensor
    variants: torch.Tensor

    def __getitem__(self, rows):
        return Draw(self.types[rows], self.variants[rows])


class AugmentationPolicy(nn.Module):
    """Draw one type per utterance and apply each effect once per batch, to its rows together.

    The type is drawn per utterance: a batch of one type would show it in its batch statistics. The label is what
    happened, not what was drawn: a row that an effect left as it was is labelled "none".

    Arguments
    ---------
    effects : dict
        Type name -> augmentation (see ``interfaces.Augmentation``); one that is None is left out, and the probabilities of
        the others grow to sum to one.
    probabilities : dict
        Type name -> probability, "none" among them; they must sum to one. By default all alike. None as for effects.
    seed : int
        Of the policy's own generator, whose state belongs into the checkpoint.
    target : str
        The key under which the types join the batch's targets.
    fitted : dict
        Type name -> some of its ``variants``, for an effect on the waveform that has any: what heads that are solved for
        are shown beside the utterance itself. What is not among an effect's is left out, with a warning; an effect that is
        None does not matter.

    Raises
    ------
    ValueError
        If an effect is called "none", the probabilities do not fit the effects, or ``fitted`` names one without
        variants.
    """

    def __init__(self, effects, probabilities=None, seed=0, target="augmentation", fitted=None):
        super().__init__()
        if "none" in effects:
            raise ValueError("'none' is the type of an untouched utterance; call the effect otherwise")
        left_out = {name for name, effect in effects.items() if effect is None}
        effects = {name: effect for name, effect in effects.items() if effect is not None}
        self.effects = nn.ModuleDict(effects)
        self.names = ["none", *effects]
        self.target = target
        self.provides = [target] if effects else []
        given = {name: p for name, p in (probabilities or {}).items() if p is not None and name not in left_out}
        probabilities = given or dict.fromkeys(self.names, 1 / len(self.names))
        total = sum(probabilities.values())
        if left_out and total > 0:
            probabilities = {name: p / total for name, p in probabilities.items()}
            total = 1.0
        if set(probabilities) != set(self.names) or abs(total - 1) > 1e-6:
            raise ValueError(
                f"probabilities {probabilities} must be given for {', '.join(self.names)} and sum to 1, not {total:g}"
            )
        self.probabilities = torch.tensor([probabilities[name] for name in self.names])
        self.n_variants = torch.tensor([1] + [getattr(effect, "n_variants", 1) for effect in effects.values()])
        self.generator = torch.Generator().manual_seed(seed)
        self._fitted = [(0, 0)]
        for name, variants in (fitted or {}).items():
            if name in left_out:
                continue
            known = list(getattr(effects.get(name), "variants", []))
            if not known or effects[name].domain != "waveform":
                raise ValueError(f"fitted: '{name}' is no effect on the waveform with variants")
            for variant in variants:
                if variant in known:
                    self._fitted.append((self.names.index(name), known.index(variant)))
                else:
                    logger.warning("fitted: '%s' has the variants %s, and no %s: left out", name, known, variant)

    def draw(self, batch_size):
        """Draw a type, and a variant of it, for every row of a batch."""
        types = torch.multinomial(self.probabilities, batch_size, replacement=True, generator=self.generator)
        shares = torch.rand(batch_size, generator=self.generator)
        return Draw(types, (shares * self.n_variants[types]).long())

    def outcomes(self):
        """(type, variant) of "none" and of what is ``fitted``."""
        return list(self._fitted)

    def draw_of(self, batch_size, type_, variant):
        """A draw as if every row had come out like this."""
        return Draw(torch.full((batch_size,), type_), torch.full((batch_size,), variant))

    def apply(self, domain, draw, inputs, lengths, targets):
        """Apply the effects of one domain to their rows.

        Arguments
        ---------
        domain : str
            "waveform" or "features".
        draw : Draw
            As drawn, for these rows.
        inputs : torch.Tensor
            wavs [batch, time] or features [batch, frames, dim]; never changed in place.
        lengths : torch.Tensor
            Relative, [batch].
        targets : dict
            Name -> [batch, ...].

        Returns
        -------
        inputs, lengths, targets
            As given, with their rows changed and padded to one new size.
        draw : Draw
            With type 0 ("none") where an effect left its row as it was.
        """
        types = draw.types.clone()
        changed = []
        for index, name in enumerate(self.names[1:], start=1):
            effect, drawn = self.effects[name], types == index
            if effect.domain != domain or not drawn.any():
                continue
            rows = rows_where(drawn)
            before = inputs[rows], lengths[rows], {k: t[rows] for k, t in targets.items()}
            # a second copy, as an effect may write into what it is given
            given = before[0].clone(), before[1].clone(), {k: t.clone() for k, t in before[2].items()}
            if hasattr(effect, "vary"):
                after = *effect.vary(*given[:2], draw.variants[rows]), given[2]
            else:
                after = effect(*given, self.generator)
            types[rows] = torch.where(_same(before, after).cpu(), 0, index)
            changed.append((rows, after))
        if changed:
            inputs, lengths, targets = _merge(changed, inputs, lengths, targets)
        return inputs, lengths, targets, replace(draw, types=types)

    def reproducible(self, draw):
        """Per row, what identifies its waveform after the draw: a hashable, or None where chance comes in."""
        keys = []
        for type_, variant in zip(draw.types.tolist(), draw.variants.tolist(), strict=True):
            effect = self.effects[self.names[type_]] if type_ else None
            if effect is None or effect.domain != "waveform":
                keys.append("original")
            else:
                keys.append((type_, variant) if hasattr(effect, "vary") else None)
        return keys

    def labels(self, draw, device):
        """The types as a target, [batch, len(names)] of zeros and a one."""
        return nn.functional.one_hot(draw.types, len(self.names)).float().to(device)


def _same(before, after):
    """Rows that an effect left as they were, bool [rows]: same length and same values inside it."""
    (old, old_lengths, _), (new, new_lengths, _) = before, after
    size = old.shape[1]
    same = absolute_lengths(old_lengths, size) == absolute_lengths(new_lengths, new.shape[1])
    overlap = min(size, new.shape[1])
    padding = ~valid_mask(old_lengths, size)[:, :overlap].view(len(old), overlap, *[1] * (old.ndim - 2))
    return same & ((old[:, :overlap] == new[:, :overlap]) | padding).flatten(1).all(1)


def _merge(changed, inputs, lengths, targets):
    """Put changed rows back, padding everything with zeros to the longest valid row."""
    steps = absolute_lengths(lengths, inputs.shape[1])
    for rows, (new, new_lengths, _) in changed:
        steps[rows] = absolute_lengths(new_lengths, new.shape[1])
    size = int(steps.max())
    kept = min(size, inputs.shape[1])
    merged = inputs.new_zeros(len(inputs), size, *inputs.shape[2:])
    merged[:, :kept] = inputs[:, :kept]
    targets = {k: t.clone() for k, t in targets.items()}
    for rows, (new, new_lengths, new_targets) in changed:
        kept = min(size, new.shape[1])
        merged[rows] = 0.0
        merged[rows, :kept] = zero_padding(new, new_lengths)[:, :kept]
        for k, t in new_targets.items():
            targets[k][rows] = t
    return merged, steps / size, targets
