"""A bound on what torch may allocate while strangers' settings are tried."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only


class AllocationError(MemoryError):
    """The settings ask for more memory than the weights could fill."""


class AllocationLimit(TorchDispatchMode):
    """Context in which every torch operation is first tried without memory (device "meta"), and refused when too large.

    Arguments
    ---------
    total_bytes : int
        Of all results together, whether they are still needed or not.
    operations : int
        How many operations there may be: a bound on time.

    Example
    -------
    >>> with AllocationLimit(1000):
    ...     torch.zeros(10**12)
    Traceback (most recent call last):
    ...
    mtlaug_sb.inference.allocation_limit.AllocationError: an array of 4.0 TB is asked for, and 1.0 kB are left
    """

    def __init__(self, total_bytes, operations=50_000):
        super().__init__()
        self.room, self.operations = total_bytes, operations

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # torch would import its compiler, which takes seconds, only to keep it off this class

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        self.operations -= 1
        if self.operations < 0:
            raise AllocationError("too many operations to make it")
        size = _result_bytes(func, args, kwargs)
        if size > self.room:
            raise AllocationError(f"an array of {_shown(size)} is asked for, and {_shown(self.room)} are left")
        self.room -= size
        return func(*args, **kwargs)


def _result_bytes(func, args, kwargs):
    """What the results of an operation take, in bytes; 0 for one that writes into what is there already."""
    if func._schema.is_mutable:
        return 0
    meta_args, meta_kwargs = tree_map_only(torch.Tensor, lambda t: t.to("meta"), (args, dict(kwargs)))
    if "device" in meta_kwargs or any(a.name == "device" for a in func._schema.arguments):
        meta_kwargs["device"] = torch.device("meta")
    try:
        results = func(*meta_args, **meta_kwargs)
    except (RuntimeError, NotImplementedError):
        # an operation that needs the values, such as a comparison's truth; what makes arrays from sizes works without
        return 0
    return sum(t.numel() * t.element_size() for t in tree_flatten(results)[0] if isinstance(t, torch.Tensor))


def _shown(size):
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            return f"{size:.1f} {unit}"
        size /= 1000
    return None
