"""A trained head and a discriminant analysis, which answer together."""

import torch
from torch import nn

from mtlaug_sb.discriminant import DiscriminantAnalysis
from mtlaug_sb.registry import register


@register("head", "discriminant_fusion")
class DiscriminantFusion(nn.Module):
    """A head, and beside it a discriminant analysis of the utterance as one vector, which is solved for and not trained.

    Of a few hundred utterances the network fits all and says little of the next speaker; what a shrunk covariance says
    holds. The network hears what the vector leaves out. In training the head is alone: it must not lean on an answer that
    knows the training utterances. In evaluation the log probabilities of both are added (late fusion by the product rule:
    Kittler, Hatef, Duin, Matas, "On combining classifiers", IEEE TPAMI 20(3), 1998), and the sum is made as sure as the
    analysis should be of speakers that it has not heard: see ``DiscriminantAnalysis``. That changes no decision.

    Arguments
    ---------
    head : nn.Module
        A head that is trained as a whole, and gives ``logits`` and an ``embedding`` that it can ``classify``.
    vectors : nn.Module
        An encoder with one frame per utterance, of what the shared encoder sees.
    n_classes : int
        Classes.
    gain : float
        Factor of the analysis' log probabilities; with 0 the head is alone.
    shrinkage : float
        See ``DiscriminantAnalysis``.

    Raises
    ------
    ValueError
        If the head inside has no ``classify``, or is itself one that is solved for or ``reads_input``.

    Example
    -------
    >>> from mtlaug_sb import make
    >>> head = make("head/attentive", input_size=8, n_classes=4)
    >>> fusion = DiscriminantFusion(head, make("encoder/covariance", input_size=40), n_classes=4).eval()
    >>> frames, features, lengths = torch.rand(2, 9, 8), torch.rand(2, 36, 40), torch.tensor([1.0, 4 / 9])
    >>> {name: tuple(p.shape) for name, p in fusion(frames, lengths, features, lengths).items()}
    {'logits': (2, 4), 'embedding': (2, 64), 'attention': (2, 9), 'scores': (2, 4)}
    """

    example = {
        "head": {"plugin": "head/attentive", "input_size": 8, "n_classes": 3},
        "vectors": {"plugin": "encoder/covariance", "input_size": 8, "cepstra": 3, "moving_cepstra": 2},
    }
    reads_input = True
    classified = ("embedding", "scores")

    def __init__(self, head, vectors, n_classes, gain=0.5, shrinkage=0.5):
        super().__init__()
        if not hasattr(head, "classify") or hasattr(head, "fit") or hasattr(head, "reads_input"):
            raise ValueError(f"{type(head).__name__} has no 'classify', or is solved for, or reads the encoder's input")
        self.head, self.vectors, self.gain = head, vectors, gain
        self.analysis = DiscriminantAnalysis(vectors.output_size, n_classes, shrinkage)

    def fit(self, examples):
        """Solve for (features [batch, frames, dim], relative lengths, classes [batch, n_classes], speakers) of utterances.

        Raises
        ------
        ValueError
            If there are none.
        """
        vectors, classes, groups = [], [], []
        for features, lengths, targets, speakers in examples:
            vectors.append(self._vectors(features, lengths))
            classes.append(targets)
            groups += speakers
        if not vectors:
            raise ValueError("there is no labelled training utterance to solve the discriminant analysis for")
        vectors = torch.cat(vectors)  # the parts are let go: there may be thousands of dimensions
        self.analysis.fit(vectors, torch.cat(classes), groups if self.gain else [])

    def adapt(self, examples):
        """Solve for (features [batch, frames, dim], relative lengths) of unlabelled utterances of elsewhere.

        Each is standardised by the statistics that the analysis' ``norm`` has when it is its turn.

        Raises
        ------
        ValueError
            If the analysis has no say.
        """
        if not self.gain:
            raise ValueError("there is nothing to adapt: the discriminant analysis has no say (gain 0)")
        self.analysis.adapt(torch.cat([self.analysis.norm(self._vectors(*example)) for example in examples]))

    def forward(self, frames, lengths, features=None, feature_lengths=None):
        """The head's predictions; in evaluation, with features [batch, frames, dim], both's ``logits``, and ``scores``."""
        predictions = self.head(frames, lengths)
        if self.training or features is None:
            return predictions
        with torch.autocast(features.device.type, enabled=False):  # it was solved in 32 bits
            scores = self.analysis(self._vectors(features, feature_lengths))
        return {**predictions, "logits": self._fused(predictions["logits"], scores), "scores": scores}

    def classify(self, embedding):
        """Logits [..., n_classes] of the head's embeddings with the scores behind them."""
        n = len(self.analysis.bias)
        return self._fused(self.head.classify(embedding[..., :-n]), embedding[..., -n:])

    def _vectors(self, features, lengths):
        ((vectors, _),) = self.vectors(features.float(), lengths)
        return vectors.squeeze(1)

    def _fused(self, logits, scores):
        sureness = (self.analysis.certainty / self.gain).clamp(max=1)  # 1 without the analysis, too
        return sureness * (logits.log_softmax(-1) + self.gain * scores)
