"""Checks of every kind of plugin: that it can be made, written down, and made again."""

import json

from torch import nn

from mtlaug_sb.registry import describe, make
from mtlaug_sb.testing.contract import ContractError, expect
from mtlaug_sb.testing.examples import make_example

MODULES = ("augmentation", "features", "encoder", "head", "loss", "weighting")


def check_can_be_made(cls):
    """It can be made with its defaults and its example."""
    instance = make_example(cls)
    if cls.plugin.partition("/")[0] in MODULES:
        expect(
            isinstance(instance, nn.Module),
            f"must be an nn.Module, so that it moves to the device and is saved with the others: "
            f"write class {cls.__name__}(nn.Module)",
        )
        expect("_modules" in vars(instance), "its __init__ must begin with super().__init__()")


def check_plain_data(cls):
    """What it was made with can be written down as plain data, and made again from it."""
    instance = make_example(cls)
    description = describe(instance)
    try:
        json.dumps(description)
    except (TypeError, ValueError) as error:
        raise ContractError(
            f"its arguments must be plain data (numbers, text, lists, dictionaries, or registered plugins), so that a "
            f"trained model can be written down; got {description} ({error})"
        ) from None
    again = make(**description)
    expect(describe(again) == description, f"is another one when it is made again: {describe(again)}, not {description}")
    if isinstance(instance, nn.Module):
        shapes, new = ({k: list(t.shape) for k, t in m.state_dict().items()} for m in (instance, again))
        expect(new == shapes, f"made again with the same arguments it has other parameters: {new}, not {shapes}")
