"""The contracts of ``interfaces`` as checks that run over any plugin, in the manner of scikit-learn's check_estimator.

>>> check_plugin("head/attentive")  # doctest: +NORMALIZE_WHITESPACE
['can_be_made', 'predictions', 'input_untouched', 'repeatable', 'batch_of_one', 'silence', 'alone_as_in_a_batch', 'gradient',
 'plain_data']
"""

from mtlaug_sb.testing.contract import ContractError
from mtlaug_sb.testing.examples import make_example
from mtlaug_sb.testing.suite import CHECKS, check_plugin, run_checks

__all__ = ["CHECKS", "ContractError", "check_plugin", "make_example", "run_checks"]
