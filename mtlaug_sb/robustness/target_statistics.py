"""Adaptation without labels: a trained network on the mean and deviation of what it is tested with."""

import torch

from mtlaug_sb.frame_batch_norm import FrameBatchNorm
from mtlaug_sb.normalization import GlobalNormalization


@torch.inference_mode()
def take_statistics(network, batches, task):
    """Put the batches' statistics in place of the training data's, layer by layer; no weight changes.

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
    """
    features = [network.extract(*batch) for batch in batches]
    network.normalization.fit(features)
    for module in network.modules():  # in the order of their definition, which is that of the data's way
        if isinstance(module, FrameBatchNorm):
            _fit(module, network, features, task)


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
