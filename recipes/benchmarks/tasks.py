"""What a task costs: steps of hparams/stl_aug.yaml as it is and with more tasks, and the heads of those by themselves.

If the loop adds nothing of its own, the steps grow by what the heads cost (forward, backward and optimiser on frames that
are there) and no more.
"""

import tempfile

import torch
from hyperpyyaml import load_hyperpyyaml
from speechbrain.dataio.batch import PaddedBatch

from benchmarks.setting import ROOT, in_turns, medians_ms
from mtlaug_sb import make
from mtlaug_sb.brain import MultiTaskBrain
from mtlaug_sb.experiment import read_experiment
from mtlaug_sb.task import Task

YAML = ROOT / "hparams" / "stl_aug.yaml"


def measure(options):
    """Medians in ms of a step, of a step with more tasks, and of these tasks alone."""
    n_tasks, rounds = options.tasks, options.rounds
    with tempfile.TemporaryDirectory() as folder:
        few, many = build(folder, 0), build(folder, n_tasks)
        batch = random_batch()
        alone = [task for name, task in many.tasks.items() if name.startswith("more_")]
        optimizer = torch.optim.AdamW([p for task in alone for p in task.parameters()])
        targets = torch.eye(4)[torch.arange(len(batch)) % 4]
        frames = torch.rand(len(batch), 40, 64, requires_grad=True)
        candidates = {"few": lambda: few.fit_batch(batch), "many": lambda: many.fit_batch(batch)}
        candidates["alone"] = lambda: heads_step(alone, frames, targets, optimizer)
        times = medians_ms(in_turns(candidates, rounds, warm_up=5))
    few, many, alone = times["few"], times["many"], times["alone"]
    growth = many - few
    return {
        "tasks": n_tasks,
        "step_ms": few,
        "step_with_tasks_ms": many,
        "growth_ms": growth,
        "heads_ms": alone,
        "ratio": growth / alone,
    }


def show(result):
    """Lines of text."""
    step, more = result["step_ms"], result["step_with_tasks_ms"]
    yield f"A training step takes {step:.1f} ms; {more:.1f} ms with {result['tasks']} more tasks."
    yield f"That is {result['growth_ms']:.1f} ms more; their heads by themselves take {result['heads_ms']:.1f} ms."
    yield f"Growth / heads: {result['ratio']:.2f}"


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
