"""Gradients that do not pull against one another: PCGrad (Yu et al. 2020)."""

import torch
from torch import nn

from mtlaug_sb.registry import make, register


@register("weighting", "pcgrad")
class PCGrad(nn.Module):
    """The weighted sum, whose gradient on the shared parameters is freed of conflicts between tasks.

    "Gradient Surgery for Multi-Task Learning", NeurIPS 2020, algorithm 1: where the gradient of a task has a negative inner
    product with another task's, it is projected onto the plane normal to that one, over all others in random order. Tasks
    count with the YAML's weights (lambda_k L_k). A parameter that one task alone reaches, as in the layers of the encoder
    above the other tasks' heads, keeps its plain gradient, as the heads do. In evaluation this is the weighted sum.

    The value is that of the weighted sum. A term of value zero, sum_p <p, g_pcgrad(p) - g_sum(p)> minus itself, makes the
    one backward pass of the loop yield the projected gradient, so that clipping, accumulation and distributed training
    know nothing of it. Distributed, each process projects the gradients of its own batch, and the results are averaged.
    Gradients are taken before the loss is scaled, so small ones may vanish with ``--precision=fp16``; bf16 is safe.

    Cost: one more backward pass per task, through its head and the shared module. A step of ``mtl_aug.yaml`` (three tasks,
    batches of 16) took 182 ms on one core of a CPU instead of 141, 1.3 times as long.

    Arguments
    ---------
    shared : nn.Module
        What the tasks share: the encoder. It stays out of this module's own parameters. As plain data (a dictionary
        as ``describe`` gives it) it is made anew.
    seed : int
        Of the order in which a task meets the others.

    Example
    -------
    In a YAML (not between braces: HyperPyYAML does not read this reference there)::

        weighting: !apply:mtlaug_sb.make
            plugin: weighting/pcgrad
            shared: !ref <modules[encoder]>

    >>> shared = nn.Linear(2, 1, bias=False)
    >>> a, b = shared(torch.tensor([1.0, 0.0])).sum(), shared(torch.tensor([-1.0, 1.0])).sum()
    >>> PCGrad(shared)({"a": a, "b": b}, {"a": 1.0, "b": 1.0}).backward()
    >>> shared.weight.grad  # (1/2, 1/2) of a, and (0, 1) of b
    tensor([[0.5000, 1.5000]])
    """

    example = {"shared": {"plugin": "encoder/cnn", "input_size": 8}}

    def __init__(self, shared, seed=0):
        super().__init__()
        # in a tuple: an attribute would register its parameters a second time
        self.shared = (make(**shared) if isinstance(shared, dict) else shared,)
        self.seed = seed
        # the order is drawn anew from the seed and the number of the call: one number in the checkpoint, and a resumed run
        # draws what the uninterrupted one does
        self.register_buffer("calls", torch.zeros((), dtype=torch.long))

    def forward(self, objectives, weights):
        """objectives {task: scalar}, weights {task: float} -> scalar."""
        weighted = [weights[name] * objective for name, objective in objectives.items()]
        total = sum(weighted)
        if not (self.training and torch.is_grad_enabled()):
            return total
        generator = torch.Generator().manual_seed(self.seed + int(self.calls))
        self.calls += 1
        parameters = [p for p in self.shared[0].parameters() if p.requires_grad]
        tasks = [o for o in weighted if torch.is_tensor(o) and o.requires_grad]
        if not parameters or len(tasks) < 2:
            return total
        gradients = [torch.autograd.grad(o, parameters, retain_graph=True, allow_unused=True) for o in tasks]
        reached = [sum(g[i] is not None for g in gradients) for i in range(len(parameters))]
        parameters = [p for p, n in zip(parameters, reached, strict=True) if n > 1]
        if not parameters:
            return total
        rows = [[g for g, n in zip(row, reached, strict=True) if n > 1] for row in gradients]
        flat = torch.stack([_flat(row, parameters) for row in rows])
        with torch.autocast(flat.device.type, enabled=False):  # signs of inner products do not fit into 16 bits
            change = (_coefficients(flat, generator) - 1).to(flat) @ flat
        parts = change.split([p.numel() for p in parameters])
        term = sum((p * part.view_as(p)).sum() for p, part in zip(parameters, parts, strict=True))
        return total + (term - term.detach())


def _flat(gradients, parameters):
    """One task's gradients as a vector [values]; zeros for a parameter that it does not reach."""
    pairs = zip(gradients, parameters, strict=True)
    return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in pairs])


def _coefficients(gradients, generator):
    """Factors [tasks] of the tasks' gradients [tasks, values] in the sum of the projected ones.

    Projections are sums of the gradients given, so the tasks' inner products are all that it takes.
    """
    products = (gradients @ gradients.T).double().cpu()
    n = len(products)
    coefficients = torch.eye(n, dtype=torch.float64)
    for i in range(n):
        for j in torch.randperm(n, generator=generator).tolist():
            if j != i and products[j, j] != 0:  # a task without a labelled row has no gradient
                conflict = (coefficients[i] @ products[:, j]).clamp(max=0)
                coefficients[i, j] -= conflict / products[j, j]
    return coefficients.sum(0)
