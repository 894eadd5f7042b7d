"""The learning curves of a run: one row of named values per epoch, kept in the checkpoint and on disk."""

import csv
import io

import torch
from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks
from speechbrain.utils.distributed import if_main_process

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.averages import Averages


@register_checkpoint_hooks
class History:
    """Rows of past epochs, and what has been gathered of the current one.

    The table is written anew after every epoch, so that a run that was killed and resumed has no row twice.

    Arguments
    ---------
    path : str
        CSV file.
    """

    def __init__(self, path):
        self.path = path
        self.rows = []
        self.running = Averages()
        self.skipped_steps = 0
        self.seconds = 0.0  # of all epochs so far, also of those before a resumption
        self.metrics = []  # their tensors go into the checkpoint with the rest

    def add(self, row):
        """Add one epoch's values and write the table."""
        self.rows.append(row)
        table = io.StringIO()
        names = list(dict.fromkeys(name for r in self.rows for name in r))
        writer = csv.DictWriter(table, names)
        writer.writeheader()
        writer.writerows({k: f"{v:.6g}" if isinstance(v, float) else v for k, v in r.items()} for r in self.rows)
        if if_main_process():
            write_atomically(self.path, table.getvalue())

    @mark_as_saver
    def save(self, path):
        """Checkpoint hook."""
        metrics = [{k: v for k, v in vars(m).items() if torch.is_tensor(v)} for m in self.metrics]
        current = {"running": self.running.sums, "skipped_steps": self.skipped_steps, "metrics": metrics}
        torch.save({"rows": self.rows, "seconds": self.seconds, "current": current}, path)

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Checkpoint hook."""
        state = torch.load(path, map_location="cpu")  # of a run that was begun on a GPU, too
        self.rows, self.seconds = state["rows"], state["seconds"]
        if not end_of_epoch:
            self.running.sums = state["current"]["running"]
            self.skipped_steps = state["current"]["skipped_steps"]
            for metric, tensors in zip(self.metrics, state["current"]["metrics"], strict=True):
                vars(metric).update(tensors)
