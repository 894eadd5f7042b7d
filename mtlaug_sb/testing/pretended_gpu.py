"""A GPU that is none: whether code would run on one, and where it would wait for it, on a machine that has none."""

import collections
import contextlib
import pathlib
import traceback
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from mtlaug_sb.testing.pretended_tensor import DEVICE, Elsewhere, MixedDevices, inner_of

# operations: that wait for their result's value or size, that take an index of main memory, that take no lone number of it
WAITS = {"_local_scalar_dense", "item", "is_nonzero", "nonzero", "masked_select", "equal", "bincount"}
WAITS |= {"unique_dim", "unique_consecutive", "_unique2", "repeat_interleave"}
INDEXED = {"index", "index_put", "index_put_", "_index_put_impl_"}
JOINED = {"cat", "stack"}
PACKED = "_pack_padded_sequence"  # whose lengths have to be in main memory
TORCH, PRETENCE = f"{pathlib.Path(torch.__file__).parent}/", str(pathlib.Path(__file__).with_name("pretended_"))


class PretendedGpu(contextlib.ExitStack):
    """Within it, tensors and modules moved to ``device`` keep their numbers in main memory, and say that they are elsewhere.

    What a GPU refuses, it refuses: to compute with a tensor that was left in main memory, to draw by a generator of the CPU,
    to be read by NumPy. Where the program asks for something back is counted, as it waits then until the GPU is done: a
    value, a result whose size depends on values. (To copy something there may take its time, too.) Numbers and gradients are
    those of the CPU, but for rounding; mixed precision has no effect. The name of the device is "meta". What an operation
    costs on a GPU, and which cannot be had there, it does not know. It holds for the thread that enters it. A parameter that
    moves is a new one: it is no longer shared, and where a list holds it as well, the one in the list stays behind.

    Attributes
    ----------
    device : torch.device
        To be moved to.
    waits : collections.Counter
        (What, file:line) -> times that the program would have waited for the GPU.

    Example
    -------
    >>> with PretendedGpu() as gpu:
    ...     x = torch.ones(3).to(gpu.device)
    ...     y = x + x.sum().item()
    >>> y.device == gpu.device, sum(gpu.waits.values())
    (True, 1)
    """

    device = DEVICE

    def __enter__(self):
        self.waits = collections.Counter()
        with contextlib.ExitStack() as stack:  # what was begun is ended where a part of it fails
            self._begin(stack)
            self.push(stack.pop_all())
        return self

    def _begin(self, stack):
        overwriting = torch.__future__.get_overwrite_module_params_on_conversion()
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwriting)
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # a parameter becomes one of the other kind
        # mixed precision cannot be had for a device of this name
        stack.enter_context(mock.patch.object(torch.autocast, "__init__", _autocast_as_on_the_cpu(torch.autocast.__init__)))
        stack.enter_context(_Operations(self.waits))
        stack.enter_context(_Factories())


class _Factories(TorchFunctionMode):
    """Tensors made of Python's numbers, which do not come by way of an operation."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function in (torch.tensor, torch.as_tensor) and _is(kwargs.get("device"), DEVICE.type):
            del kwargs["device"]
            return function(*args, **kwargs).to(DEVICE)
        # whose lengths may be in main memory
        if function in (torch.ctc_loss, torch.nn.functional.ctc_loss) and isinstance(args[0], Elsewhere):
            args = (*args[:2], *(x.to(DEVICE) if isinstance(x, torch.Tensor) else x for x in args[2:4]), *args[4:])
        return function(*args, **kwargs)


class _Operations(TorchDispatchMode):
    """Every operation, done in main memory, with a look at where its tensors are said to be."""

    def __init__(self, waits):
        super().__init__()
        self.waits = waits

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.prim.device.default:
            return DEVICE
        args, kwargs, device = _here(function, args, dict(kwargs or {}))
        name = function.overloadpacket.__name__
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        elsewhere = any(isinstance(x, Elsewhere) for x in tensors)
        if (elsewhere or _is(device, DEVICE.type)) and kwargs.get("generator") is not None:
            raise MixedDevices(f"{name} draws on the GPU by a generator of the CPU: draw on the CPU, and move what is drawn")
        if elsewhere:
            self._look_at(function, name, args, tensors)
        if _is(device, "cpu") and elsewhere:
            self._wait("copy to main memory")
        result = function(*tree_map(inner_of, args), **tree_map(inner_of, kwargs))
        if torch.Tag.inplace_view in function.tags and isinstance(args[0], Elsewhere):
            with no_dispatch():  # what it says of its shape follows
                function(*args, **kwargs)
        if name == PACKED and elsewhere:
            return _moved(result[0]), result[1]
        stays = elsewhere and not _is(device, "cpu")
        return tree_map(_moved, result) if stays or _is(device, DEVICE.type) else result

    def _look_at(self, function, name, args, tensors):
        if name == PACKED and isinstance(args[1], Elsewhere):
            raise MixedDevices("pack_padded_sequence takes lengths of the CPU: give it lengths.cpu()")
        if _left_behind(function, name, args, tensors):
            said = ", ".join(f"{list(x.shape)} of {'the GPU' if isinstance(x, Elsewhere) else 'the CPU'}" for x in tensors)
            raise MixedDevices(
                f"'{name}' of tensors on several devices: {said}; make them with device=x.device, move them with "
                f".to(x.device), or keep them by register_buffer"
            )
        if name == "copy_" and not isinstance(args[0], Elsewhere):
            self._wait("copy to main memory")
        if name in INDEXED and any(x is not None and x.dtype in (torch.bool, torch.uint8) for x in args[1]):
            self._wait("index of true and false")
        if name in WAITS:
            self._wait(name)

    def _wait(self, what):
        stack = [f for f in traceback.extract_stack() if not f.filename.startswith((TORCH, PRETENCE))]
        self.waits[what, f"{stack[-1].filename}:{stack[-1].lineno}"] += 1


def _autocast_as_on_the_cpu(begin):
    return lambda self, device_type, *rest, **more: begin(
        self, "cpu" if device_type == DEVICE.type else device_type, *rest, **more
    )


def _here(function, args, kwargs):
    """Arguments of an operation that makes its result in main memory, and the device that it was asked to make it on."""
    names = [argument.name for argument in function._schema.arguments]
    asked = dict(zip(names, args, strict=False)) | kwargs
    if asked.get("device") is None:
        return args, kwargs, None
    place = names.index("device")
    if place < len(args):  # as x.to(device) comes in inference mode
        args = (*args[:place], torch.device("cpu"), *args[place + 1 :])
    else:
        kwargs["device"] = torch.device("cpu")
    return args, kwargs | ({"pin_memory": False} if "pin_memory" in kwargs else {}), asked["device"]


def _is(device, kind):
    return device is not None and torch.device(device).type == kind


def _moved(x):
    return Elsewhere(x) if isinstance(x, torch.Tensor) and not isinstance(x, Elsewhere) else x


def _left_behind(function, name, args, tensors):
    """Tensors of main memory that an operation of a GPU's does not take."""
    if name in ("copy_", PACKED):
        return []
    written = [
        x
        for place, x in zip(function._schema.arguments, args, strict=False)
        if place.alias_info is not None and place.alias_info.is_write
    ]
    index = [x for x in args[1] if x is not None] if name in INDEXED else []
    here = [x for x in tensors if not isinstance(x, Elsewhere) and not any(x is i for i in index)]
    # a lone number may be in main memory, if nothing is written to it
    return [x for x in here if x.ndim > 0 or name in JOINED or any(x is w for w in written)]
