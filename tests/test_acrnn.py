"""The 3-D attention CRNN and its input, against plain torch and torchaudio."""

import itertools

import pytest
import torch
import torchaudio
from torch import nn

from mtlaug_sb import make
from mtlaug_sb.deltas import append_deltas


def rows(*steps, dim=24):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(n, dim, generator=generator) for n in steps]


def padded(utterances):
    size = max(map(len, utterances))
    batch = nn.utils.rnn.pad_sequence(utterances, batch_first=True, padding_value=9.0)  # what must not be seen
    return batch, torch.tensor([len(u) for u in utterances]) / size


# ---------------------------------------------------------------------- deltas


def test_deltas_of_a_ramp_and_of_a_step_by_hand():
    ramp = torch.arange(6.0).view(1, 6, 1)
    both = append_deltas(ramp, torch.ones(1), orders=2)[0]
    # (1 (c1 - c-1) + 2 (c2 - c-2)) / 10; beyond the edge the first frame stands for c-1 and c-2
    assert torch.allclose(both[:, 1], torch.tensor([0.5, 0.8, 1.0, 1.0, 0.8, 0.5]))
    assert torch.allclose(both[0, 2], torch.tensor((1 * (0.8 - 0.5) + 2 * (1.0 - 0.5)) / 10))
    assert torch.equal(both[:, 0], ramp[0, :, 0])
    step = torch.tensor([0.0, 0, 0, 1, 1, 1]).view(1, 6, 1)
    assert torch.allclose(append_deltas(step, torch.ones(1), orders=1)[0, :, 1], torch.tensor([0, 0.2, 0.3, 0.3, 0.2, 0]))


def test_deltas_of_every_row_of_a_padded_batch_are_torchaudios():
    utterances = rows(31, 17, 3, 2, 1, dim=5)
    batch, lengths = padded(utterances)
    together = append_deltas(batch, lengths, orders=2)
    for utterance, ours in zip(utterances, together, strict=True):
        first = torchaudio.functional.compute_deltas(utterance.T, win_length=5)
        expected = torch.cat([utterance.T, first, torchaudio.functional.compute_deltas(first, win_length=5)]).T
        assert torch.allclose(ours[: len(utterance)], expected, atol=1e-6)
        assert not ours[len(utterance) :].any()


def test_log_mel_with_deltas_is_log_mel_and_its_deltas():
    wavs, lengths = torch.randn(2, 8000) * 0.1, torch.tensor([1.0, 0.4])
    plain, steps = make("features/log_mel", n_mels=20)(wavs, lengths)
    features = make("features/log_mel", n_mels=20, deltas=2)
    ours, ours_steps = features(wavs, lengths)
    assert ours.shape[2] == features.output_size == 60
    assert torch.equal(ours_steps, steps)
    assert torch.equal(ours[..., :20], plain)
    assert torch.allclose(ours, append_deltas(plain, steps, 2))


# ---------------------------------------------------------------------- encoder


def small(**more):
    torch.manual_seed(1)
    return make("encoder/acrnn", **{"input_size": 24, "channels": [4, 6, 5], "linear": 7, **more})


def by_hand(encoder, utterance):
    """The frames of one utterance by torch's own layers, with nothing of the library."""
    maps = utterance.view(1, -1, 3, 8).transpose(1, 2)  # [1, maps, frames, bands]
    for number, convolution in enumerate(encoder.convolutions):
        maps = nn.functional.conv2d(maps, convolution.weight, convolution.bias, padding=(2, 1))
        maps = nn.LeakyReLU(0.01)(maps)
        if number == 0:
            maps = nn.MaxPool2d((2, 4), ceil_mode=True)(maps)
    flat = maps.permute(0, 2, 1, 3).reshape(maps.shape[2], -1) @ encoder.linear.weight.T
    norm = encoder.norm
    flat = (flat - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
    return nn.LeakyReLU(0.01)(flat)


def test_every_row_of_a_padded_batch_is_what_torch_makes_of_it_alone():
    encoder, utterances = small(), rows(41, 40, 23, 6, 2, 1)
    encoder(*padded(utterances))  # statistics other than 0 and 1
    encoder.eval()
    ((frames, lengths),) = encoder(*padded(utterances))
    for i, utterance in enumerate(utterances):
        steps = round(lengths[i].item() * frames.shape[1])
        assert steps == -(-len(utterance) // 2)
        assert torch.allclose(frames[i, :steps], by_hand(encoder, utterance), atol=1e-5)
        assert not frames[i, steps:].any()


def test_no_statistics_of_padding():
    utterances, norms = rows(40, 11), []
    for more in (0, 30):
        encoder, (batch, lengths) = small(), padded(utterances)
        size = batch.shape[1]
        encoder(nn.functional.pad(batch, (0, 0, 0, more), value=9.0), lengths * size / (size + more))
        norms.append(torch.cat([encoder.norm.running_mean, encoder.norm.running_var]))
    assert torch.allclose(*norms, atol=1e-5)


def test_the_papers_sizes():
    encoder = make("encoder/acrnn", input_size=120)
    maps = [3, 128, 256, 256, 256, 256, 256]
    convolutions = sum(i * o * 15 + o for i, o in itertools.pairwise(maps))
    assert sum(p.numel() for p in encoder.parameters()) == convolutions + 10 * 256 * 768 + 2 * 768
    assert sum(encoder.convolutions[0].weight.shape) == 128 + 3 + 5 + 3


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="40 dimensions are no 3 maps"):
        small(input_size=40)
    with pytest.raises(ValueError, match=r"must be odd, in frames and in bands, is \[4, 3\]"):
        small(kernel_size=[4, 3])
