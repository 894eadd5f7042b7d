"""A plugin on a GPU, which is pretended: see ``pretended_gpu``."""

import copy
import math
import warnings

import torch
from torch import nn
from torch.utils._pytree import tree_leaves, tree_map

from mtlaug_sb.testing.contract import ContractError, expect
from mtlaug_sb.testing.examples import close, make_example
from mtlaug_sb.testing.pretended_gpu import PretendedGpu
from mtlaug_sb.testing.pretended_tensor import MixedDevices


def expect_same_on_a_gpu(call, cls, *given):
    """Raise an error unless ``call(plugin, *given)`` returns on a GPU what it does on the CPU, and a step of training works.

    Arguments
    ---------
    call : callable
        The plugin and its inputs -> what it returns.
    cls : type
        Of the plugin, which is made for it.
    given
        Tensors, and dictionaries of tensors; they are moved with the plugin.

    Raises
    ------
    ContractError
        If it returns something else, or leaves it on the CPU.
    MixedDevices
        If it needs tensors of both.
    """
    here = tree_leaves(call(_ready(cls), *given))
    with PretendedGpu() as gpu:
        try:
            plugin = _ready(cls)
            plugin = _copied(plugin).to(gpu.device) if isinstance(plugin, nn.Module) else plugin
            given = tree_map(lambda x: x.to(gpu.device) if torch.is_tensor(x) else x, given)
            there = call(plugin, *given)
            if isinstance(plugin, nn.Module):
                _learn(call(plugin.train(), *given))
        except (MixedDevices, ContractError):
            raise
        except Exception as error:
            if "meta" in str(error) and "cpu" in str(error).lower():  # PyTorch has looked at the devices itself
                raise MixedDevices(str(error).replace("meta", "the GPU")) from error
            # an operation of which only a GPU knows whether it can be done there
            warnings.warn(f"{cls.plugin} was not tried on a GPU: {type(error).__name__}: {error}", stacklevel=2)
            return
        there = tree_leaves(there)
        left = [list(x.shape) for x in there if torch.is_tensor(x) and x.device != gpu.device]
        there = [x.cpu() if torch.is_tensor(x) else x for x in there]
    expect(not left, f"returns tensors of the CPU for inputs on a GPU, {left}: make them with device=x.device")
    same = len(here) == len(there) and all(map(_alike, here, there))
    expect(same, "gives something else on a GPU than on the CPU")


def _ready(cls):
    plugin = make_example(cls)
    return plugin.eval() if isinstance(plugin, nn.Module) else plugin


def _copied(plugin):
    """Another plugin may be a part of it, of which the example has only one: it stays as it is."""
    try:
        return copy.deepcopy(plugin)
    except Exception:  # the session of another library, say
        return plugin


def _alike(one, other):
    return close(one, other) if torch.is_tensor(one) else math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-6)


def _learn(returned):
    """A backward pass from all that has a gradient."""
    learned = [x.sum() for x in tree_leaves(returned) if torch.is_tensor(x) and x.requires_grad]
    if learned:
        sum(learned).backward()
