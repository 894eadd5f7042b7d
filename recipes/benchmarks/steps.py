"""Training steps per second: the toolkit, the same modules in a bare loop, and a recipe from SpeechBrain's stock parts."""

import tempfile

from benchmarks.bare_loop import BareLoop
from benchmarks.setting import Setting, in_turns, medians_ms, ratio
from benchmarks.stock_recipe import make_stock


def measure(options):
    """Milliseconds of a step of each, in turns, and their ratios."""
    with tempfile.TemporaryDirectory(prefix="benchmark_") as folder:
        uncached = Setting(options, f"{folder}/uncached", cache_mb=0)
        toolkit = Setting(options, f"{folder}/toolkit")
        toolkit.fill_caches(options.fill)
        bare = BareLoop(Setting(options, f"{folder}/bare", cache_mb=0))
        candidates = {
            "toolkit": toolkit.step,
            "toolkit without caches": uncached.step,
            "bare loop": bare.step,
            "stock SpeechBrain": make_stock(toolkit),
        }
        times = in_turns(candidates, options.rounds, options.device)
    return {
        "step_ms": medians_ms(times),
        # both without caches: what the loop adds to the modules
        "speed_of_bare_loop": ratio(times, "bare loop", "toolkit without caches"),
        "times_as_fast_as_stock": ratio(times, "stock SpeechBrain", "toolkit"),
        "times_as_fast_as_stock_without_caches": ratio(times, "stock SpeechBrain", "toolkit without caches"),
    }


def show(result):
    """Lines of text."""
    for name, ms in result["step_ms"].items():
        yield f"{name:<24} {ms:8.1f} ms a step"
    yield f"speed of the toolkit as a share of the bare loop's, both without caches: {result['speed_of_bare_loop']:.2f}"
    fast, without = result["times_as_fast_as_stock"], result["times_as_fast_as_stock_without_caches"]
    yield f"times as fast as the stock recipe: {fast:.2f} ({without:.2f} without caches)"
