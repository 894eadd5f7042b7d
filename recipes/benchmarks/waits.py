"""Where a training step would wait for a GPU, counted on a pretended one: no times, and the same on every machine."""

import argparse
import collections
import pathlib
import tempfile

from benchmarks.setting import ROOT, Setting
from mtlaug_sb.testing.pretended_gpu import PretendedGpu


def measure(options):
    """Waits a step, once features are kept and without caches, and where they are."""
    with tempfile.TemporaryDirectory(prefix="benchmark_") as folder:
        kept = _waits(options, f"{folder}/kept", options.fill)
        return {
            "waits_a_step": sum(kept.values()),
            "waits_a_step_without_caches": sum(_waits(options, f"{folder}/uncached", 0, cache_mb=0).values()),
            "places": [{"what": what, "where": where, "a_step": n} for (what, where), n in kept.most_common()],
        }


def show(result):
    """Lines of text."""
    without = result["waits_a_step_without_caches"]
    yield f"{result['waits_a_step']:.1f} times a step once features are kept, {without:.1f} without caches"
    for place in result["places"]:
        yield f"{place['a_step']:6.1f}  {place['what']:<22} {place['where']}"


def _waits(options, folder, fill, **overrides):
    with PretendedGpu() as gpu:
        there = argparse.Namespace(**{**vars(options), "device": str(gpu.device)})
        # PyTorch has no fused optimiser for a device that it does not know
        setting = Setting(there, folder, opt_class={"fused": False}, **overrides)
        setting.fill_caches(fill)
        gpu.waits.clear()
        for _ in range(options.steps):
            setting.step()
    return collections.Counter({(what, _short(where)): n / options.steps for (what, where), n in gpu.waits.items()})


def _short(where):
    """file:line, from the repository on."""
    path = pathlib.Path(where)
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name
