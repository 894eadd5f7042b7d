"""How sure a figure, and a difference, is: bootstrap over speakers, paired Wilcoxon tests, Holm's correction."""

import itertools

import numpy as np
from scipy.stats import PermutationMethod, wilcoxon

from mtlaug_sb.evaluation.grid_results import uar

FEW = 10  # pairs: the normal approximation errs, and 1024 ways are soon counted


def resample_speakers(n_speakers, resamples, seed):
    """How often each speaker is drawn in each resample with replacement, int [resamples, speakers]."""
    draws = np.random.default_rng(seed).integers(n_speakers, size=(resamples, n_speakers))
    return np.stack([(draws == speaker).sum(1) for speaker in range(n_speakers)], axis=1)


def resampled_uars(confusions, counts):
    """UAR, pooled over the speakers drawn and averaged over repeats, of every resample.

    Arguments
    ---------
    confusions : array of int
        [repeats, speakers, truth, prediction].
    counts : array of int
        [resamples, speakers], from ``resample_speakers``.

    Returns
    -------
    array
        [resamples].
    """
    return uar(np.einsum("bs,rstp->brtp", counts, confusions)).mean(1)


def interval(values, level=0.95):
    """The percentile interval of resampled values, [low, high] (Efron and Tibshirani 1993, chapter 13)."""
    return np.quantile(values, [(1 - level) / 2, (1 + level) / 2]).tolist()


def paired_uars(a, b):
    """UARs of two systems in pairs, and what a pair is.

    With the same seeds a pair is a speaker and a seed; otherwise each speaker's UAR is first averaged over the repeats of
    its system, and a pair is a speaker.
    """
    per_speaker = [uar(system.confusions) for system in (a, b)]
    if set(a.seeds) == set(b.seeds):
        order = [b.seeds.index(seed) for seed in a.seeds]
        return per_speaker[0].ravel(), per_speaker[1][order].ravel(), "(speaker, seed)"
    return per_speaker[0].mean(0), per_speaker[1].mean(0), "speaker"


def wilcoxon_p(first, second):
    """Two-sided p of Wilcoxon's signed-rank test; differences of zero are ranked and then dropped (Pratt 1959).

    Of a few pairs it is exact, over all ways of giving the differences their signs.
    """
    differences = np.round(first - second, 12)  # the same recalls in another order of summing are the same
    if not differences.any():
        return 1.0
    method = PermutationMethod(n_resamples=np.inf) if len(differences) <= FEW else "asymptotic"
    return float(wilcoxon(differences, zero_method="pratt", method=method).pvalue)


def holm(p_values):
    """p-values corrected for the number of comparisons (Holm 1979), in the order given.

    Example
    -------
    >>> [round(p, 2) for p in holm([0.01, 0.04, 0.03])]
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    steps = np.maximum.accumulate([(len(order) - k) * p_values[i] for k, i in enumerate(order)])
    return [float(min(1.0, steps[k])) for k in np.argsort(order)]


def compare_pairs(results, counts):
    """Every pair of systems: difference in UAR with its interval, Wilcoxon's p, and that corrected by Holm.

    Arguments
    ---------
    results : list of GridResult
        Over the same utterances.
    counts : array of int
        From ``resample_speakers``; a resample is the same for both systems of a pair.
    """
    tests = []
    for a, b in itertools.combinations(results, 2):
        first, second, pair = paired_uars(a, b)
        difference = resampled_uars(a.confusions, counts) - resampled_uars(b.confusions, counts)
        tests.append(
            {
                "systems": [a.name, b.name],
                "difference": float(uar(a.confusions.sum(1)).mean() - uar(b.confusions.sum(1)).mean()),
                "interval": interval(difference),
                "pairs": len(first),
                "pair": pair,
                "p": wilcoxon_p(first, second),
            }
        )
    for test, corrected in zip(tests, holm([t["p"] for t in tests]), strict=True):
        test["p_holm"] = corrected
    return tests
