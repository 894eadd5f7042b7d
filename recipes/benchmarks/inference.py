"""Inference: recipes/benchmark_inference.py on a model that was given, or on one that is trained for an epoch."""

import json
import os
import subprocess
import sys
import tempfile

from benchmarks.setting import ROOT, Setting, data_options


def measure(options):
    """What recipes/benchmark_inference.py reports."""
    with tempfile.TemporaryDirectory(prefix="benchmark_") as folder:
        data = [f"--{key}={value}" for key, value in data_options(options, folder).items()]
        if options.model is None:  # speed does not depend on what a model has learned
            run(
                "train.py",
                str(options.yaml),
                *data,
                "--number_of_epochs=1",
                f"--output_folder={folder}/model",
                "--noprogressbar",
                "--device=cpu",
            )
        paths = [record["path"] for record in Setting(options, folder).records.spread(30).values()]
        model = options.model or f"{folder}/model"
        return json.loads(run("benchmark_inference.py", model, *paths, f"--hours={options.hours}"))


def show(result):
    """Lines of text."""
    for name, factor in result["real_time_factor"].items():
        yield f"{name:<24} real-time factor {factor['median']:.5f} ({factor['times_slower']:.2f} times the first)"
    latency = result["latency_3_s_ms"]
    yield f"latency of a 3 s file: {latency['median']} ms, 95th percentile {latency['p95']} ms"
    yield "peak memory, MB: " + ", ".join(f"{name} {size}" for name, size in result["peak_memory_mb"].items())


def run(recipe, *arguments):
    """A recipe as a process of its own; returns what it printed."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(ROOT / "recipes" / recipe), *arguments]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{recipe} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout
