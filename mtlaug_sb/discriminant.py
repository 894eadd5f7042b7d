"""Regularised linear discriminant analysis."""

import torch
from torch import nn

from mtlaug_sb.class_statistics import class_statistics
from mtlaug_sb.frame_batch_norm import FrameBatchNorm
from mtlaug_sb.temperature import fit_temperature

PARTS = 10  # of the groups, each left out once
HOTTEST = 1000.0
NEGLIGIBLE = 0.001


class DiscriminantAnalysis(nn.Module):
    """Classes as Gaussians with one covariance, solved for from examples; log probabilities of the classes.

    The covariance within the classes is shrunk to a multiple of the identity (Friedman, "Regularized discriminant analysis",
    J. Amer. Statist. Assoc. 84(405), 1989): of a few hundred examples with thousands of dimensions it has no inverse. The
    dimensions have mean 0 and variance 1 first. Every class counts as much as another, however many examples it has.

    Before ``fit`` all classes are alike. One without an example is never the likeliest afterwards.

    The log probabilities are far too sure, as the dimensions are neither as normal nor as well known as they are taken to
    be. ``certainty`` is the factor that would make them right for somebody who is not among the examples: that of the least
    cross entropy on groups of examples (speakers) which were left out in turn.

    Arguments
    ---------
    size : int
        Dimensions of an example.
    n_classes : int
        Classes.
    shrinkage : float
        Share of the identity in the covariance, in (0, 1]; with 1 the nearest mean decides.

    Raises
    ------
    ValueError
        If ``shrinkage`` is no such share.

    Example
    -------
    >>> analysis = DiscriminantAnalysis(2, n_classes=2).eval()
    >>> analysis.fit(torch.tensor([[-2.0, 0.0], [-1.0, 1.0], [1.0, 0.0], [2.0, 1.0]]), torch.eye(2)[[0, 0, 1, 1]])
    >>> analysis(torch.tensor([[-1.5, 0.5], [1.5, 0.5]])).argmax(1)
    tensor([0, 1])
    """

    def __init__(self, size, n_classes, shrinkage=0.5):
        super().__init__()
        if not 0 < shrinkage <= 1:
            raise ValueError(f"shrinkage must be above 0 and at most 1, is {shrinkage}")
        self.shrinkage = shrinkage
        self.norm = FrameBatchNorm(size, affine=False)
        self.register_buffer("weight", torch.zeros(n_classes, size))
        self.register_buffer("bias", torch.zeros(n_classes))
        self.register_buffer("certainty", torch.ones(()))

    def fit(self, examples, targets, groups=()):
        """Solve.

        Arguments
        ---------
        examples : torch.Tensor
            [n, size].
        targets : torch.Tensor
            Their classes, one-hot, [n, n_classes].
        groups : list
            What each example belongs to, such as its speaker. With fewer than two groups ``certainty`` is 1. With more it
            takes some times as long as the solution itself, up to ten where there are fewer examples than dimensions.

        Raises
        ------
        ValueError
            If the examples are not finite, or of sizes so far apart that there is no solution.
        """
        self.certainty.fill_(1.0)
        statistics = class_statistics(examples, targets)
        part_of = {name: i % PARTS for i, name in enumerate(sorted(set(groups)))}
        if len(part_of) > 1:
            parts = torch.tensor([part_of[name] for name in groups], device=targets.device)
            left_out, known = torch.zeros_like(targets), torch.zeros_like(parts, dtype=torch.bool)
            for part in parts.unique():
                rows = parts == part
                with statistics.without(rows) as rest:
                    self._solve(rest)
                left_out[rows] = self(examples[rows])
                # of a class that all its examples are left out of nothing could be known
                known[rows] = (targets[rows] @ targets[~rows].sum(0)) > 0
            if known.any():
                left_out, truth = left_out[known].cpu(), targets[known].argmax(1).cpu()
                self.certainty.fill_(1 / fit_temperature(left_out, truth, HOTTEST))
        self._solve(statistics)

    @torch.no_grad()
    def adapt(self, standardised):
        """Solve for examples [n, size] of elsewhere without classes, by what the analysis takes them to be.

        They are standardised already, by statistics of elsewhere, which ``norm`` has or will have: it stays as it is. Each
        example counts for its classes by their probabilities, as sure as ``certainty`` says: one round of expectation and
        maximisation (Dempster, Laird, Rubin, J. Royal Statistical Soc. B 39(1), 1977). With many rounds the classes move to
        whatever else the examples differ in. There must be some of every class, about equally many: where one is missing,
        its place is taken by others.
        """
        shares = (self.certainty * self._log_probabilities(standardised)).softmax(1)
        statistics = class_statistics(standardised, torch.where(shares > NEGLIGIBLE, shares, 0.0))
        center = torch.zeros_like(self.norm.running_mean, dtype=torch.float64)
        self._weigh(statistics, center, torch.ones_like(center))

    @torch.no_grad()
    def _solve(self, statistics):
        mean, variance = statistics.spread()
        self.norm.running_mean.copy_(mean)
        self.norm.running_var.copy_(variance)
        self._weigh(statistics, self.norm.running_mean.double(), (self.norm.running_var.double() + self.norm.eps).sqrt())

    def _weigh(self, statistics, mean, deviation):
        seen, means, weight = statistics.solution(mean, deviation, self.shrinkage)
        bias = -0.5 * (weight * means).sum(1)
        # the mean of the others is never above all of them
        self.weight.copy_(weight.mean(0).expand_as(self.weight))
        self.bias.copy_(bias.mean().expand_as(self.bias))
        self.weight[seen] = weight.to(self.weight.dtype)
        self.bias[seen] = bias.to(self.bias.dtype)

    def forward(self, examples):
        """Log probabilities [n, n_classes] of examples [n, size], all classes alike beforehand, and too sure."""
        return self._log_probabilities(self.norm(examples))

    def _log_probabilities(self, standardised):
        return nn.functional.linear(standardised, self.weight, self.bias).log_softmax(1)
