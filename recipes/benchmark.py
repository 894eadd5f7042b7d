#!/usr/bin/env python3
"""What a task costs: python recipes/benchmark.py [--tasks=5] [--rounds=40] [--output=benchmark.json]

Times training steps of hparams/stl_aug.yaml as it is and with more tasks, turn by turn, and beside them what the heads of
those tasks cost by themselves (forward, backward and optimiser on frames that are there). If the loop adds nothing of its
own, the steps grow by that and no more.
"""

import argparse
import json
import os
import pathlib
import statistics
import tempfile
import time

import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.dataio.batch import PaddedBatch

from mtlaug_sb import make
from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.brain import MultiTaskBrain
from mtlaug_sb.experiment import read_experiment
from mtlaug_sb.task import Task

YAML = pathlib.Path(__file__).parents[1] / "hparams" / "stl_aug.yaml"


def main():
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=5, help="how many are added")
    parser.add_argument("--rounds", type=int, default=40, help="steps of each kind; their median counts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", help="JSON file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result = measure_tasks(options.tasks, options.rounds) | {"threads": options.threads, "cpus": os.cpu_count()}
    print(f"A training step takes {result['step_ms']:.1f} ms; {result['step_with_tasks_ms']:.1f} ms with more tasks.")
    print(f"That is {result['growth_ms']:.1f} ms more; their heads by themselves take {result['heads_ms']:.1f} ms.")
    print(f"Growth / heads: {result['ratio']:.2f}")
    if options.output:
        write_atomically(options.output, json.dumps(result, indent=1))


def measure_tasks(n_tasks, rounds):
    """Medians in ms of a step, of a step with ``n_tasks`` more tasks, and of these tasks alone."""
    with tempfile.TemporaryDirectory() as folder:
        few, many = build(folder, 0), build(folder, n_tasks)
        batch = random_batch()
        alone = [task for name, task in many.tasks.items() if name.startswith("more_")]
        optimizer = torch.optim.AdamW([p for task in alone for p in task.parameters()])
        targets = torch.eye(4)[torch.arange(len(batch)) % 4]
        frames = torch.rand(len(batch), 40, 64, requires_grad=True)
        times = {"few": [], "many": [], "alone": []}
        for _ in range(rounds + 5):
            times["few"].append(timed(lambda: few.fit_batch(batch)))
            times["many"].append(timed(lambda: many.fit_batch(batch)))
            times["alone"].append(timed(lambda: heads_step(alone, frames, targets, optimizer)))
    few, many, alone = (1000 * statistics.median(values[5:]) for values in times.values())  # the first warm caches up
    growth = many - few
    return {
        "tasks": n_tasks,
        "step_ms": few,
        "step_with_tasks_ms": many,
        "growth_ms": growth,
        "heads_ms": alone,
        "ratio": growth / alone,
    }


def build(folder, n_more):
    """The system of the YAML with ``n_more`` tasks more, ready to train."""
    overrides = {"output_folder": folder, "data_folder": folder}
    hparams = load_hyperpyyaml(read_experiment(YAML), overrides, overrides_must_match=False)
    for i in range(n_more):
        head = make("head/attentive", input_size=64, n_classes=4)
        hparams["tasks"][f"more_{i}"] = Task("emotion", head, {"cross_entropy": make("loss/cross_entropy")})
    brain = MultiTaskBrain(hparams, {"device": "cpu", "noprogressbar": True})
    brain.steps_per_epoch = 10
    brain.on_fit_start()
    brain.modules.train()
    return brain


def random_batch(size=16, seconds=2.5, rate=16000):
    """Noise of different lengths with four classes."""
    generator = torch.Generator().manual_seed(0)
    rows = [
        {
            "id": str(i),
            "wav": torch.rand(int(rate * seconds * (0.8 + 0.4 * i / size)), generator=generator),
            "emotion": torch.eye(4)[i % 4],
        }
        for i in range(size)
    ]
    return PaddedBatch(rows, padded_keys=["wav"])


def heads_step(tasks, frames, targets, optimizer):
    """One step of tasks alone, on frames that are there."""
    lengths = torch.ones(len(frames))
    sum(task.objective(task(frames, lengths, targets)[1]) for task in tasks).backward()
    torch.nn.utils.clip_grad_norm_([p for task in tasks for p in task.parameters()], 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    frames.grad = None


def timed(step):
    """Seconds that a call takes."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
