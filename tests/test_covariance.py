"""The utterance as one vector: against NumPy and SciPy, and where an utterance is short."""

import numpy as np
import pytest
import scipy.fft
import scipy.linalg
import torch

from mtlaug_sb import make
from mtlaug_sb.features.onnx import Onnx
from mtlaug_sb.statistics_pooling import pool_functionals, pool_statistics


def upper(matrix):
    return matrix[np.triu_indices(len(matrix))]


def test_against_numpy():
    features = torch.randn(1, 60, 20, generator=torch.Generator().manual_seed(0))
    encoder = make("encoder/covariance", input_size=20, cepstra=6, moving_cepstra=3, lags=[0, 2, 5], floor=0.02)
    [(vectors, lengths)] = encoder(features, torch.ones(1))
    cepstra = scipy.fft.dct(features[0].double().numpy(), axis=1, norm="ortho")
    still = np.cov(cepstra[:, :6].T) + 0.02 * np.eye(6)
    moving = np.concatenate([cepstra[lag : len(cepstra) - 5 + lag, :3] for lag in (0, 2, 5)], axis=1)
    moving = np.cov(moving.T) + 0.02 * np.eye(9)
    expected = np.concatenate([upper(scipy.linalg.logm(still)), upper(scipy.linalg.logm(moving))])
    functionals = pool_functionals(features, torch.ones(1))
    torch.testing.assert_close(vectors[:, 0, : functionals.shape[1]], functionals)
    np.testing.assert_allclose(vectors[0, 0, functionals.shape[1] :].numpy(), expected, atol=1e-4)
    assert vectors.shape == (1, 1, encoder.output_size)
    assert lengths.tolist() == [1.0]


@pytest.mark.parametrize("steps", [1, 2, 8, 9])
def test_an_utterance_shorter_than_the_lags(steps):
    encoder = make("encoder/covariance", input_size=20)
    features = torch.randn(1, steps, 20, generator=torch.Generator().manual_seed(1)).requires_grad_()
    [(alone, _)] = encoder(features, torch.ones(1))
    alone.sum().backward()
    assert torch.isfinite(alone).all()
    assert torch.isfinite(features.grad).all()
    padded = torch.full((2, 30, 20), 9.0)
    padded[0, :steps] = features[0].detach()
    [(together, _)] = encoder(padded, torch.tensor([steps / 30, 1.0]))
    torch.testing.assert_close(together[0], alone[0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lags": [1, 4]}, "lags must rise from 0 to at most 1000"),
        ({"lags": [0, 4, 4]}, "lags must rise"),
        ({"lags": []}, "lags must rise"),
        ({"lags": [0, 5_000_000]}, "lags must rise"),
        ({"floor": 0.0}, "floor must be above 0"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        make("encoder/covariance", input_size=20, **wrong)


def test_fewer_dimensions_than_cepstra():
    encoder = make("encoder/covariance", input_size=5)
    assert encoder.output_size == 9 * 5 + 5 * 6 // 2 + 15 * 16 // 2
    [(vectors, _)] = encoder(torch.rand(2, 30, 5), torch.ones(2))
    assert vectors.shape == (2, 1, encoder.output_size)


def test_what_is_not_finite_stays_in_its_row():
    features = torch.rand(3, 30, 20)
    features[1, 4] = torch.nan
    [(vectors, _)] = make("encoder/covariance", input_size=20)(features, torch.ones(3))
    assert torch.isfinite(vectors).all(2).squeeze(1).tolist() == [True, False, True]


def test_layer_statistics():
    """Each layer is normalised within the frame, whatever its size and offset."""
    layers = torch.randn(2, 9, 3, 4, generator=torch.Generator().manual_seed(2))
    features = (layers * torch.tensor([1.0, 50.0, 5.0]).view(3, 1) + torch.tensor([0.0, 7.0, -3.0]).view(3, 1)).flatten(2)
    lengths = torch.tensor([1.0, 4 / 9])
    [(vectors, _)] = make("encoder/layer_statistics", input_size=12, n_layers=3)(features, lengths)
    normalized = (layers - layers.mean(3, keepdim=True)) / layers.std(3, keepdim=True, unbiased=False)
    torch.testing.assert_close(vectors[:, 0], pool_statistics(normalized.flatten(2), lengths), atol=0.01, rtol=0)


def test_layer_statistics_of_pooled_frames_are_those_of_the_frames_themselves():
    front_end = Onnx(**{**Onnx.example(), "pool": 1}, normalize_layers=True)
    pooled = Onnx(**{**Onnx.example(), "pool": 5}, normalize_layers=True, deviation=True)
    wavs, lengths = torch.randn(2, 4000, generator=torch.Generator().manual_seed(3)), torch.tensor([1.0, 0.4])
    frames, frame_lengths = front_end(wavs, lengths)  # 25 and 10, which five divides
    expected = pool_statistics(frames, frame_lengths)
    [(vectors, ones)] = make("encoder/layer_statistics", input_size=16, n_layers=2, deviations=True)(*pooled(wavs, lengths))
    assert vectors.shape == (2, 1, 16)
    assert ones.tolist() == [1.0, 1.0]
    torch.testing.assert_close(vectors[:, 0], expected, atol=2e-3, rtol=0)


def test_layers_that_do_not_divide():
    with pytest.raises(ValueError, match="4 layers do not divide 6 dimensions"):
        make("encoder/layer_statistics", input_size=6, n_layers=2, deviations=True)
    with pytest.raises(ValueError, match="5 layers do not divide 12 dimensions"):
        make("encoder/layer_statistics", input_size=12, n_layers=5)
