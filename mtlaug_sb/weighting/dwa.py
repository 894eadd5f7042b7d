"""Weights from how fast each task's loss falls: dynamic weight average (Liu, Johns, Davison 2019)."""

import torch
from torch import nn

from mtlaug_sb.processes import sum_over_processes
from mtlaug_sb.registry import register


@register("weighting", "dwa")
class DynamicWeightAverage(nn.Module):
    """L = sum_k lambda_k w_k L_k, where a task whose loss falls slowly gets the larger w_k.

    "End-to-End Multi-Task Learning with Attention", CVPR 2019, equation 7: with r_k the ratio of the task's average losses
    of the last two epochs, w = K softmax(r / T). The ratio is 1 in the first two epochs, and where an average is missing or
    not positive. Averages are over the training batches with a finite objective that is not exactly zero (zero is what a
    batch without a labelled row gives), over all processes. The YAML's weight lambda_k, with its schedule, multiplies.
    In evaluation the w of the epoch are used, and nothing is remembered.

    Arguments
    ---------
    tasks : list of str
        The names of all tasks.
    temperature : float
        T; the larger, the more alike the weights.

    Raises
    ------
    ValueError
        If the temperature is not positive; in ``forward`` for a task that is not in ``tasks``.

    Example
    -------
    In a YAML::

        weighting: !apply:mtlaug_sb.make
            plugin: weighting/dwa
            tasks: [emotion, reconstruction, augmentation]

    >>> weighting = DynamicWeightAverage(["fast", "slow"], temperature=0.5)
    >>> for fast, slow in ((4.0, 4.0), (2.0, 4.0)):
    ...     _ = weighting({"fast": torch.tensor(fast), "slow": torch.tensor(slow)}, {"fast": 1.0, "slow": 1.0})
    ...     weighting.end_epoch()
    >>> weighting.factors()  # ratios 1/2 and 1
    tensor([0.5379, 1.4621])
    """

    example = {"tasks": ["a", "b"]}

    def __init__(self, tasks, temperature=2.0):
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, is {temperature}")
        self.index = {name: i for i, name in enumerate(tasks)}
        self.temperature = temperature
        # buffers: a resumed run goes on with the same weights
        self.register_buffer("sums", torch.zeros(2, len(self.index), dtype=torch.float64))  # of objectives, and how many
        self.register_buffer("averages", torch.full((2, len(self.index)), torch.nan))  # of the last epoch, and before it

    def factors(self):
        """w [tasks], which sum to the number of tasks."""
        last, before = self.averages
        ratios = torch.where((last > 0) & (before > 0), last / before, 1.0)
        return len(ratios) * (ratios / self.temperature).softmax(0)

    def forward(self, objectives, weights):
        """objectives {task: scalar}, weights {task: float} -> scalar."""
        factors = self.factors()
        total = 0.0
        for name, objective in objectives.items():
            if name not in self.index:
                raise ValueError(f"weighting/dwa knows no task '{name}'; its tasks are {', '.join(self.index)}")
            i = self.index[name]
            if self.training:
                value = objective.detach().double()
                usable = torch.isfinite(value) & (value != 0)
                self.sums[:, i] += torch.stack([torch.where(usable, value, 0.0), usable.double()])
            total = total + weights[name] * factors[i] * objective
        return total

    def end_epoch(self):
        """Take the averages of the epoch that is over; the loop calls this after every epoch of training."""
        total, count = sum_over_processes(self.sums)
        self.averages.copy_(torch.stack([(total / count).float(), self.averages[0]]))  # no value: 0 / 0, NaN
        self.sums.zero_()
