"""Adaptation without labels, to what a trained network is tested with."""

import torch

from mtlaug_sb.frame_batch_norm import FrameBatchNorm
from mtlaug_sb.normalization import GlobalNormalization


@torch.inference_mode()
def adapt(network, batches_of, task, self_training=False):
    """Put statistics of these utterances in place of the training data's, layer by layer; no weight of the network changes.

    First that of the features, then every batch normalisation on the way to ``task``, each over all valid frames, with those
    before it adapted already (AdaBN: Li, Wang, Shi, Hou, Liu, "Adaptive batch normalization for practical domain
    adaptation", Pattern Recognition 80, 2018).

    Arguments
    ---------
    network : Network
        In evaluation mode; changed in place. It is left with the statistics of the last ones.
    batches_of : dict
        {whose: [(waveforms [batch, time], relative lengths [batch]), ...]}: each has statistics of their own. The features
        are kept meanwhile.
    task : str
        The one to be asked.
    self_training : bool
        Then solve the head, too, for what it takes all these utterances to be (see ``DiscriminantAnalysis.adapt``).

    Returns
    -------
    dict
        {whose: statistics}, for ``use_statistics``.

    Raises
    ------
    ValueError
        If the head is to be solved and has no ``adapt``.
    """
    head = network.heads[task]
    if self_training and not hasattr(head, "adapt"):
        raise ValueError(f"self-training is for heads that can adapt, and {type(head).__name__} has no 'adapt'")
    features_of = {whose: [network.extract(*batch) for batch in batches] for whose, batches in batches_of.items()}
    statistics = {whose: _statistics(network, features, task) for whose, features in features_of.items()}

    def examples():
        for whose, features in features_of.items():
            use_statistics(network, statistics[whose])
            yield from ((network.normalization(*batch), batch[1]) for batch in features)

    if self_training:
        head.adapt(examples())
    return statistics


def use_statistics(network, statistics):
    """Put what ``adapt`` found in the network's normalisations."""
    for module, buffers in zip(_normalizations(network), statistics, strict=True):
        module.load_state_dict(buffers, strict=False)


def _normalizations(network):
    """In the order of their definition, which is that of the data's way."""
    batch_norms = [module for module in network.modules() if isinstance(module, FrameBatchNorm)]
    return [network.normalization, *batch_norms]


def _statistics(network, features, task):
    network.normalization.fit(features)
    normalizations = _normalizations(network)
    for norm in normalizations[1:]:
        _fit(norm, network, features, task)
    return [{name: buffer.clone() for name, buffer in module.named_buffers()} for module in normalizations]


def _fit(norm, network, features, task):
    seen = []
    hook = norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    def inputs():
        for batch in features:
            network.answer(*batch, [task])
            while seen:  # none, where the task does not need it
                frames = seen.pop()
                yield frames.unsqueeze(0), torch.ones(1, device=frames.device)

    statistics = GlobalNormalization(norm.num_features).to(norm.running_mean.device)
    try:
        if statistics.fit(inputs()):
            norm.running_mean.copy_(statistics.mean)
            norm.running_var.copy_(statistics.std.square())
    finally:
        hook.remove()
