"""A model as one ONNX file: waveform in, probabilities out, batch and time free."""

import contextlib
import io
import json
import logging
import math
import pathlib
import warnings

import numpy as np
import torch
from torch import nn

from mtlaug_sb.encoders.cnn import CNN
from mtlaug_sb.features.log_mel import LogMel
from mtlaug_sb.inference.description import ModelError
from mtlaug_sb.interfaces import ask
from mtlaug_sb.masking import absolute_lengths, valid_mask, zero_padding

OPSET = 17
TOLERANCE = 1e-4


def write_onnx(path, description, network):
    """Write the model, and compare it with PyTorch before it is kept.

    Inputs: ``wavs`` float32 [batch, time] at the model's rate, ``lengths`` float32 [batch], relative, in (0, 1]. Output:
    ``probabilities`` float32 [batch, classes]. Labels, sample rate and temperature are in the file's metadata.

    Raises
    ------
    ModelError
        If the model cannot be exported, or the file differs from PyTorch by more than 1e-4.
    """
    try:
        import onnx

        from mtlaug_sb.inference.onnx_model import OnnxModel
    except ImportError as error:
        raise ModelError(f"ONNX needs the extra 'onnx': pip install 'mtlaug_sb[onnx]' ({error})") from None
    exported = ExportedNetwork(description, network).eval()
    data = io.BytesIO()
    example = torch.rand(2, 24000) - 0.5, torch.tensor([1.0, 0.7])
    with _quiet(), torch.no_grad():
        try:
            torch.onnx.export(
                exported,
                example,
                data,
                opset_version=OPSET,
                # the dynamo exporter fails on nn.LSTM or fixes the time axis
                dynamo=False,
                input_names=["wavs", "lengths"],
                output_names=["probabilities"],
                dynamic_axes={"wavs": {0: "batch", 1: "time"}, "lengths": {0: "batch"}, "probabilities": {0: "batch"}},
            )
        except Exception as error:
            raise ModelError(f"this model cannot be written as ONNX ({' '.join(str(error).split())[:200]})") from None
    model = onnx.load_from_string(data.getvalue())
    task = description["tasks"][description["main_task"]]
    for key, value in {
        "labels": json.dumps(task["classes"], ensure_ascii=False),
        "sample_rate": str(description["sample_rate"]),
        "temperature": repr(description["calibration"]["temperature"]),
        "made_by": description["made_by"],
    }.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    _compare(data, OnnxModel, description, network)
    pathlib.Path(path).write_bytes(data)


class ExportedNetwork(nn.Module):
    """Wavs and lengths to probabilities, from operations that ONNX has."""

    def __init__(self, description, network):
        super().__init__()
        self.features = TracedLogMel(network.features) if type(network.features) is LogMel else network.features
        self.normalization = network.normalization
        self.encoder = TracedCNN(network.encoder) if type(network.encoder) is CNN else network.encoder
        task = description["main_task"]
        self.head, self.layer = network.heads[task], network.layers[task]
        self.temperature = description["calibration"]["temperature"]

    def forward(self, wavs, lengths):
        """Probabilities [batch, classes]."""
        features, lengths = self.features(wavs, lengths)
        inputs = self.normalization(features, lengths), lengths
        layers = self.encoder(*inputs)
        return (ask(self.head, layers[self.layer], inputs)["logits"] / self.temperature).softmax(dim=1)


class TracedLogMel(nn.Module):
    """LogMel with the Fourier transform as a convolution with windowed cosines and sines.

    Only the bins that some mel band hears are computed.
    """

    def __init__(self, features):
        super().__init__()
        self.window, self.hop, self.scaled_log = features.window, features.hop, features.scaled_log
        bands = features.bands[::2].double()  # a row per bin: LogMel has two, for real and imaginary parts
        bins = (bands.sum(1) > 0).nonzero().squeeze(1)
        angles = 2 * math.pi * bins.double().unsqueeze(1) * torch.arange(self.window, dtype=torch.float64) / features.n_fft
        waves = torch.cat([angles.cos(), angles.sin()]) * features.taper.double()
        self.register_buffer("waves", waves.float().unsqueeze(1))
        self.register_buffer("bands", torch.cat([bands[bins], bands[bins]]).float().t().unsqueeze(2).contiguous())

    def forward(self, wavs, lengths):
        """As LogMel."""
        samples = absolute_lengths(lengths, wavs.shape[1])
        left = self.window // 2
        padded = nn.functional.pad(zero_padding(wavs, lengths), (left, self.window - left)).unsqueeze(1)
        spectrum = nn.functional.conv1d(padded, self.waves, stride=self.hop)
        power = nn.functional.conv1d(spectrum.square(), self.bands).transpose(1, 2)
        return self.scaled_log(power, (1 + samples // self.hop).double() / power.shape[1])


class TracedCNN(nn.Module):
    """CNN without choices that depend on a size, and with padding zeroed where CNN leaves it out."""

    def __init__(self, encoder):
        super().__init__()
        self.convolutions, self.norms, self.with_skip = encoder.convolutions, encoder.norms, encoder.with_skip

    def forward(self, features, lengths):
        """As CNN."""
        layers, frames, given = [], features, lengths
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            (kernel,), (stride,), (left,) = convolution.kernel_size, convolution.stride, convolution.padding
            size = (frames.shape[1] + stride - 1) // stride
            # rounded up without negative numbers, whose division ONNX rounds the other way
            steps = (absolute_lengths(lengths, frames.shape[1]) + stride - 1) // stride
            lengths = steps.double() / size
            # more zeros than any size needs; what they add is cut off
            padded = nn.functional.pad(frames, (0, 0, left, kernel + stride)).transpose(1, 2)
            convolved = nn.functional.conv1d(padded, convolution.weight, convolution.bias, stride)[..., :size]
            normed = nn.functional.batch_norm(
                convolved, norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps
            )
            frames = torch.where(valid_mask(lengths, size).unsqueeze(2), normed.relu().transpose(1, 2), 0.0)
            layers.append((frames, lengths))
        return self.with_skip(layers, features, given)


def _compare(data, model_class, description, network):
    """Refuse a file that answers otherwise than PyTorch, at other sizes than the one it was traced with."""
    model = model_class(data)
    generator = torch.Generator().manual_seed(0)
    for batch, time in ((1, 9001), (3, 40_000), (4, 7777)):
        wavs = (torch.rand(batch, time, generator=generator) - 0.5) * torch.logspace(0, -3, batch).unsqueeze(1)
        lengths = torch.linspace(1.0, 0.4, batch)
        with torch.no_grad():
            logits = network(wavs, lengths, [description["main_task"]])[description["main_task"]]["logits"]
        expected = (logits / description["calibration"]["temperature"]).softmax(1).numpy()
        difference = np.abs(model(wavs.numpy(), lengths.numpy()) - expected).max()
        if difference > TOLERANCE:
            raise ModelError(f"the ONNX file differs from PyTorch by {difference:.1e}, more than {TOLERANCE:.0e}: no file")


@contextlib.contextmanager
def _quiet():
    """Without the tracer's warnings: what they warn of is compared afterwards."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logger.setLevel(level)
