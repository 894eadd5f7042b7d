"""The grid of folds and repeats: cells per minute, some at a time, on the cores or on one GPU."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

from benchmarks.setting import ROOT, data_options


def measure(options):
    """{cells at a time: cells per minute} of recipes/crossvalidate.py from the call to the summary."""
    result = {"epochs": options.epochs, "cells": options.folds, "cells_per_minute": {}}
    with tempfile.TemporaryDirectory(prefix="benchmark_") as folder:
        data = [f"--{key}={value}" for key, value in data_options(options, folder).items()]
        if "--corpus=synthetic" in data:  # made before the clock runs
            run(options, data, f"{folder}/first", 1, ["--folds=2", "--number_of_epochs=1"])
        for jobs in options.jobs:
            start = time.perf_counter()
            run(
                options, data, f"{folder}/{jobs}", jobs, [f"--folds={options.folds}", f"--number_of_epochs={options.epochs}"]
            )
            result["cells_per_minute"][jobs] = 60 * options.folds / (time.perf_counter() - start)
    first, *more = result["cells_per_minute"].items()
    result["speed_up"] = {jobs: rate / first[1] for jobs, rate in more}
    return result


def show(result):
    """Lines of text."""
    yield f"{result['cells']} cells of {result['epochs']} epochs, start and summary included:"
    for jobs, rate in result["cells_per_minute"].items():
        gain = f", {result['speed_up'][jobs]:.2f} times the first" if jobs in result["speed_up"] else ""
        yield f"{jobs} at a time: {rate:.2f} cells a minute{gain}"


def run(options, data, folder, jobs, more):
    """The grid, as a process of its own."""
    command = [sys.executable, str(ROOT / "recipes" / "crossvalidate.py"), str(options.yaml), *data, f"--jobs={jobs}"]
    command += [f"--device={options.device}", f"--output_folder={folder}", *more]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    if done.returncode or not pathlib.Path(folder, "summary.json").exists():
        raise RuntimeError(f"the grid with {jobs} cells at a time failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
