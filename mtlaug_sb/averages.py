"""Running means of named values, without waiting for the device at every step."""

import torch


class Averages:
    """Means of scalars by name; values that are not finite are left out.

    Example
    -------
    >>> averages = Averages()
    >>> averages.add({"loss": torch.tensor(1.0)})
    >>> averages.add({"loss": torch.tensor(3.0)})
    >>> averages.compute()
    {'loss': 2.0}
    """

    def __init__(self):
        self.sums = {}

    def add(self, values, weight=1.0):
        """Add {name: scalar tensor}, each with the weight (number of utterances, say)."""
        for name, value in values.items():
            value = value.detach().double()
            share = torch.isfinite(value).double() * weight
            new = torch.stack([torch.nan_to_num(value, posinf=0.0, neginf=0.0) * share, share])
            # a resumed run's sums come from a file
            self.sums[name] = self.sums[name].to(new.device) + new if name in self.sums else new

    def compute(self):
        """{name: mean} of what had a finite value."""
        pairs = {name: pair.tolist() for name, pair in self.sums.items()}
        return {name: total / count for name, (total, count) in pairs.items() if count}
