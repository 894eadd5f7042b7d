"""Weighted sum of the tasks' objectives."""

from torch import nn

from mtlaug_sb.registry import register


@register("weighting", "fixed")
class Fixed(nn.Module):
    """L = sum_k lambda_k L_k, with the weights of the YAML (Latif et al. 2023).

    Example
    -------
    >>> Fixed()({"emotion": 2.0, "reconstruction": 10.0}, {"emotion": 1.0, "reconstruction": 0.1})
    3.0
    """

    def forward(self, objectives, weights):
        """objectives {task: scalar}, weights {task: float} -> scalar."""
        return sum(weights[name] * objective for name, objective in objectives.items())
