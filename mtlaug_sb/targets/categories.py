"""One of several classes."""

import torch

from mtlaug_sb.registry import register


@register("target", "categories")
class Categories:
    """One of several classes, as a row of probabilities, so that mixup can mix it.

    Arguments
    ---------
    label : str
        Key in the manifest.
    names : list of str or None
        The classes, in order. None takes those of the training data, sorted: for speakers, say.
    size : int or None
        With ``names=None``: the classes that the head has room for. Names are then found by ``learn``.
    per_corpus : bool
        The same name in two corpora means two classes, as for speakers.

    Example
    -------
    >>> Categories("emotion", ["anger", "sadness"])({"emotion": "sadness"})
    tensor([0., 1.])
    >>> Categories("emotion", ["anger", "sadness"])({})
    tensor([nan, nan])
    """

    example = {"names": ["anger", "sadness"]}

    def __init__(self, label, names=None, size=None, per_corpus=False):
        if (names is None) == (size is None):
            raise ValueError(f"target '{label}' needs either the names of its classes or, to learn them, their number")
        self.label = label
        self.per_corpus = per_corpus
        self.names = [str(name) for name in names] if names is not None else None
        self.size = size or len(names)

    def learn(self, records):
        """Take the classes of the training records, where the YAML names none.

        Raises
        ------
        ValueError
            If there are more classes than ``size``, or none.
        """
        if self.names is not None:
            return
        names = sorted({self._name(r) for r in records} - {None})
        if not 0 < len(names) <= self.size:
            raise ValueError(
                f"target '{self.label}': the training data has {len(names)} classes, and the head has room for {self.size}"
            )
        self.names = names

    def __call__(self, record):
        """Probabilities [size]; all NaN where the record lacks the label or has a class that is not among the names."""
        name = self._name(record)
        if name not in self.names:
            return torch.full((self.size,), torch.nan)
        row = torch.zeros(self.size)
        row[self.names.index(name)] = 1.0
        return row

    def _name(self, record):
        name = record.get(self.label)
        if name is None:
            return None
        return f"{record['corpus']}/{name}" if self.per_corpus else str(name)
