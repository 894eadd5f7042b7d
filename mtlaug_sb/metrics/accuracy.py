"""Share of utterances that were right."""

import torch

from mtlaug_sb.registry import register


@register("metric", "accuracy")
class Accuracy:
    """WA (weighted accuracy), for classes that are too many to list one by one, or not known beforehand: speakers, say.

    Example
    -------
    >>> metric = Accuracy()
    >>> metric.update(torch.tensor([[2.0, 1.0], [2.0, 1.0]]), torch.eye(2))
    >>> metric.compute()
    {'WA': 0.5}
    """

    reads = "logits"

    def __init__(self):
        self.reset()

    def reset(self):
        """Forget everything."""
        self.right, self.seen = torch.zeros(()), torch.zeros(())

    def update(self, predictions, targets):
        """predictions, targets [batch, classes]; a soft target counts as its likeliest class."""
        self.right = self.right.to(targets.device) + (predictions.argmax(1) == targets.argmax(1)).sum()
        self.seen = self.seen.to(targets.device) + len(targets)

    def compute(self):
        """``WA``; empty if nothing was seen."""
        return {"WA": (self.right / self.seen).item()} if self.seen else {}
