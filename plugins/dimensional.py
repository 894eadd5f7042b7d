"""Dimensional emotion: arousal, valence, dominance as numbers, with the concordance correlation coefficient (Lin 1989).

The coefficient of predictions x and targets y is 2 s_xy / (s_x^2 + s_y^2 + (m_x - m_y)^2), which is
1 - mean (x - y)^2 / (s_x^2 + s_y^2 + (m_x - m_y)^2), with variances that divide by n.
"""

import torch
from torch import nn

from mtlaug_sb import make, register


@register("head", "regression")
class Regression(nn.Module):
    """Predict numbers from the attention-pooled frames.

    Arguments
    ---------
    input_size : int
        Dimensions of the encoder's frames.
    output_size : int
        How many numbers.
    dense : int
        Units of the dense layer.
    """

    def __init__(self, input_size, output_size, dense=64):
        super().__init__()
        self.layers = make("head/attentive", input_size=input_size, n_classes=output_size, dense=dense)

    def forward(self, frames, lengths):
        """``values`` [batch, output_size]."""
        return {"values": self.layers(frames, lengths)["logits"]}


@register("loss", "ccc")
class CCCLoss(nn.Module):
    """One minus the concordance correlation coefficient over the batch, averaged over the dimensions.

    An utterance's value is its part of that: their mean is 1 - CCC. A dimension that an utterance lacks (NaN) is left out
    for this utterance alone; one that a whole batch lacks is left out for the batch.

    Raises
    ------
    ValueError
        If predictions and targets have different shapes.
    """

    reads = "values"
    over_batch = True  # the coefficient is one of the whole batch

    def forward(self, predictions, targets, lengths):
        """predictions, targets [batch, dimensions] -> [batch]."""
        if predictions.shape != targets.shape:
            raise ValueError(
                f"the CCC loss needs values and targets of one shape [batch, dimensions], got values "
                f"{tuple(predictions.shape)} and targets {tuple(targets.shape)}"
            )
        known = ~targets.isnan()
        count = known.sum(0).clamp(min=1)
        # selected before anything is computed: a NaN that is masked afterwards still has a NaN gradient
        x, y = torch.where(known, predictions, 0.0), torch.where(known, targets, 0.0)
        mean_x, mean_y = x.sum(0) / count, y.sum(0) / count
        spread = torch.where(known, (x - mean_x).square() + (y - mean_y).square(), 0.0).sum(0) / count
        scale = spread + (mean_x - mean_y).square() + 1e-6  # a batch of one has no spread
        shares = (x - y).square() / scale * (len(targets) / count)
        return shares.sum(1) / (known.any(0).sum().clamp(min=1))


@register("metric", "ccc")
class CCC:
    """Concordance correlation coefficient of every dimension over a stage, and their mean.

    Arguments
    ---------
    names : list of str
        The dimensions.
    """

    reads = "values"
    example = {"names": ["arousal", "valence"]}

    def __init__(self, names):
        self.names = [str(name) for name in names]
        self.reset()

    @staticmethod
    def example_data():
        """Predictions and targets [batch, 2] for the contract's check."""
        return torch.tensor([[1.0, 2.0], [2.0, 1.0], [4.0, 3.0], [3.0, 5.0]]), torch.tensor(
            [[1.0, 1.0], [2.0, torch.nan], [3.0, 3.0], [5.0, 4.0]]
        )

    def reset(self):
        """Forget everything."""
        self.sums = torch.zeros(6, len(self.names), dtype=torch.double)

    def update(self, predictions, targets):
        """predictions, targets [batch, dimensions]; a missing target is NaN."""
        known = ~targets.isnan()
        x, y = (torch.where(known, t, 0.0).double() for t in (predictions, targets))
        self.sums = self.sums.to(targets.device) + torch.stack(
            [known.double().sum(0), x.sum(0), y.sum(0), x.square().sum(0), y.square().sum(0), (x * y).sum(0)]
        )

    def compute(self):
        """``CCC/NAME`` of every dimension that was seen with some variation, and ``CCC``, their mean."""
        n, x, y, xx, yy, xy = self.sums.cpu()
        mean_x, mean_y = x / n, y / n
        scale = xx / n - mean_x**2 + yy / n - mean_y**2 + (mean_x - mean_y) ** 2
        values = {
            f"CCC/{name}": (2 * (xy[i] / n[i] - mean_x[i] * mean_y[i]) / scale[i]).item()
            for i, name in enumerate(self.names)
            if n[i] > 1 and scale[i] > 0
        }
        return values | ({"CCC": sum(values.values()) / len(values)} if values else {})
