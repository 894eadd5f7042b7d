"""The contracts of ``interfaces`` as checks that run over any plugin, in the manner of scikit-learn's check_estimator.

A plugin is made with its defaults, and with the usual values of ``input_size``, ``output_size``, ``n_classes``,
``embedding_size``, ``sample_rate``, ``names``, ``label`` and ``labels``. Where that does not do, its class says what does:

``example``
    A dictionary of arguments, or a static method that returns one (made when needed: a folder with a tiny model, say).
``example_inputs()``
    Features, encoder, head, augmentation: a static method that returns (inputs [batch, time, ...], lengths [batch]).
``example_data()``
    Loss, metric: a static method that returns (predictions, targets), or (predictions, targets, lengths).
``example_records()``
    Target: a static method that returns a list of records, label -> value.
``example_folder(folder)``
    Corpus: a static method that writes a few files there.

>>> check_plugin("head/attentive")  # doctest: +NORMALIZE_WHITESPACE
['can_be_made', 'predictions', 'input_untouched', 'repeatable', 'batch_of_one', 'silence', 'alone_as_in_a_batch', 'gradient',
 'on_a_gpu', 'plain_data']
"""

from mtlaug_sb.testing.contract import ContractError
from mtlaug_sb.testing.examples import make_example
from mtlaug_sb.testing.suite import CHECKS, check_plugin, run_checks

__all__ = ["CHECKS", "ContractError", "check_plugin", "make_example", "run_checks"]
