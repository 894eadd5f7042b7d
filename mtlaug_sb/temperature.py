"""How sure answers should be: one temperature (Guo, Pleiss, Sun, Weinberger, ICML 2017)."""

import math

import torch
from scipy.optimize import minimize_scalar

LOWEST = 0.2


def fit_temperature(logits, truth, highest=20.0):
    """The temperature T for which softmax(logits / T) has the least cross entropy.

    The targets are Platt's (1999), one utterance of each class added in thought, so that a small set without an error does
    not ask for T = 0.

    Arguments
    ---------
    logits : torch.Tensor
        [utterances, classes].
    truth : torch.Tensor
        Indices of the classes, [utterances].
    highest : float
        Where the search ends; it begins at 0.2.

    Example
    -------
    >>> logits = torch.tensor([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    >>> fit_temperature(logits, torch.tensor([0, 1, 0, 1])) > 2  # sure, and wrong once in four
    True
    """
    logits = logits.double()
    n, classes = logits.shape
    targets = torch.full_like(logits, 1 / (n + classes))
    targets[torch.arange(n), truth] = (n + 1) / (n + classes)

    def cross_entropy(log_temperature):
        return -(targets * (logits / math.exp(log_temperature)).log_softmax(1)).sum(1).mean().item()

    low, high = math.log(LOWEST), math.log(highest)
    return math.exp(minimize_scalar(cross_entropy, bounds=(low, high), method="bounded").x)
