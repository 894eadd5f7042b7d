"""Training steps in 32 bits, in bf16 (--precision=bf16), and with the encoder compiled (--compile_module_keys=encoder)."""

import tempfile

from benchmarks.setting import Setting, in_turns, medians_ms, ratio

BF16 = {"precision": "bf16"}
COMPILED = {"compile_module_keys": ["encoder"], "compile_using_dynamic_shape_tracing": True}
WAYS = {"fp32": {}, "bf16": BF16, "compiled": COMPILED, "bf16, compiled": BF16 | COMPILED}


def measure(options):
    """Milliseconds of a step in each way, in turns, and how many times as fast as fp32 each is."""
    with tempfile.TemporaryDirectory(prefix="benchmark_") as folder:
        settings = {name: Setting(options, f"{folder}/{name}", run_opts=run_opts) for name, run_opts in WAYS.items()}
        for setting in settings.values():
            setting.fill_caches(options.fill)
        times = in_turns({name: setting.step for name, setting in settings.items()}, options.rounds, options.device)
    return {"step_ms": medians_ms(times), "times_as_fast_as_fp32": {name: ratio(times, "fp32", name) for name in WAYS}}


def show(result):
    """Lines of text."""
    for name, ms in result["step_ms"].items():
        yield f"{name:<16} {ms:8.1f} ms a step, {result['times_as_fast_as_fp32'][name]:.2f} times as fast as fp32"
