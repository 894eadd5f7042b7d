"""All checks of a plugin's kind, one after the other."""

import torch

from mtlaug_sb.registry import find
from mtlaug_sb.testing.augmentation import AUGMENTATION
from mtlaug_sb.testing.contract import ContractError, name, run_check
from mtlaug_sb.testing.corpus import CORPUS
from mtlaug_sb.testing.head import HEAD
from mtlaug_sb.testing.loss import LOSS
from mtlaug_sb.testing.made import check_can_be_made, check_plain_data
from mtlaug_sb.testing.metric import METRIC
from mtlaug_sb.testing.sequence import ENCODER, FEATURES
from mtlaug_sb.testing.target import TARGET
from mtlaug_sb.testing.weighting import WEIGHTING

CHECKS = {
    "corpus": CORPUS,
    "augmentation": AUGMENTATION,
    "features": FEATURES,
    "encoder": ENCODER,
    "head": HEAD,
    "loss": LOSS,
    "weighting": WEIGHTING,
    "target": TARGET,
    "metric": METRIC,
}


def check_plugin(plugin):
    """Run every check of the plugin's kind; returns their names.

    Arguments
    ---------
    plugin : type or str
        A registered class, or its "kind/name".

    Raises
    ------
    ContractError
        At the first check that fails.
    """
    done = []
    for check, error in run_checks(plugin):
        if error is not None:
            raise error
        done.append(name(check))
    return done


def run_checks(plugin):
    """Run every check of the plugin's kind, also after one has failed: yields (check, ContractError or None).

    A plugin that cannot be made fails that check, and the others are not tried.
    """
    cls = find(plugin) if isinstance(plugin, str) else plugin
    kind = cls.plugin.partition("/")[0]
    for check in [check_can_be_made, *CHECKS[kind], check_plain_data]:
        error = None
        try:
            # the checks seed the generator of chance: whoever calls them finds it as it was
            with torch.random.fork_rng(devices=[]):
                run_check(check, cls)
        except ContractError as caught:
            error = caught
        yield check, error
        if error is not None and check is check_can_be_made:
            return
