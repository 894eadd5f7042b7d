"""Centre loss."""

import torch
from torch import nn

from mtlaug_sb.processes import sum_over_processes
from mtlaug_sb.registry import register


@register("loss", "center")
class CenterLoss(nn.Module):
    """Pull each embedding to its class's centre: 1/2 ||x - c_y||^2 (Wen et al. 2016, equation 2).

    The centres follow the embeddings, not the gradient (equation 4): c_j moves by ``rate`` times
    sum_i [y_i = j] (x_i - c_j) / (1 + number of such i) at every training step. For a soft target (mixup), both the
    loss and the movement are weighted by the class probabilities.

    Arguments
    ---------
    n_classes : int
        Classes.
    embedding_size : int
        Dimensions of the embedding.
    rate : float
        How far the centres move a step (alpha in the paper).

    Raises
    ------
    ValueError
        If embeddings or targets have other sizes.

    Example
    -------
    >>> loss = CenterLoss(n_classes=2, embedding_size=2).eval()
    >>> loss(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 0.0]]), torch.ones(1))
    tensor([12.5000])
    """

    reads = "embedding"

    def __init__(self, n_classes, embedding_size, rate=0.5):
        super().__init__()
        self.rate = rate
        self.register_buffer("centers", torch.zeros(n_classes, embedding_size))

    def forward(self, predictions, targets, lengths):
        """predictions [batch, embedding], targets [batch, classes] -> [batch]."""
        classes, size = self.centers.shape
        if predictions.shape[1:] != (size,) or targets.shape[1:] != (classes,):
            raise ValueError(
                f"centre loss with {classes} classes and embeddings of {size} got embeddings "
                f"{tuple(predictions.shape)} and targets {tuple(targets.shape)}"
            )
        # the centres move in place below: the gradient needs them as they are now
        centers = self.centers.clone()
        distances = (predictions.unsqueeze(1) - centers).square().sum(2)
        if self.training:
            self._follow(predictions.detach(), targets)
        return 0.5 * (targets * distances).sum(1)

    @torch.no_grad()
    def _follow(self, embeddings, targets):
        weight = sum_over_processes(targets.sum(0)).unsqueeze(1)
        pull = sum_over_processes(targets.T @ embeddings) - weight * self.centers
        # a step with a NaN is skipped by the loop; it must not stay in the centres
        self.centers += self.rate * torch.nan_to_num(pull / (1 + weight), posinf=0.0, neginf=0.0)
