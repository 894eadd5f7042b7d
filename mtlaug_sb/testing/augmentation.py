"""Checks of augmentations."""

import torch

from mtlaug_sb.masking import absolute_lengths
from mtlaug_sb.testing.contract import expect, shape
from mtlaug_sb.testing.elsewhere import expect_same_on_a_gpu
from mtlaug_sb.testing.examples import close, example_frames, example_inputs, example_wavs, lengths_in_range, make_example


def check_shapes(cls):
    """It returns inputs, lengths and targets: rows of the same kind, finite, with exact lengths."""
    effect, inputs, lengths, targets = _case(cls)
    _returned(effect, inputs, lengths, targets)
    _returned(effect, inputs, lengths, {})


def check_targets(cls):
    """Every target comes back in its shape, and one that is missing (NaN) stays missing."""
    effect, inputs, lengths, targets = _case(cls)
    _, _, new = _returned(effect, inputs, lengths, targets)
    shapes, new_shapes = ({k: list(t.shape) for k, t in some.items()} for some in (targets, new))
    expect(shapes == new_shapes, f"must return every target that it is given, in its shape: {shapes}, got {new_shapes}")
    for name, target in targets.items():
        invented = target.isnan() & ~new[name].isnan()
        expect(not invented.any(), "invents targets: where a target is missing (NaN), it must stay missing")


def check_seed(cls):
    """All chance comes from the generator: the same state of it, the same result."""
    effect, inputs, lengths, targets = _case(cls)
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        results.append(_returned(effect, inputs, lengths, targets, seed=3)[0])
    expect(
        close(*results),
        "draws chance from elsewhere than the given generator: the same generator, another result; "
        "write torch.rand(..., generator=generator)",
    )


def check_batch_of_one(cls):
    """A single row works, as short as its own length."""
    effect, inputs, lengths, targets = _case(cls)
    for i, n in enumerate(absolute_lengths(lengths, inputs.shape[1])):
        _returned(effect, inputs[i : i + 1, :n], torch.ones(1), {k: t[i : i + 1] for k, t in targets.items()})


def check_silence(cls):
    """Silence, all zeros, stays finite."""
    effect, inputs, lengths, targets = _case(cls)
    _returned(effect, torch.zeros_like(inputs), lengths, targets, of="silence")


def check_variants(cls):
    """Every variant, where it has some, is the same each time, and for an utterance alone and in a batch."""
    effect, inputs, lengths, _ = _case(cls)
    if not hasattr(effect, "vary"):
        expect(
            not hasattr(effect, "n_variants"),
            "has n_variants and no method vary(inputs, lengths, variants); it needs both, or neither",
        )
        return
    n_variants = getattr(effect, "n_variants", None)
    expect(
        isinstance(n_variants, int) and n_variants > 0,
        f"has a method vary and needs an attribute n_variants, the number of its outcomes; it is {n_variants!r}",
    )
    expect(effect.domain == "waveform", f"vary is for effects on the waveform; its domain is {effect.domain!r}")
    for variant in range(n_variants):
        results = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            results.append(_varied(effect, inputs, lengths, variant))
        expect(
            all(close(a, b) for a, b in zip(*results, strict=True)),
            f"variant {variant} is another one each time; vary must draw nothing (an effect that does, has no vary)",
        )
        for i, n in enumerate(absolute_lengths(lengths, inputs.shape[1])):
            (alone,) = _varied(effect, inputs[i : i + 1, :n], torch.ones(1), variant)
            together = results[0][i]
            expect(
                close(alone, together),
                f"variant {variant} gives an utterance {len(alone)} steps alone and {len(together)} in a batch, or other "
                f"values; each row must be changed within its own length",
            )


def check_on_a_gpu(cls):
    """On a pretended GPU it does what it does on the CPU, in training too."""
    effect, inputs, lengths, targets = _case(cls)
    expect_same_on_a_gpu(_returned, cls, inputs, lengths, targets)
    if hasattr(effect, "vary"):
        for variant in range(effect.n_variants):
            variants = torch.full((len(inputs),), variant)  # stays on the CPU, as in the policy
            expect_same_on_a_gpu(lambda e, x, n, variants=variants: e.vary(x, n, variants), cls, inputs, lengths)


def _case(cls):
    """An instance, inputs, lengths, and targets: one known, one partly known, one unknown."""
    effect = make_example(cls)
    domain = getattr(effect, "domain", None)
    expect(
        domain in ("waveform", "features"),
        f"needs an attribute domain, 'waveform' or 'features': where in the way of the data it acts; it is {domain!r}",
    )
    inputs, lengths = example_inputs(cls, example_wavs if domain == "waveform" else example_frames)
    some = torch.rand(len(inputs), 2)
    some[::2] = torch.nan
    return effect, inputs, lengths, {"a": torch.eye(len(inputs)), "b": some, "c": torch.full((len(inputs), 2), torch.nan)}


def _returned(effect, inputs, lengths, targets, seed=0, of="ordinary input"):
    """What the effect returns for copies, after a look at it."""
    copies = inputs.clone(), lengths.clone(), {k: t.clone() for k, t in targets.items()}
    out = effect(*copies, torch.Generator().manual_seed(seed))
    expect(isinstance(out, tuple) and len(out) == 3, f"must return (inputs, lengths, targets), got {shape(out)}")
    new, new_lengths, new_targets = out
    expect(isinstance(new_targets, dict), f"must return the targets as a dictionary, got {shape(new_targets)}")
    _expect_rows(new, new_lengths, inputs, of)
    return out


def _varied(effect, inputs, lengths, variant):
    """The valid part of every row after ``vary``."""
    out = effect.vary(inputs.clone(), lengths.clone(), torch.full((len(inputs),), variant))
    expect(isinstance(out, tuple) and len(out) == 2, f"vary must return (inputs, lengths), got {shape(out)}")
    _expect_rows(*out, inputs, "ordinary input")
    new, new_lengths = out
    return [row[:n] for row, n in zip(new, absolute_lengths(new_lengths, new.shape[1]), strict=True)]


def _expect_rows(new, new_lengths, inputs, of):
    expect(
        torch.is_tensor(new) and new.ndim == inputs.ndim and len(new) == len(inputs) and new.shape[2:] == inputs.shape[2:],
        f"was given inputs {shape(inputs)} and returned {shape(new)}; only the second dimension, time, may change",
    )
    expect(new.dtype == inputs.dtype, f"was given {inputs.dtype} and returned {new.dtype}")
    expect(torch.isfinite(new).all(), f"returns NaN or infinity for {of}")
    expect(
        torch.is_tensor(new_lengths) and new_lengths.shape == (len(inputs),) and lengths_in_range(new_lengths),
        f"must return relative lengths [{len(inputs)}] in (0, 1], got {new_lengths}",
    )
    steps = new_lengths.double() * new.shape[1]
    expect(
        ((steps - steps.round()).abs() < 0.01).all() and (steps.round() > 0).all(),
        f"lengths must be exact: whole steps divided by the new size {new.shape[1]}; times that size they are "
        f"{[round(s, 2) for s in steps.tolist()]}",
    )


AUGMENTATION = [
    check_shapes,
    check_targets,
    check_seed,
    check_batch_of_one,
    check_silence,
    check_variants,
    check_on_a_gpu,
]
