"""Adaptation of a trained network, without labels, to a speaker or to a whole corpus."""

import torch

from mtlaug_sb.frame_batch_norm import FrameBatchNorm
from mtlaug_sb.normalization import GlobalNormalization

RELEVANCE = 8.0  # utterances of a speaker that count for as much as all of the training


@torch.inference_mode()
def adapt(network, batches_of, tasks, self_training=False, relevance=0.0):
    """Put statistics of these utterances in place of the training's, layer by layer. No weight changes.

    First that of the features, then every batch normalisation on the way to ``tasks``, each over all valid frames, with
    those before it adapted already (AdaBN: Li, Wang, Shi, Hou, Liu, "Adaptive batch normalization for practical domain
    adaptation", Pattern Recognition 80, 2018).

    Arguments
    ---------
    network : Network
        In evaluation mode; changed in place. It is left with the statistics of the last ones.
    batches_of : dict
        {whose: [(waveforms [batch, time], relative lengths [batch]), ...]}: each has statistics of their own. The features
        are kept meanwhile.
    tasks : list of str
        Those that will be asked.
    self_training : bool
        Then solve the first one's head, too, for what it takes all these utterances to be: see
        ``DiscriminantAnalysis.adapt``.
    relevance : float
        Of n utterances the statistics count n / (n + relevance), the network's own the rest: buffer by buffer, a
        mean, a variance or a deviation. Maximum a posteriori adaptation (Gauvain, Lee, IEEE Trans. Speech and Audio
        Processing 2(2), 1994), whose name for the number this is (Reynolds, Quatieri, Dunn, Digital Signal Processing 10,
        2000), would add to a variance how far the means are apart.

    Returns
    -------
    dict
        {whose: statistics}, for ``use_statistics``.

    Raises
    ------
    ValueError
        If the head is to be solved and has no ``adapt``, or one of them has no utterance.
    """
    head = network.heads[tasks[0]]
    if self_training and not hasattr(head, "adapt"):
        raise ValueError(f"self-training is for heads that can adapt, and {type(head).__name__} has no 'adapt'")
    features_of = {whose: [network.extract(*batch) for batch in batches] for whose, batches in batches_of.items()}
    own, statistics = statistics_of(network), {}
    for whose, features in features_of.items():
        use_statistics(network, own)
        n = sum(len(lengths) for _, lengths in features)
        if not n:
            raise ValueError(f"{whose}: there is no utterance to adapt to")
        _fit(network, features, tasks, n / (n + relevance))
        statistics[whose] = statistics_of(network)

    def examples():
        for whose, features in features_of.items():
            use_statistics(network, statistics[whose])
            yield from ((network.normalization(*batch), batch[1]) for batch in features)

    if self_training:
        head.adapt(examples())
    return statistics


def statistics_of(network):
    """What a network's normalisations hold now: a list of {name: tensor}."""
    return [{name: buffer.clone() for name, buffer in norm.named_buffers()} for norm in _normalizations(network)]


@torch.no_grad()
def use_statistics(network, statistics):
    """Put ``statistics_of`` the same network, at another time, in its normalisations."""
    for norm, buffers in zip(_normalizations(network), statistics, strict=True):
        for name, buffer in buffers.items():
            norm.get_buffer(name).copy_(buffer)


def _normalizations(network):
    """In the order of their definition, which is that of the data's way."""
    return [network.normalization, *(module for module in network.modules() if isinstance(module, FrameBatchNorm))]


def _fit(network, features, tasks, share):
    for norm in _normalizations(network):
        before = {name: buffer.clone() for name, buffer in norm.named_buffers() if buffer.is_floating_point()}
        if norm is network.normalization:
            norm.fit(features)
        else:
            _fit_batch_norm(norm, network, features, tasks)
        for name, buffer in before.items():
            norm.get_buffer(name).lerp_(buffer, 1 - share)


def _fit_batch_norm(norm, network, features, tasks):
    seen = []
    hook = norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    def inputs():
        for batch in features:
            network.answer(*batch, tasks)
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
