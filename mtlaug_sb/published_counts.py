"""What is found of a corpus against what its authors published."""

import logging
from collections import Counter

logger = logging.getLogger(__name__)
EXTRACT = 0.1  # less of a corpus than this share is an extract, and meant to be one
NAMED = 10  # the line stays a line


def warn_of_differences(corpus, found, published, tolerance=0.0):
    """Say in one line, as a warning, where a corpus is not as published; nothing for an extract or where all is there.

    Arguments
    ---------
    corpus : str
        Its name.
    found : iterable of str
        The class (or environment, speaker, ...) of every recording; others than the published ones are passed over.
    published : dict
        Class -> number of recordings.
    tolerance : float
        Relative difference that is no difference, where published figures are approximate.

    Example
    -------
    >>> import sys
    >>> logger.addHandler(handler := logging.StreamHandler(sys.stdout))
    >>> warn_of_differences("emodb", ["anger", "fear"], {"anger": 1, "fear": 3})
    corpus 'emodb' is not as published: 2 of 4 recordings; fear 1 of 3
    >>> logger.removeHandler(handler)
    """
    count = Counter(name for name in found if name in published)
    here, there = sum(count.values()), sum(published.values())
    other = [f"{name} {count[name]} of {n}" for name, n in published.items() if abs(count[name] - n) > tolerance * n]
    other = [*other[:NAMED], f"and {len(other) - NAMED} more"] if len(other) > NAMED else other
    if other and here >= EXTRACT * there:
        logger.warning("corpus '%s' is not as published: %d of %d recordings; %s", corpus, here, there, ", ".join(other))
