"""A linear support vector machine whose only setting is chosen on speakers of its training data."""

import logging

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

logger = logging.getLogger(__name__)
CHOICES = tuple(10.0**k for k in range(-4, 2))  # of C
INNER_FOLDS = 5


class LinearSVM:
    """Features are standardised on the training data; C is chosen by cross-validation over its speakers.

    Every fold of that inner cross-validation is standardised on its own training part, and one in which a class has no
    training example does not count; where the others do not test all classes, utterances are left out in place of speakers,
    which is said. C is the smallest with the best UAR, pooled over the inner folds; the scale that makes probabilities of
    decision values (Guo et al. 2017) is fitted on the same held-out decisions. Needs scikit-learn.
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
            If there is only one class; or one with a single utterance, where utterances have to be left out.
        """
        from sklearn.metrics import balanced_accuracy_score

        truths = np.asarray(truths)
        classes = np.unique(truths)
        if len(classes) < 2:
            raise ValueError("all training utterances are of one class")
        held_out, known = np.zeros((len(CHOICES), len(truths), len(classes))), np.zeros(len(truths), bool)
        for train, test in _inner_folds(truths, speakers):
            scale = standardiser(features[train])
            for k, decisions in enumerate(_decisions(scale(features[train]), truths[train], scale(features[test]), CHOICES)):
                held_out[k, test] = decisions
            known[test] = True
        scores = [balanced_accuracy_score(truths[known], classes[d[known].argmax(1)]) for d in held_out]
        best = int(np.argmax(scores))
        sharpness = _fit_sharpness(held_out[best][known], np.searchsorted(classes, truths[known]))
        return self.refit(features, truths, CHOICES[best], sharpness)

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


def _inner_folds(truths, speakers):
    """(train, test) indices that leave out speakers, where all classes stay and all are tested, or else utterances."""
    from sklearn.model_selection import GroupKFold, StratifiedKFold

    n_classes, n_speakers = len(np.unique(truths)), len(set(speakers))
    folds = []
    if n_speakers > 1:
        folds = list(GroupKFold(min(INNER_FOLDS, n_speakers)).split(truths, truths, speakers))
        folds = [fold for fold in folds if len(np.unique(truths[fold[0]])) == n_classes]
    if folds and len(np.unique(truths[np.concatenate([test for _, test in folds])])) == n_classes:
        return folds
    fewest = int(np.unique(truths, return_counts=True)[1].min())
    if fewest < 2:
        raise ValueError("a class has a single training utterance: C cannot be chosen")
    logger.warning("Too few speakers train for C to be chosen over speakers: it is chosen over utterances")
    return list(StratifiedKFold(min(INNER_FOLDS, fewest)).split(truths, truths))


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
