"""What a discriminant analysis wants to know of its examples, from which some can be left out for a while."""

import contextlib

import torch

CHUNK = 500  # examples at a time, in 64 bits
NONE = 1e-9  # what may be left of a count when all has been taken away


def class_statistics(examples, targets):
    """Statistics of examples [n, size] with shares in classes [n, n_classes]: of many, moments; else the rows.

    Both kinds have

    - ``spread()``: mean and variance [size] over all examples, each weighted by its shares together, which are one;
    - ``solution(mean, deviation, shrinkage)``, of examples standardised by these two [size]: which classes have any, bool
      [n_classes]; their means [seen, size]; and these multiplied by the inverse of the shrunk covariance within the classes,
      each of which counts as much as another;
    - ``without(rows)``: a context in which some, bool [n], are left out.

    Example
    -------
    >>> x, y = torch.tensor([[1.0], [3.0], [8.0]]), torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> statistics = class_statistics(x, y)
    >>> with statistics.without(torch.tensor([True, False, False])) as rest:
    ...     mean, variance = rest.spread()
    >>> [round(float(value), 3) for value in (mean, variance, statistics.spread()[0])]
    [5.5, 6.25, 4.0]
    """
    n, size = examples.shape
    # moments of many classes would be the larger
    return (_Moments if n > size and 4 * n > targets.shape[1] * size else _Rows)(examples, targets)


class _Rows:
    """The examples themselves."""

    def __init__(self, examples, targets):
        self.examples, self.targets = examples, targets

    def spread(self):
        return self.examples.mean(0), self.examples.var(0, unbiased=False)

    @contextlib.contextmanager
    def without(self, rows):
        yield _Rows(self.examples[~rows], self.targets[~rows])

    def solution(self, mean, deviation, shrinkage):
        examples, targets = (self.examples.double() - mean) / deviation, self.targets.double()
        counts = targets.sum(0)
        seen = counts > 0
        shares = targets[:, seen] / counts[seen]
        means = shares.T @ examples
        example, class_ = shares.nonzero(as_tuple=True)
        centred = examples[example] - means[class_]
        centred *= (shares[example, class_] / len(means)).sqrt().unsqueeze(1)
        ridge = shrinkage * _at_least(centred.square().sum() / centred.shape[1])
        centred *= (1 - shrinkage) ** 0.5
        return seen, means, _ridge_solution(centred, ridge, means.T).T


class _Moments:
    """Per class: how many examples, their sum, and the sum of their outer products; in 64 bits.

    Some examples are taken away from it in the time that they alone would need.
    """

    def __init__(self, examples, targets):
        self.examples, self.targets = examples, targets
        size, n_classes = examples.shape[1], targets.shape[1]
        self.offset = examples.mean(0).double()  # far from zero, sums of squares would lose their digits
        self.counts = self.offset.new_zeros(n_classes)
        self.sums = self.offset.new_zeros(n_classes, size)
        self.products = self.offset.new_zeros(n_classes, size, size)
        self._add(examples, targets)

    def _add(self, examples, targets, sign=1):
        for some, shares in zip(examples.split(CHUNK), targets.double().split(CHUNK), strict=True):
            some = some.double() - self.offset
            self.counts += sign * shares.sum(0)
            self.sums += sign * (shares.T @ some)
            for products, share in zip(self.products, shares.T, strict=True):
                rows = share.nonzero().squeeze(1)
                products.addmm_((some[rows] * share[rows, None]).T, some[rows], alpha=sign)

    def spread(self):
        mean = self.sums.sum(0) / self.counts.sum()
        squares = self.products.diagonal(dim1=1, dim2=2).sum(0) / self.counts.sum()
        return mean + self.offset, (squares - mean.square()).clamp(min=0)

    @contextlib.contextmanager
    def without(self, rows):
        self._add(self.examples[rows], self.targets[rows], sign=-1)
        try:
            yield self
        finally:
            self._add(self.examples[rows], self.targets[rows])

    def solution(self, mean, deviation, shrinkage):
        seen = self.counts > NONE
        means = self.sums[seen] / self.counts[seen].unsqueeze(1)
        within = -(means.T @ means)
        for class_ in seen.nonzero().squeeze(1).tolist():
            within.add_(self.products[class_] / self.counts[class_])
        within /= len(means) * deviation * deviation.unsqueeze(1)
        ridge = shrinkage * _at_least(within.diagonal().mean())
        means = (means + self.offset - mean) / deviation
        return seen, means, _solved(within.mul_(1 - shrinkage), ridge, means.T).T


def _ridge_solution(rows, ridge, right):
    """``(rows.T @ rows + ridge * identity)^-1 @ right``, by whichever of the two sizes is the smaller (Woodbury)."""
    if rows.shape[1] <= rows.shape[0]:
        return _solved(rows.T @ rows, ridge, right)
    return (right - rows.T @ _solved(rows @ rows.T, ridge, rows @ right)) / ridge


def _solved(matrix, ridge, right):
    """``(matrix + ridge * identity)^-1 @ right``, of a matrix without negative eigenvalues, in place."""
    matrix.diagonal().add_(ridge)
    root, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        raise ValueError("a discriminant analysis has no solution: its examples are not finite, or of sizes too far apart")
    return torch.cholesky_solve(right, root)


def _at_least(average):
    """Of examples that are all alike there is no variance."""
    return average.clamp(min=1e-6)
