"""A network on the statistics of what it is tested with."""

import pytest
import torch
from small_model import write_small_model

from mtlaug_sb.frame_batch_norm import FrameBatchNorm
from mtlaug_sb.robustness.systems import TrainedNetwork


def adapted(folder, batch_size, **options):
    system = TrainedNetwork(folder, batch_size=batch_size)
    system.adapt_to(utterances(), **options)
    return system


def utterances():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, generator=generator) * 0.1 for n in (16000, 9000, 12345, 7000, 20000)]


def test_every_normalisation_gives_the_target_mean_0_and_variance_1(tmp_path):
    folder = write_small_model(tmp_path / "model", functionals=True)
    before = {k: v.clone() for k, v in TrainedNetwork(folder).network.state_dict().items()}
    system = adapted(folder, batch_size=2)
    norms = [m for m in system.network.modules() if isinstance(m, FrameBatchNorm)]
    assert len(norms) == 4  # two convolutions, the head's functionals, the discriminant analysis' vectors
    outputs = [[] for _ in norms]
    for norm, kept in zip(norms, outputs, strict=True):
        norm.register_forward_hook(lambda m, _, out, kept=kept: kept.append((out - m.bias) / m.weight if m.affine else out))
    system.probabilities(utterances())
    for norm, kept in zip(norms, outputs, strict=True):
        rows = torch.cat(kept)
        lively = norm.running_var > 1e-3  # beside that, the epsilon of the norm shows
        assert lively.any()
        assert torch.allclose(rows.mean(0), torch.zeros(rows.shape[1]), atol=2e-3)
        assert torch.allclose(rows.var(0, correction=0)[lively], torch.ones(int(lively.sum())), atol=2e-2)
    changed = {k for k, v in system.network.state_dict().items() if not torch.equal(v, before[k])}
    assert {k.rsplit(".", 1)[1] for k in changed} == {"mean", "std", "running_mean", "running_var"}


@pytest.mark.parametrize("self_training", [False, True])
def test_the_batches_do_not_matter(tmp_path, self_training):
    folder = write_small_model(tmp_path / "model", functionals=True)
    one, all_at_once = (adapted(folder, n, self_training=self_training).probabilities(utterances()) for n in (1, 5))
    assert torch.allclose(one, all_at_once, atol=1e-3 if self_training else 1e-4)


def test_self_training_solves_for_what_the_analysis_sees(tmp_path):
    folder = write_small_model(tmp_path / "model", functionals=True)
    system, plain = adapted(folder, 2, self_training=True), adapted(folder, 2)
    seen = []
    head = plain.network.heads["emotion"]
    head.analysis.register_forward_hook(lambda m, inputs, out: seen.append(inputs[0].clone()))
    plain.probabilities(utterances())
    head.analysis.adapt(torch.cat(seen))
    mine, its = head.analysis.state_dict(), system.network.heads["emotion"].analysis.state_dict()
    for name, value in mine.items():
        torch.testing.assert_close(its[name], value, rtol=1e-2, atol=1e-3)


def test_self_training_needs_a_head_that_is_solved_for(tmp_path):
    with pytest.raises(ValueError, match="self-training is for heads that can adapt, and BLSTMAttention has no 'adapt'"):
        adapted(write_small_model(tmp_path / "model"), 2, self_training=True)
