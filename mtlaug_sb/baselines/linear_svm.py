"""A linear support vector machine whose only setting is chosen on speakers of its training data."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

CHOICES = tuple(10.0**k for k in range(-4, 2))  # of C
INNER_FOLDS = 5


class LinearSVM:
    """Features are standardised on the training data; C is chosen by cross-validation over its speakers.

    Every fold of that inner cross-validation is standardised on its own training part. C is the smallest with the best
    UAR, pooled over the inner folds; the scale that makes probabilities of decision values (Guo et al. 2017) is fitted on
    the same held-out decisions. Needs scikit-learn.
    """

    def fit(self, features, truths, speakers):
        """Train.

        Arguments
        ---------
        features : array
            [utterances, features].
        truths : array of int
            Classes [utterances].
        speakers : list of str
            Of the utterances.

        Raises
        ------
        ValueError
            If there is only one speaker, or an inner fold lacks a class.
        """
        from sklearn.metrics import balanced_accuracy_score
        from sklearn.model_selection import GroupKFold

        truths = np.asarray(truths)
        n_speakers = len(set(speakers))
        if n_speakers < 2:
            raise ValueError(f"C is chosen over speakers: at least 2 must train, there are {n_speakers}")
        classes = np.unique(truths)
        held_out = np.zeros((len(CHOICES), len(truths), len(classes)))
        for train, test in GroupKFold(min(INNER_FOLDS, n_speakers)).split(features, truths, speakers):
            if len(np.unique(truths[train])) < len(classes):
                raise ValueError("too few training speakers: without some of them, a class is missing")
            scale = standardiser(features[train])
            for k, decisions in enumerate(_decisions(scale(features[train]), truths[train], scale(features[test]), CHOICES)):
                held_out[k, test] = decisions
        scores = [balanced_accuracy_score(truths, classes[d.argmax(1)]) for d in held_out]
        best = int(np.argmax(scores))
        return self.refit(features, truths, CHOICES[best], _fit_sharpness(held_out[best], np.searchsorted(classes, truths)))

    def refit(self, features, truths, c, sharpness):
        """Train with a C and a sharpness that have been chosen before."""
        self.c, self.sharpness = c, sharpness
        self.scale = standardiser(features)
        self.training = self.scale(features), np.asarray(truths)
        return self

    def probabilities(self, features):
        """[utterances, classes that were trained], from features [utterances, features]."""
        (decisions,) = _decisions(*self.training, self.scale(features), [self.c])
        return softmax(self.sharpness * decisions, axis=1)


def standardiser(features, prior=None, relevance=0.0):
    """Zero mean and unit deviation, by the statistics of these features [utterances, features]; constant ones become zero.

    With a prior, the training's features [utterances, features], its mean and variance count as much as those of
    ``relevance`` utterances.
    """
    mean, variance = features.mean(0), features.var(0)
    if prior is not None:
        share = len(features) / (len(features) + relevance)
        mean = share * mean + (1 - share) * prior.mean(0)
        variance = share * variance + (1 - share) * prior.var(0)
    deviation = np.sqrt(np.where(variance > 0, variance, 1.0))
    return lambda some: (some - mean) / deviation


def _decisions(train, truths, test, choices):
    """Decision values [utterances, classes] for each C. The inner products are those of all of them."""
    from sklearn.svm import SVC

    inner, across = train @ train.T, test @ train.T
    for c in choices:
        svm = SVC(C=c, kernel="precomputed", class_weight="balanced").fit(inner, truths)
        decisions = svm.decision_function(across)
        yield decisions if decisions.ndim == 2 else np.stack([-decisions, decisions], axis=1)


def _fit_sharpness(decisions, truths):
    """The factor on the decision values under which the truths are likeliest."""

    def surprise(log_factor):
        return -log_softmax(np.exp(log_factor) * decisions, axis=1)[np.arange(len(truths)), truths].mean()

    return float(np.exp(minimize_scalar(surprise, bounds=(-5, 5), method="bounded").x))
