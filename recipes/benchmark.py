#!/usr/bin/env python3
"""How fast, and how far from the machine's limit: python recipes/benchmark.py [--only=SECTION,...] [--output=FILE.json]

Prints and writes side by side, as ratios of what is measured in turns in one run:

  steps      training steps: the toolkit, the same modules in a bare loop, and a recipe from SpeechBrain's stock parts
  parts      where a step's time goes
  waits      where a step would hold the program up on a GPU, which is pretended here
  precision  training steps in 32 bits, in bf16, and compiled
  peak       arithmetic done, as a fraction of the machine's own rate in matrix products
  tasks      what five more tasks cost
  grid       cells of a cross-validation per minute, some at a time
  inference  real-time factor, latency and memory (recipes/benchmark_inference.py)
  growth     start-up, memory and steps per second with 1,000, 100,000 and 1,000,000 rows of manifest

On real speech where --data_folder (or the environment's MTLAUG_DATA, with emodb/ in it) names some, else on the synthetic
corpus; on --device=cpu, or on a GPU where there is one (tasks, inference and growth on the CPU always). Absolute times are
those of this machine while it did what else it did; the ratios are what counts.
"""

import argparse
import importlib
import json
import os
import pathlib
import platform
import sys
import time

import torch

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.evaluation.results import versions

SECTIONS = ("steps", "parts", "waits", "precision", "peak", "tasks", "grid", "inference", "growth")


def main(arguments):
    """Measure, print, and write what was asked for; returns it."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    result = {"machine": machine(options)}
    for name in options.only:
        section = importlib.import_module(f"benchmarks.{name}")
        start = time.perf_counter()
        result[name] = section.measure(options)
        print(f"\n{name}: {section.__doc__.splitlines()[0]}")
        print("\n".join(section.show(result[name])))
        result[name]["seconds"] = round(time.perf_counter() - start, 1)
        if options.output:
            write_atomically(options.output, json.dumps(result, indent=1))
    return result


def parse(arguments):
    """The options.

    Raises
    ------
    ValueError
        If a section is unknown.
    """
    parser = argparse.ArgumentParser(
        prog="benchmark.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    numbers = {"type": lambda text: [int(n) for n in text.split(",")], "metavar": "N,..."}
    gpu = torch.cuda.is_available()
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(SECTIONS), metavar="SECTION,...")
    parser.add_argument("--yaml", default=str(pathlib.Path(__file__).parents[1] / "hparams" / "mtl_aug.yaml"))
    parser.add_argument("--corpus", help="such as ravdess; needs --data_folder")
    parser.add_argument("--data_folder")
    parser.add_argument("--device", default="cuda:0" if gpu else "cpu")
    parser.add_argument("--threads", type=int, default=1, help="of this process")
    parser.add_argument("--rounds", type=int, default=40, help="turns; their median counts")
    parser.add_argument("--fill", type=int, default=30, help="epochs of 96 utterances that fill the caches beforehand")
    parser.add_argument("--tasks", type=int, default=5, help="more tasks, of section tasks")
    parser.add_argument(
        "--jobs", **numbers, default=[1, 2, 4, 8] if gpu else [1, 2], help="cells at a time, of section grid"
    )
    parser.add_argument("--folds", type=int, default=4, help="cells of the grid")
    parser.add_argument("--epochs", type=int, default=8, help="of a cell")
    parser.add_argument("--model", help="folder of a trained model, for section inference (default: one is trained briefly)")
    parser.add_argument("--hours", type=float, default=0.5, help="of the long recording, of section inference")
    parser.add_argument("--rows", **numbers, default=[1000, 100_000, 1_000_000], help="of section growth")
    parser.add_argument("--steps", type=int, default=30, help="that section growth times")
    parser.add_argument("--output", help="JSON file, written after every section")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.only if name not in SECTIONS]:
        raise ValueError(f"--only: no section '{unknown[0]}'; the sections are {', '.join(SECTIONS)}")
    if options.corpus and options.corpus != "synthetic" and not options.data_folder:
        raise ValueError(f"--corpus={options.corpus} needs --data_folder")
    return options


def machine(options):
    """What the figures belong to."""
    name = platform.processor() or platform.machine()
    if pathlib.Path("/proc/cpuinfo").exists():
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), name)
    cuda = options.device.startswith("cuda")
    return {
        "processor": name,
        "cores": os.cpu_count(),
        "load_when_started": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "threads": options.threads,
        "device": torch.cuda.get_device_name(options.device) if cuda else "cpu",
        "versions": versions(),
    }


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")
