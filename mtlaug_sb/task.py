"""A task: what is to be predicted from the shared frames, and what counts as wrong."""

import torch
from torch import nn

from mtlaug_sb.interfaces import ask
from mtlaug_sb.masking import labelled_rows, rows_where


class Task(nn.Module):
    """A head, the losses on its predictions, and the key of its target. Stated in YAML, never subclassed.

    Arguments
    ---------
    target : str
        Key among the batch's targets: one of the YAML's ``targets``, the augmentation policy's, or ``features``
        (the encoder's input) or ``clean_features`` (before masking and mixing).
    head : nn.Module
        Frames to predictions (see ``interfaces.Head``).
    layer : int
        Which of the encoder's layers the head sits on; -1 is the top.
    losses : dict
        Name -> loss (see ``interfaces.Loss``); one that is None is left out.
    loss_weights : dict
        Name -> factor, 1 where not given; that of a loss that is left out does not matter.
    weight : float
        The task's own weight among the tasks.
    schedule : Curve or None
        Factor of that weight over training.
    metrics : list
        See ``interfaces.Metric``.

    Raises
    ------
    ValueError
        If ``loss_weights`` names a loss that is not there, or a weight is no number.
    """

    def __init__(self, target, head, losses, loss_weights=None, weight=1.0, schedule=None, metrics=(), layer=-1):
        super().__init__()
        loss_weights = {name: w for name, w in (loss_weights or {}).items() if losses.get(name, ...) is not None}
        losses = {name: loss for name, loss in losses.items() if loss is not None}
        numbers = {"weight": weight, **{f"loss_weights.{k}": v for k, v in loss_weights.items()}}
        for argument, value in numbers.items():
            if not isinstance(value, int | float):
                raise ValueError(f"{argument} must be a number, is {value!r}")
        self.target = target
        self.layer = layer
        self.head = head
        self.losses = nn.ModuleDict(losses)
        self.loss_weights = dict.fromkeys(losses, 1.0) | loss_weights
        if set(self.loss_weights) != set(losses):
            raise ValueError(f"loss_weights {list(self.loss_weights)} do not fit the losses {list(losses)}")
        self.weight = weight
        self.schedule = schedule or (lambda progress: 1.0)
        self.metrics = list(metrics)

    @property
    def compares_views(self):
        """Whether a loss takes its target from the clean view (see ``interfaces.Loss``)."""
        return any(hasattr(loss, "as_target") for loss in self.losses.values())

    def forward(self, frames, lengths, targets, clean=None, sources=None, inputs=()):
        """Predictions by name, and the mean of every loss over the labelled rows.

        Arguments
        ---------
        frames : torch.Tensor
            [batch, frames, dim].
        lengths : torch.Tensor
            Relative, [batch].
        targets : torch.Tensor
            [batch, ...]; missing is NaN.
        clean : tuple or None
            Frames and lengths of the same utterances without augmentation, where a loss compares views.
        sources : torch.Tensor or None
            [batch, batch]: the share of each utterance in each row, which mixing makes.
        inputs : sequence
            What the encoder saw, ([batch, frames, dim], lengths), for a head that ``reads_input``; with ``clean`` a second
            one, of it.

        Returns
        -------
        predictions : dict
            Name -> tensor [batch, ...].
        terms : dict
            Loss name -> scalar; zero without a labelled row.

        Raises
        ------
        ValueError
            If a loss reads a prediction that the head does not give, or does not fit its shape.
        """
        predictions = self._predict(frames, lengths, *inputs[:1])
        rows = rows_where(labelled_rows(targets))
        with torch.no_grad():
            reference = ask(self.head, clean, *inputs[1:]) if clean is not None else None
        terms = {}
        for name, loss in self.losses.items():
            read = self._read(predictions, loss, name)
            if not hasattr(loss, "as_target"):
                values = _evaluate(name, loss, read[rows].float(), targets[rows], lengths[rows])
            else:  # of every row, labelled or not: what the head says of the clean view, mixed as the inputs were
                goal = loss.as_target(reference[loss.reads].float())
                values = _evaluate(name, loss, read.float(), (sources @ goal.flatten(1)).view_as(goal), lengths)
            # the sum of no value is zero and keeps the graph: distributed training waits for this head's gradient
            terms[name] = values.mean() if len(values) else values.sum()
        return predictions, terms

    def _predict(self, frames, lengths, *inputs):
        try:
            return ask(self.head, (frames, lengths), *inputs)
        except torch.OutOfMemoryError:  # a RuntimeError whose text speaks of sizes, too
            raise
        except RuntimeError as error:
            if "shape" not in str(error) and "size" not in str(error):
                raise
            raise ValueError(
                f"{type(self.head).__name__} does not fit frames {tuple(frames.shape)} of layer {self.layer}: {error}; is "
                f"its input_size {frames.shape[2]}?"
            ) from error

    def objective(self, terms):
        """The weighted sum of the task's losses, from what ``forward`` returned."""
        return sum(self.loss_weights[name] * term for name, term in terms.items())

    def update_metrics(self, predictions, targets):
        """Let the metrics see the labelled rows."""
        if not self.metrics:
            return
        rows = labelled_rows(targets).nonzero().squeeze(1)  # an index copies: a metric may keep what it sees
        known = targets[rows]
        for metric in self.metrics if len(known) else ():
            metric.update(self._read(predictions, metric, type(metric).__name__)[rows].detach(), known)

    def compute_metrics(self):
        """All metrics' figures since the last call."""
        result = {}
        for metric in self.metrics:
            result |= metric.compute()
            metric.reset()
        return result

    def _read(self, predictions, reader, name):
        if reader.reads not in predictions:
            raise ValueError(
                f"'{name}' reads the prediction '{reader.reads}', and {type(self.head).__name__} gives {list(predictions)}"
            )
        return predictions[reader.reads]


def _evaluate(name, loss, predictions, targets, lengths):
    """One value per utterance; a loss that cannot compare the two is told of with both shapes."""
    shapes = f"predictions {tuple(predictions.shape)} and targets {tuple(targets.shape)}"
    try:
        values = loss(predictions, targets, lengths)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, ValueError) as error:  # torch raises either
        if predictions.shape == targets.shape:
            raise
        raise ValueError(f"loss '{name}' does not fit {shapes}: {error}") from error
    if values.shape != (len(predictions),):
        raise ValueError(
            f"loss '{name}' must give one value per utterance, ({len(predictions)},), and gave {tuple(values.shape)} for "
            f"{shapes}"
        )
    return values
