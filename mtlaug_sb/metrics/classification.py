"""UAR and its relatives."""

import torch

from mtlaug_sb.registry import register


@register("metric", "classification")
class Classification:
    """UAR, WA, macro-F1, recall of every class and the confusion matrix.

    UAR (unweighted average recall) is the mean of the classes' recalls, so that a rare class counts as much as a frequent
    one; WA (weighted accuracy) is the share of utterances that were right. A class that does not occur among the
    targets has no recall, and the means are taken over the others (scikit-learn's rule for ``labels`` present).

    Arguments
    ---------
    names : list of str
        The classes, in the order of the logits. More logits than names are allowed: they are classes of nobody.

    Example
    -------
    >>> metric = Classification(["anger", "sadness"])
    >>> metric.update(torch.tensor([[2.0, 1.0], [2.0, 1.0]]), torch.eye(2))
    >>> metric.compute()["UAR"]
    0.5
    """

    reads = "logits"

    def __init__(self, names):
        self.names = [str(name) for name in names]
        self.reset()

    def reset(self):
        """Forget everything."""
        self.confusion = torch.zeros(len(self.names), len(self.names), dtype=torch.long)

    def update(self, predictions, targets):
        """predictions, targets [batch, classes]; a soft target counts as its likeliest class."""
        size = max(predictions.shape[1], len(self.names))
        pairs = targets.argmax(1) * size + predictions.argmax(1)
        # counted without asking the device for anything
        new = torch.zeros(size * size, dtype=torch.long, device=pairs.device).index_add_(0, pairs, torch.ones_like(pairs))
        self.confusion = self.confusion.to(new.device) + new.view(size, size)[: len(self.names), : len(self.names)]

    def compute(self):
        """The figures by name; ``recall/NAME`` for each class. Empty if nothing was seen."""
        if not self.confusion.sum():
            return {}
        return figures(self.confusion.cpu(), self.names)


def figures(confusion, names):
    """UAR, WA, macro_F1 and ``recall/NAME`` from a confusion matrix [truth, prediction]."""
    confusion = confusion.double()
    hit, true, said = confusion.diag(), confusion.sum(1), confusion.sum(0)
    present = true > 0
    recalls = hit[present] / true[present]
    # 2 TP / (2 TP + FP + FN); true + said = 2 TP + FP + FN
    f1 = 2 * hit[present] / (true + said)[present]
    result = {
        "UAR": recalls.mean().item(),
        "WA": (hit.sum() / confusion.sum()).item(),
        "macro_F1": f1.mean().item(),
    }
    here = [name for name, is_present in zip(names, present, strict=True) if is_present]
    return result | {f"recall/{name}": recall.item() for name, recall in zip(here, recalls, strict=True)}
