"""Heads against independent implementations."""

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mtlaug_sb.attention import AttentionPooling
from mtlaug_sb.heads.blstm_attention import BLSTMAttention
from mtlaug_sb.heads.decoder import Decoder
from mtlaug_sb.heads.statistics_pooling import StatisticsPooling
from mtlaug_sb.statistics_pooling import pool_functionals


def test_two_one_way_lstms_are_the_packed_bidirectional_one():
    head = BLSTMAttention(5, n_classes=3, hidden=7).eval()
    packed = nn.LSTM(5, 7, batch_first=True, bidirectional=True)
    state = {f"{k}": v for k, v in head.forwards.state_dict().items()}
    state |= {f"{k}_reverse": v for k, v in head.backwards.state_dict().items()}
    packed.load_state_dict(state)
    frames, steps = torch.randn(3, 11, 5), torch.tensor([11, 6, 2])
    states, _ = pad_packed_sequence(packed(pack_padded_sequence(frames, steps, batch_first=True))[0], batch_first=True)
    pooled, attention = head.pooling(states, steps / 11)
    ours = head(frames, steps / 11)
    assert torch.allclose(ours["attention"], attention, atol=1e-6)
    assert torch.allclose(ours["embedding"], head.dense(pooled), atol=1e-6)


def test_attention_is_a_softmax_over_the_utterances_own_frames():
    pooling = AttentionPooling(4)
    frames = torch.randn(2, 6, 4)
    pooled, weights = pooling(frames, torch.tensor([1.0, 0.5]))
    assert torch.allclose(weights.sum(1), torch.ones(2))
    assert not weights[1, 3:].any()
    by_hand = torch.softmax(frames[1, :3] @ pooling.score.weight[0] + pooling.score.bias, dim=0)
    assert torch.allclose(weights[1, :3], by_hand, atol=1e-6)
    assert torch.allclose(pooled[1], by_hand @ frames[1, :3], atol=1e-6)


def test_decoder_gives_as_many_frames_as_the_stride_says():
    for stride in (1, 4, 8):
        assert Decoder(8, 20, stride=stride)(torch.rand(2, 9, 8), torch.ones(2))["features"].shape == (2, 9 * stride, 20)


def test_functionals_are_numpys_over_the_utterances_own_frames():
    head = BLSTMAttention(5, n_classes=3, hidden=7, functionals=True).eval()
    frames, lengths = torch.randn(2, 8, 5), torch.tensor([1.0, 0.5])
    alone = head(frames[1:, :4], torch.ones(1))["embedding"]
    assert torch.allclose(head(frames, lengths)["embedding"][1], alone[0], atol=1e-5)
    own = frames[1, :4].numpy()
    changes = np.diff(own, axis=0)
    expected = [own.mean(0), own.std(0), np.abs(changes).mean(0), np.sqrt((changes**2).mean(0))]
    expected += [np.percentile(own, p, axis=0) for p in (5, 25, 50, 75, 95)]
    assert np.allclose(pool_functionals(frames, lengths)[1], np.concatenate(expected), atol=1e-5)
    assert pool_functionals(frames[:1, :1], torch.ones(1)).isfinite().all()  # one frame changes nowhere
    still = torch.zeros(1, 4, 5, requires_grad=True)
    pool_functionals(still, torch.ones(1)).sum().backward()
    assert still.grad.isfinite().all()


def test_a_functional_that_hardly_varied_in_training_does_not_count_many_times_over():
    torch.manual_seed(0)
    head = BLSTMAttention(5, n_classes=3, functionals=True, functionals_floor=0.05)
    for _ in range(100):  # nothing but stillness in training
        head(torch.zeros(4, 6, 5), torch.ones(4))
    seen = []
    head.functionals_dropout.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    head.eval()(0.1 * torch.randn(4, 6, 5), torch.ones(4))
    assert 0.1 < seen[0].abs().max() < 0.5 / 0.05**0.5


def test_the_linear_head_does_not_care_for_the_size_of_a_dimension():
    torch.manual_seed(0)
    head, frames, lengths = StatisticsPooling(3, n_classes=2), torch.randn(8, 9, 3), torch.ones(8)
    torch.nn.init.normal_(head.output.weight)
    larger = head(1000 * frames + 7, lengths)
    assert torch.allclose(head(frames, lengths)["logits"], larger["logits"], atol=1e-3)
    assert torch.allclose(larger["embedding"].std(0, correction=0), torch.ones(6), atol=1e-3)
    # linear: what it says of the embeddings' mean is the mean of what it says
    assert torch.allclose(head.classify(larger["embedding"].mean(0)), larger["logits"].mean(0), atol=1e-5)


def test_of_many_statistics_none_counts_before_it_is_learned():
    predictions = StatisticsPooling(2000, n_classes=4)(torch.randn(16, 9, 2000), torch.ones(16))
    assert torch.allclose(predictions["logits"].softmax(1), torch.tensor(0.25), atol=0.1)
