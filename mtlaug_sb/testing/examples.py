"""Small plugins and small batches to check them with."""

import inspect
import weakref

import torch

from mtlaug_sb.masking import zero_padding
from mtlaug_sb.plugin_arguments import required
from mtlaug_sb.registry import make
from mtlaug_sb.testing.contract import ContractError, expect, shape

# arguments without a default are made with these; a plugin with others says which in ``example``
EXAMPLE = {
    "input_size": 8,
    "output_size": 8,
    "n_classes": 3,
    "embedding_size": 8,
    "sample_rate": 16000,
    "names": ["a", "b", "c"],
    "label": "emotion",
    "labels": ["arousal", "valence"],
}
_made = weakref.WeakKeyDictionary()


def example_arguments(cls):
    """Arguments for a small instance: the class's ``example`` (a dictionary, or a static method that returns one, called
    once), and the usual values of what else has no default.

    Raises
    ------
    ContractError
        If an argument has neither a default nor a usual name.
    """
    example = getattr(cls, "example", {})
    if callable(example):
        expect(_takes_nothing(example), "example must be a dictionary, or a static method (@staticmethod, no arguments)")
        if cls not in _made:  # a folder with a tiny model, say: not to be written for every check
            _made[cls] = example()
        example = _made[cls]
    expect(isinstance(example, dict), f"example must be a dictionary of arguments, or return one; got {shape(example)}")
    arguments = dict(example)
    for name in required(cls):
        if name not in arguments and name not in EXAMPLE:
            raise ContractError(
                f"argument '{name}' has no default, and the checks do not know what to give it; give it a default, or give "
                f"the class an attribute example = {{'{name}': ...}}"
            )
        arguments.setdefault(name, EXAMPLE.get(name))
    return arguments


def make_example(cls):
    """A small instance of a plugin.

    Raises
    ------
    ContractError
        If an argument has neither a default nor a usual name.
    """
    arguments = example_arguments(cls)
    torch.manual_seed(0)
    return make(cls.plugin, **arguments)


def example_frames(dim=8):
    """Random frames [3, 40, dim], padding zero, with lengths [3] that are exact."""
    # odd lengths: where a layer strides, a relative length that is merely kept is then wrong
    return _padded(torch.tensor([40, 25, 13]), dim)


def example_wavs():
    """Random wavs [3, 8000], padding zero, with lengths [3] that are exact."""
    wavs, lengths = _padded(torch.tensor([8000, 4999, 2801]), 1)
    return wavs.squeeze(2), lengths


def example_inputs(cls, usual):
    """(inputs, lengths) to check a plugin with: its own ``example_inputs()``, or the usual ones that the function gives."""
    if not hasattr(cls, "example_inputs"):
        return usual()
    expect(_takes_nothing(cls.example_inputs), "example_inputs must be a static method (@staticmethod, no arguments)")
    given = cls.example_inputs()
    fits = isinstance(given, tuple) and len(given) == 2 and all(torch.is_tensor(x) for x in given)
    expect(fits, f"example_inputs() must return (inputs, lengths), two tensors; got {shape(given)}")
    inputs, lengths = given
    expect(
        inputs.ndim >= 2 and lengths.shape == inputs.shape[:1] and ((lengths > 0) & (lengths <= 1)).all(),
        f"example_inputs() must return inputs [batch, time, ...] and their relative lengths [batch] in (0, 1]; got inputs "
        f"{shape(inputs)} and lengths {lengths.tolist()}",
    )
    return inputs.clone(), lengths.clone()


def example_data(cls):
    """What a class's ``example_data()`` returns, copied, or None where it has none."""
    if not hasattr(cls, "example_data"):
        return None
    expect(_takes_nothing(cls.example_data), "example_data must be a static method (@staticmethod, no arguments)")
    given = cls.example_data()
    fits = isinstance(given, tuple) and len(given) in (2, 3) and all(torch.is_tensor(x) for x in given)
    expect(fits, f"example_data() must return tensors: (predictions, targets), or with lengths; got {shape(given)}")
    return tuple(x.detach().clone() for x in given)


def close(a, b):
    """Whether two tensors have one shape and, but for rounding, the same values."""
    return a.shape == b.shape and torch.allclose(a, b, atol=1e-5, equal_nan=True)


def lengths_in_range(lengths):
    """Whether relative lengths are finite and in (0, 1]."""
    return bool(((lengths > 0) & (lengths <= 1)).all())


def _padded(steps, dim):
    size = int(steps.max())
    lengths = steps / size
    x = torch.rand(len(steps), size, dim, generator=torch.Generator().manual_seed(1))
    return zero_padding(x, lengths), lengths


def _takes_nothing(function):
    return callable(function) and not any(
        p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        for p in inspect.signature(function).parameters.values()
    )
