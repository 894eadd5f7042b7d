"""Arithmetic of a step against what the machine does in matrix products."""

import statistics
import tempfile

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.setting import Setting, in_turns


def measure(options):
    """Floating-point operations of a step, and both rates, measured in turns."""
    size = 8192 if options.device.startswith("cuda") else 1536
    a, b = (torch.rand(size, size, device=options.device) for _ in range(2))
    with tempfile.TemporaryDirectory(prefix="benchmark_") as folder:
        setting = Setting(options, folder)
        setting.fill_caches(options.fill)
        counts = [count(setting) for _ in range(5)]
        times = in_turns({"step": setting.step, "matrix product": lambda: a @ b}, options.rounds, options.device)
    step, product = (statistics.median(times[name]) for name in ("step", "matrix product"))
    flop = statistics.mean(counts)
    rate, peak = flop / step, 2 * size**3 / product
    names = ("flop_of_a_step", "gflop_s_of_training", "gflop_s_of_matrix_products", "fraction")
    return dict(zip(names, (flop, rate / 1e9, peak / 1e9, rate / peak), strict=True))


def show(result):
    """Lines of text."""
    yield f"a step has {result['flop_of_a_step'] / 1e9:.2f} GFLOP in convolutions, recurrences and matrix products"
    rate, peak = result["gflop_s_of_training"], result["gflop_s_of_matrix_products"]
    yield f"{rate:.1f} GFLOP/s; the machine in a matrix product {peak:.1f}: {100 * result['fraction']:.1f} % of it"


def count(setting):
    """Floating-point operations of a step, forward and backward (no spectra, no element-wise operations)."""
    # the recurrent layer as matrix products, which are counted; as one operation it is not
    cudnn, mkldnn = torch.backends.cudnn.flags(enabled=False), torch.backends.mkldnn.flags(enabled=False)
    with cudnn, mkldnn, FlopCounterMode(display=False) as counter:
        setting.step()
    return counter.get_total_flops()
