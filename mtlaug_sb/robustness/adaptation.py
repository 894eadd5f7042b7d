"""Adaptation without labels, to what a trained network is tested with."""

import torch

from mtlaug_sb.frame_batch_norm import FrameBatchNorm
from mtlaug_sb.normalization import GlobalNormalization


@torch.inference_mode()
def adapt(network, batches, task, self_training=False):
    """Put the batches' statistics in place of the training data's, layer by layer; no weight of the network changes.

    First that of the features, then every batch normalisation on the way to ``task``, each over all valid frames, with those
    before it adapted already (AdaBN: Li, Wang, Shi, Hou, Liu, "Adaptive batch normalization for practical domain
    adaptation", Pattern Recognition 80, 2018).

    Arguments
    ---------
    network : Network
        In evaluation mode; changed in place.
    batches : list of (torch.Tensor, torch.Tensor)
        Waveforms [batch, time] and relative lengths [batch]. Their features are kept meanwhile.
    task : str
        The one to be asked.
    self_training : bool
        Then solve the head, too, for what it takes the utterances to be (see ``DiscriminantAnalysis.adapt``).

    Raises
    ------
    ValueError
        If the head is to be solved and has no ``adapt``.
    """
    head = network.heads[task]
    if self_training and not hasattr(head, "adapt"):
        raise ValueError(f"self-training is for heads that can adapt, and {type(head).__name__} has no 'adapt'")
    features = [network.extract(*batch) for batch in batches]
    network.normalization.fit(features)
    for module in network.modules():  # in the order of their definition, which is that of the data's way
        if isinstance(module, FrameBatchNorm):
            _fit(module, network, features, task)
    if self_training:
        head.adapt((network.normalization(*batch), batch[1]) for batch in features)


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
