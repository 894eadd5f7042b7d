"""The learning curves of a run: one row of named values per epoch, kept in the checkpoint and on disk."""

import csv
import io
import os

import torch
from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks
from speechbrain.utils.distributed import if_main_process

from mtlaug_sb.averages import Averages


@register_checkpoint_hooks
class History:
    """Rows of past epochs and the running means of the current one.

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
        torch.save({"rows": self.rows, "running": self.running.sums}, path)

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Checkpoint hook."""
        state = torch.load(path)
        self.rows = state["rows"]
        self.running.sums = {} if end_of_epoch else state["running"]


def write_atomically(path, text):
    """Write a file whole or not at all."""
    part = f"{path}.part"
    with open(part, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    os.replace(part, path)
