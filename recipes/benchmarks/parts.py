"""Where a step's time goes: each part's own time, without that of the parts inside it."""

import contextlib
import tempfile
import time
from collections import defaultdict

import torch

from benchmarks.setting import Setting, wait_for

PARTS = ("reading", "augmentation", "features", "encoder", "heads and losses", "backward", "optimiser", "logging", "loop")


def measure(options):
    """Milliseconds and shares of each part of a step, with the caches filled and without caches."""
    result = {}
    with tempfile.TemporaryDirectory(prefix="benchmark_") as folder:
        for name, megabytes in {"with caches": 500.0, "without caches": 0.0}.items():
            setting = Setting(options, f"{folder}/{megabytes:g}", cache_mb=megabytes)
            if megabytes:
                setting.fill_caches(options.fill)
            result[name] = of_steps(setting, options.rounds, options.device)
    return result


def show(result):
    """Lines of a table."""
    yield f"{'':<18}" + "".join(f"{name:>24}" for name in result)
    for part in PARTS:
        cells = [f"{r['ms'][part]:.2f} ms ({100 * r['shares'][part]:.1f} %)" for r in result.values()]
        yield f"{part:<18}" + "".join(f"{cell:>24}" for cell in cells)
    shares = [f"{100 * r['augmentation_and_features']:.1f} %" for r in result.values()]
    yield f"{'augm. + features':<18}" + "".join(f"{share:>24}" for share in shares)


def of_steps(setting, rounds, device):
    """Mean milliseconds of each part over some steps, and the shares."""
    clock, brain = Clock(device), setting.brain
    modules, tasks = brain.modules, [m for name, m in brain.modules.items() if name.startswith("task_")]
    with contextlib.ExitStack() as stack:
        watch = lambda *what: stack.enter_context(clock.watching(*what))  # noqa: E731
        for method in ("draw", "apply", "labels", "reproducible"):
            watch("augmentation", brain.policy, method)
        watch("features", brain.input, "cache")
        for name in ("features", "normalization"):
            watch("features", modules[name], "forward")
        watch("encoder", modules["encoder"], "forward")
        for task in tasks:
            watch("heads and losses", task, "forward")
        watch("backward", torch.Tensor, "backward")
        watch("optimiser", brain, "optimizers_step")
        watch("logging", brain, "compute_objectives")
        for turn in range(rounds + 3):
            if turn == 3:  # the first warm up
                clock.seconds.clear()
            with clock.part("reading"):
                batch = next(setting.batches)
            brain.step = 1 + brain.step % brain.steps_per_epoch
            with clock.part("loop"):
                brain.fit_batch(batch)
    ms = {part: 1000 * clock.seconds[part] / rounds for part in PARTS}
    whole = sum(ms.values())
    shares = {part: value / whole for part, value in ms.items()}
    both = shares["augmentation"] + shares["features"]
    return {"ms": ms, "shares": shares, "step_ms": whole, "augmentation_and_features": both}


class Clock:
    """Seconds by part; while a part inside another runs, the outer one's clock stands still.

    Arguments
    ---------
    device : str
        A GPU is waited for at every change of part, so that its time is counted where it arises (and is longer in all).
    """

    def __init__(self, device="cpu"):
        self.device, self.seconds, self._running, self._since = device, defaultdict(float), [], 0.0

    @contextlib.contextmanager
    def part(self, name):
        """Count what happens inside as a part's."""
        self._switch()
        self._running.append(name)
        try:
            yield
        finally:
            self._switch()
            self._running.pop()

    @contextlib.contextmanager
    def watching(self, part, owner, attribute):
        """Count the calls of a callable, which is an attribute of an object or a class, as a part's."""
        original, own = getattr(owner, attribute), attribute in vars(owner)

        def timed(*args, **kwargs):
            with self.part(part):
                return original(*args, **kwargs)

        setattr(owner, attribute, timed)
        try:
            yield
        finally:
            setattr(owner, attribute, original) if own else delattr(owner, attribute)

    def _switch(self):
        wait_for(self.device)
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now
