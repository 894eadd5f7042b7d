"""How a broken contract is said."""

import traceback

from mtlaug_sb.registry import place
from mtlaug_sb.testing.pretended_tensor import MixedDevices


class ContractError(AssertionError):
    """A plugin does not keep its contract; the message says which and how."""


def expect(condition, what):
    """Raise a ContractError that says ``what`` unless the condition holds."""
    if not condition:
        raise ContractError(what)


def shape(value):
    """How to show what a plugin returned: the shape of a tensor, the type of anything else."""
    return str(list(value.shape)) if hasattr(value, "shape") else f"{type(value).__name__} {_one_line(repr(value)):.60}"


def run_check(check, cls):
    """Run one check on a plugin.

    Raises
    ------
    ContractError
        With the names of the plugin and of the check; also for any other error inside the plugin, with its place.
    """
    try:
        check(cls)
    except ContractError as error:
        raise ContractError(f"{cls.plugin}: {_one_line(error)} (check '{name(check)}')") from None
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if f.filename == place(cls).file] or frames
        at = f"{own[-1].filename}:{own[-1].lineno}, in {own[-1].name}"
        said = _one_line(f"{type(error).__name__}: {error}")
        hint = "" if isinstance(error, MixedDevices) else _hint(cls)
        raise ContractError(f"{cls.plugin}: stopped with {said} ({at}){hint} (check '{name(check)}')") from error


def _hint(cls):
    """What may be wrong where a plugin stops: the checks' inputs are not its own."""
    kind = cls.plugin.partition("/")[0]
    if kind not in ("features", "encoder", "head", "augmentation") or hasattr(cls, "example_inputs"):
        return ""
    return "; if it needs other inputs than these, give the class a static method example_inputs() -> (inputs, lengths)"


def name(check):
    """A check's name."""
    return check.__name__.removeprefix("check_")


def sentence(check):
    """What a check checks."""
    return check.__doc__.partition("\n")[0]


def _one_line(text):
    return " ".join(str(text).split())
