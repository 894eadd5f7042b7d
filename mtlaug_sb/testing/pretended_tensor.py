"""A tensor that says it is on a GPU, and keeps its numbers in main memory: what ``pretended_gpu`` is made of."""

import torch

DEVICE = torch.device("meta")  # the one name of a device that PyTorch takes without asking for hardware


class MixedDevices(RuntimeError):
    """An operation would need tensors of the GPU and of main memory at once, or numbers of the one where the other is."""


class Elsewhere(torch.Tensor):
    """A tensor of the pretended GPU; its numbers are ``inner``."""

    @staticmethod
    def __new__(cls, inner):
        like = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        return torch.Tensor._make_wrapper_subclass(cls, inner.shape, **like, dispatch_device=True)

    def __init__(self, inner):
        self.inner = inner

    def __repr__(self):
        return f"{self.inner!r} elsewhere"

    def __getitem__(self, index):
        return super().__getitem__(without_lists(index))

    def __setitem__(self, index, value):
        super().__setitem__(without_lists(index), value)

    def tolist(self):
        return self.detach().cpu().tolist()

    def numpy(self, *, force=False):
        if force:
            return self.detach().cpu().numpy()
        raise MixedDevices("a tensor of the GPU is no NumPy array: x.cpu() before .numpy()")

    def __array__(self, *_, **__):
        return self.numpy()

    def __format__(self, form):
        return format(self.item() if self.ndim == 0 else str(self), form)

    def _set_data(self, value):
        torch.Tensor.data.__set__(self, value)
        self.inner = inner_of(value).detach()

    data = property(torch.Tensor.data.__get__, _set_data)

    def new_tensor(self, data, dtype=None, **_):
        return torch.tensor(data, dtype=dtype or self.dtype).to(DEVICE)

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        if function is torch.ops.prim.device.default:
            return DEVICE
        raise RuntimeError(f"{function} on a tensor of a pretended GPU, outside of it: after its end, or in another thread")


def inner_of(x):
    """The numbers of a tensor that is elsewhere; anything else as it is."""
    return x.inner if isinstance(x, Elsewhere) else x


def without_lists(index):
    """An index whose lists are tensors, which PyTorch would otherwise make without asking anybody."""
    if isinstance(index, tuple):
        return tuple(map(without_lists, index))
    return torch.tensor(index, dtype=None if index else torch.long).to(DEVICE) if isinstance(index, list) else index
