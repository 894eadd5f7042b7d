"""The contracts: what each kind of plugin is given and what it returns.

A plugin need not inherit from these; it has to behave like them, and ``mtlaug_sb.testing.check_plugin`` tells whether it
does. Everything but corpora, targets and metrics is an ``nn.Module``. Shapes: wavs [batch, time]; features
[batch, frames, dim]; frames (the encoder's output) [batch, frames, dim]; lengths [batch], relative, in (0, 1]; targets
[batch, ...], float, missing is NaN.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from torch import Generator, Tensor


@dataclass(frozen=True, init=False)
class Utterance:
    """One recording of a corpus.

    Attributes
    ----------
    id : str
        Unique within the corpus.
    path : str
        Audio file.
    speaker : str or None
        None where the corpus does not say.
    labels : dict
        Name -> class name, number, list of numbers or text; a label that is unknown is left out.
    duration_s : float or None
        Seconds, where the corpus says so: of a very large corpus the files are then not all opened beforehand.
    """

    id: str
    path: str
    speaker: str | None = None
    labels: dict = field(default_factory=dict)
    duration_s: float | None = None

    def __init__(self, id, path, speaker=None, labels=None, duration_s=None):
        # at once: a frozen dataclass sets field by field, and a corpus may have a million utterances
        labels = {} if labels is None else labels
        self.__dict__.update(id=id, path=path, speaker=speaker, labels=labels, duration_s=duration_s)


class Corpus(Protocol):
    """Knows the layout and label format of one corpus."""

    def read(self, data_folder: str) -> Iterable[Utterance]:
        """The utterances below ``data_folder``; none, or FileNotFoundError, where the layout is not there.

        What is returned may have a method ``columns()``, which gives the same, some hundred utterances at a time, as a
        dictionary of lists: "id", "path", "speaker", "duration_s" and every label, None for what is missing. A million
        utterances are then read in half the time.
        """


class Augmentation(Protocol):
    """Changes rows of a batch. ``domain``: "waveform" or "features", where in the way of the data it acts.

    An effect on the waveform with a few fixed outcomes and no other randomness may say so: ``n_variants``, and
    ``vary(inputs, lengths, variants)`` with variants int64 [batch]. The features of its outcomes are then computed once. If
    it also says what they are, in a list ``variants``, the policy's ``fitted`` can name them.
    """

    domain: str

    def forward(
        self, inputs: Tensor, lengths: Tensor, targets: dict[str, Tensor], generator: Generator
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Change every row; the same three come back, inputs with another length perhaps.

        All randomness comes from ``generator`` (on CPU). A row that must stay as it is comes back unchanged, and is then
        labelled "none". The inputs are copies of the batch's rows.
        """


class Features(Protocol):
    """The front end. One that gives the waveform no gradient says so: ``differentiable = False``."""

    output_size: int

    def forward(self, wavs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features [batch, frames, output_size] and their relative lengths, from wavs and theirs."""


class Encoder(Protocol):
    """Shared by all tasks; a task's ``layer`` says which of its layers the head sits on."""

    output_size: int

    def forward(self, features: Tensor, lengths: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(frames [batch, frames, dim], relative lengths) of every layer that a task may attach to.

        The last one is the top, with dim = ``output_size``. Padding must not be seen.
        """


class Head(Protocol):
    """One task's own layers on top of the shared frames.

    One with ``reads_input = True`` is also given what the encoder saw: ``forward(frames, lengths, features,
    feature_lengths)``. One with a method ``fit(examples)`` is solved for, wholly or in part, rather than trained: before
    the training it is called once, in evaluation mode and without gradients, with (features, lengths, targets, speakers)
    of labelled training utterances (of many a part), batch by batch. One with ``adapt(examples)`` can
    be solved again for (features, lengths) of unlabelled utterances of elsewhere; its ``FrameBatchNorm``s have the
    statistics of whoever an example is of, while it is its turn: they are gone through once, one by one. One with
    ``classify(embedding)`` gives the logits of its own ``embedding``, [..., dim]; if that takes several predictions side
    by side, ``classified`` names them.
    """

    def forward(self, frames: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Predictions by name, each [batch, ...]. Usual names: ``logits``, ``values``, ``features``, ``embedding``."""


class Loss(Protocol):
    """``reads`` names the prediction of the head that the loss looks at.

    A loss with a method ``as_target(prediction)`` compares two views: it is given, in place of the task's target, what that
    method makes of the same head's prediction on the utterances without augmentation (no gradient flows there), and of all
    rows, labelled or not. The prediction must have one shape whatever the number of frames.
    """

    reads: str

    def forward(self, predictions: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
        """One value per utterance, [batch]; only labelled rows are given, perhaps none. Lengths are those of the frames."""


class Weighting(Protocol):
    """Makes one scalar of the tasks' objectives.

    What it learns or remembers belongs into parameters and buffers, which are in the checkpoint. It may have a method
    ``end_epoch()``, which is called after every epoch of training (as that of any of the YAML's ``modules`` is).
    """

    def forward(self, objectives: dict[str, Tensor], weights: dict[str, float]) -> Tensor:
        """The loss to be minimised, from {task: scalar} and {task: the weight that its YAML block asks for}.

        Tasks whose target is absent are left out of both, as one of the augmentation type is in evaluation; an objective
        is exactly zero, with a graph, where the batch has no labelled row. Every task that is there gets its gradient.
        """


class Target(Protocol):
    """Makes a tensor of a manifest's record. No ``nn.Module``.

    ``size``: of its first dimension. ``mixable`` (True where not said): whether a weighted mean of two targets is one;
    where it is not, rows that mixup mixed count as unlabelled. A target with ``names`` (of classes, whose head gives
    ``logits``) or ``labels`` (of numbers, whose head gives ``values``) is answered by the exported model too.
    """

    size: int

    def learn(self, records: Iterable[dict]) -> None:
        """Take what is needed of all training records, once, before the first call. Raises ValueError if they do not fit."""

    def __call__(self, record: dict) -> Tensor:
        """The target, float, always of one shape; NaN where the record lacks the label."""


class Metric(Protocol):
    """Collects predictions over a whole stage. ``reads`` as for a loss."""

    reads: str

    def update(self, predictions: Tensor, targets: Tensor) -> None:
        """Add labelled rows."""

    def compute(self) -> dict[str, float]:
        """The figures by name."""

    def reset(self) -> None:
        """Forget everything."""


def ask(head, layer, inputs=()):
    """A head's predictions from (frames, lengths) of its layer; one that ``reads_input`` gets the encoder's input, too."""
    return head(*layer, *inputs) if getattr(head, "reads_input", False) else head(*layer)
