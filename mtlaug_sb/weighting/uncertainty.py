"""Weights learned from each task's own uncertainty (Kendall, Gal, Cipolla 2018)."""

import torch
from torch import nn

from mtlaug_sb.registry import register


@register("weighting", "uncertainty")
class Uncertainty(nn.Module):
    """L = sum_k lambda_k (f_k exp(-s_k) L_k + s_k / 2), with s_k = log sigma_k^2 learned from 0 on.

    "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics", CVPR 2018: f_k is 1/2 for a
    Gaussian likelihood (squared error, equation 7) and 1 for a classification (softmax with temperature, equation 10).

    The YAML's weight lambda_k, with its schedule, multiplies the whole term: on L_k alone it would be learned away, as
    the best s_k = log(2 f_k lambda_k L_k) makes up for any factor. A task without a labelled row in the batch, whose
    objective is exactly zero, teaches its s_k nothing. In evaluation the formula is the same; its value moves with s_k and
    may fall below zero, so choose the epoch by a metric rather than by the loss.

    Arguments
    ---------
    tasks : list of str
        The names of all tasks.
    regression : list of str
        Those of them with a squared error.

    Raises
    ------
    ValueError
        If ``regression`` names none of the tasks; in ``forward`` for a task that is not in ``tasks``.

    Example
    -------
    In a YAML::

        weighting: !apply:mtlaug_sb.make
            plugin: weighting/uncertainty
            tasks: [emotion, reconstruction, augmentation]
            regression: [reconstruction]

    >>> weighting = Uncertainty(["emotion", "pitch"], regression=["pitch"])
    >>> weighting({"emotion": torch.tensor(2.0), "pitch": torch.tensor(4.0)}, {"emotion": 1.0, "pitch": 0.5})
    tensor(3., grad_fn=<AddBackward0>)
    """

    example = {"tasks": ["a", "b"], "regression": ["b"]}

    def __init__(self, tasks, regression=()):
        super().__init__()
        unknown = set(regression) - set(tasks)
        if unknown:
            raise ValueError(f"regression names {sorted(unknown)}; the tasks are {list(tasks)}")
        self.index = {name: i for i, name in enumerate(tasks)}
        self.factors = [0.5 if name in regression else 1.0 for name in tasks]
        # one parameter for all tasks: it has a gradient in every batch, as distributed training asks for
        self.log_variances = nn.Parameter(torch.zeros(len(self.index)))

    def forward(self, objectives, weights):
        """objectives {task: scalar}, weights {task: float} -> scalar."""
        total = 0.0
        for name, objective in objectives.items():
            if name not in self.index:
                raise ValueError(f"weighting/uncertainty knows no task '{name}'; its tasks are {', '.join(self.index)}")
            i = self.index[name]
            log_variance = self.log_variances[i]
            fit = self.factors[i] * (-log_variance).exp() * objective
            total = total + weights[name] * (fit + log_variance / 2 * (objective.detach() != 0))
        return total
