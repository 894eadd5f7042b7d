"""A frozen pretrained speech encoder in an ONNX file."""

import functools
import hashlib
import math
import os
import pathlib
import tempfile

import numpy as np
import torch
from torch import nn

from mtlaug_sb.masking import absolute_lengths
from mtlaug_sb.onnx_model_file import find_inputs, find_layers, open_session, read_file
from mtlaug_sb.registry import register

POOLING = 2  # the version, for features that are kept in a folder


@register("features", "onnx")
class Onnx(nn.Module):
    """Layers of a pretrained model of waveforms, side by side in each frame; run by onnxruntime, never trained.

    Every utterance goes through the model alone: a batch's padding, and the other utterances by which a quantised model
    scales its numbers, change nothing. Values are rounded to 16 bits of floating point, so that they can be kept in as many.
    ``recipes/fetch_moonshine.py`` gets a small model, of which hparams/mtl_aug_pretrained.yaml says the rest. Needs
    ``pip install 'mtlaug_sb[onnx]'``. There is no gradient to the waveform.

    Arguments
    ---------
    path : str or None
        The file. Of its inputs one is the waveform, float [batch, time] (or [batch, 1, time]); others, of whole numbers, are
        masks [batch, time], and are given ones. None in a model that is handed on: the content is then among its weights.
    layers : list of str or int, or None
        Outputs of the model, each [batch, frames, dim] and all with as many frames, by name or number. None: all of them.
    pool : int
        The mean of so many neighbouring frames is one frame. Where they do not divide an utterance, each is made of some
        fewer, as many as the others or one more.
    deviation : bool
        Beside each mean, the standard deviation of the same frames.
    normalize_layers : bool
        Each layer has mean 0 and variance 1 within each of the model's frames, before they are pooled.
    normalize : bool
        Mean 0 and variance 1 for each utterance's samples, as wav2vec 2.0 and its like want them.
    sample_rate : int
        Hz, of the waveform that the model was made for.
    cache_folder : str or None
        Keep the features there, a file for each waveform, for as long as the folder is kept: the name is made of the
        samples, the model's content and the arguments above, so that runs, corpora and settings can share it.
    n_kilobytes : int or None
        Room for the content among the weights, where there is no path.

    Attributes
    ----------
    n_layers : int
        Layers side by side, each of ``output_size / n_layers`` dimensions, its deviations last.
    frame_rate : float
        Frames a second, as the model gave them for some seconds of noise.

    Raises
    ------
    ImportError
        If the package ``onnxruntime`` is not there.
    FileNotFoundError
        If the file is not there.
    ValueError
        If it is no model, or its inputs, outputs or layers are others than those above.

    Example
    -------
    >>> features = Onnx(**Onnx.example())  # a model of two layers, with weights by chance, one frame in 160 samples
    >>> frames, lengths = features(torch.rand(2, 16000), torch.tensor([1.0, 0.5]))
    >>> frames.shape, features.n_layers, features.frame_rate
    (torch.Size([2, 50, 8]), 2, 50.0)
    """

    differentiable = False

    def __init__(
        self,
        path=None,
        layers=None,
        pool=1,
        deviation=False,
        normalize=False,
        normalize_layers=False,
        sample_rate=16000,
        cache_folder=None,
        n_kilobytes=None,
    ):
        super().__init__()
        if pool < 1:
            raise ValueError(f"pool must be at least 1 frame, is {pool}")
        self.path, self.wanted, self.sample_rate = path, layers, sample_rate
        self.pool, self.deviation, self.normalize, self.normalize_layers = pool, deviation, normalize, normalize_layers
        self.folder = cache_folder and pathlib.Path(cache_folder)
        self.session = None
        if path is None and n_kilobytes:
            self.register_buffer("content", torch.zeros(1024 * n_kilobytes, dtype=torch.uint8))
        else:
            self._open(read_file(path))

    def _open(self, content):
        """Make ready to run the model, bytes, and find out what it gives."""
        path = self.path or "the model's own"
        self.session = open_session(content, path)
        self.input, self.masks = find_inputs(self.session, path)
        self.layers = find_layers(self.session, self.wanted, path)
        self.n_layers = len(self.layers)
        made_by = repr([POOLING, self.layers, self.pool, self.deviation, self.normalize, self.normalize_layers])
        self.digest = hashlib.sha256(hashlib.sha256(content).digest() + made_by.encode()).digest()
        self.least = 1
        self.least = self._least(self.sample_rate)
        seconds = 4
        noise = np.random.default_rng(0).standard_normal(seconds * self.sample_rate).astype(np.float32) / 10
        frames = self._frames(noise)
        self.frame_rate = len(frames) / seconds
        self.output_size = frames.shape[1]

    def portable(self):
        """The same with the file's content among its weights, and numbers for layers: what is handed on is complete."""
        if self.path is None:
            return self
        content = read_file(self.path)
        data = len(content).to_bytes(8, "little") + content
        names = [o.name for o in self.session.get_outputs()]
        twin = Onnx(
            layers=[names.index(layer) for layer in self.layers],
            pool=self.pool,
            deviation=self.deviation,
            normalize=self.normalize,
            normalize_layers=self.normalize_layers,
            sample_rate=self.sample_rate,
            n_kilobytes=-(-len(data) // 1024),
        )
        twin.content[: len(data)] = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        return twin

    @staticmethod
    @functools.cache
    def _example_folder():
        import onnx

        folder = tempfile.TemporaryDirectory()
        rng = np.random.default_rng(0)
        weights = {"first": rng.standard_normal((4, 1, 160)) / 9, "second": rng.standard_normal((4, 4, 1))}
        graph = onnx.helper.make_graph(
            [
                onnx.helper.make_node("Unsqueeze", ["wavs", "one"], ["channel"]),
                onnx.helper.make_node("Conv", ["channel", "first"], ["hidden"], strides=[160]),
                onnx.helper.make_node("Tanh", ["hidden"], ["squashed"]),
                onnx.helper.make_node("Conv", ["squashed", "second"], ["raised"]),
                onnx.helper.make_node("Transpose", ["squashed"], ["lower"], perm=[0, 2, 1]),
                onnx.helper.make_node("Transpose", ["raised"], ["upper"], perm=[0, 2, 1]),
            ],
            "example",
            [onnx.helper.make_tensor_value_info("wavs", onnx.TensorProto.FLOAT, ["batch", "time"])],
            [
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", "frames", 4])
                for name in ("lower", "upper")
            ],
            [onnx.numpy_helper.from_array(np.float32(w), name) for name, w in weights.items()]
            + [onnx.numpy_helper.from_array(np.array([1]), "one")],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, pathlib.Path(folder.name) / "example.onnx")
        return folder  # goes with its last reference

    @staticmethod
    def example():
        """Arguments for the contract's checks."""
        return {"path": str(pathlib.Path(Onnx._example_folder().name) / "example.onnx"), "pool": 2}

    @torch.no_grad()
    def forward(self, wavs, lengths):
        """Features [batch, frames, output_size], padding zero, and their relative lengths, from wavs [batch, time]."""
        if self.session is None:  # not before: the content comes with the weights
            data = self.content.cpu().numpy().tobytes()
            self._open(data[8 : 8 + int.from_bytes(data[:8], "little")])
        samples = absolute_lengths(lengths, wavs.shape[1]).tolist()
        rows = [torch.from_numpy(self._kept(wav[:n].float().cpu().numpy())) for wav, n in zip(wavs, samples, strict=True)]
        steps = torch.tensor([len(row) for row in rows], device=wavs.device)
        features = nn.utils.rnn.pad_sequence([row.float() for row in rows], batch_first=True)
        return features.to(wavs.device), steps / features.shape[1]

    def _kept(self, wav):
        """float16 [frames, output_size] of samples [time], from the folder if they are there."""
        if not self.folder:
            return self._frames(wav)
        path = self.folder / f"{hashlib.sha256(self.digest + wav.tobytes()).hexdigest()[:32]}.npy"
        if path.exists():
            return np.load(path)
        frames = self._frames(wav)
        self.folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}")  # another process may be at the same waveform
        with open(part, "wb") as file:
            np.save(file, frames)
        part.replace(path)
        return frames

    def _frames(self, wav):
        """float16 [frames, output_size] of samples [time]."""
        if self.normalize:
            wav = (wav - wav.mean()) / np.sqrt(wav.var() + 1e-7)
        frames = self._run(np.pad(wav, (0, max(self.least - len(wav), 0))))
        if self.normalize_layers:
            frames = [_normalized(layer) for layer in frames]
        if self.pool > 1 or self.deviation:
            frames = _pooled(frames, self.pool, self.deviation)
        limit = np.finfo(np.float16).max
        return np.concatenate(frames, axis=1).clip(-limit, limit).astype(np.float16)

    def _run(self, wav):
        """The layers of samples [time], each float32 [frames, dim]."""
        wavs = wav.reshape(1, *[1] * (self.input[1] - 2), -1)
        inputs = {self.input[0]: wavs, **{name: np.ones((1, len(wav)), kind) for name, kind in self.masks}}
        layers = self.session.run(self.layers, inputs)
        shapes = ", ".join(f"'{name}' {list(layer.shape)}" for name, layer in zip(self.layers, layers, strict=True))
        if any(layer.ndim != 3 or layer.shape[:2] != (1, layers[0].shape[1]) for layer in layers):
            raise ValueError(f"'{self.path}': layers must be [1, frames, dim] with as many frames each, and are {shapes}")
        if not all(np.isfinite(layer).all() for layer in layers):
            raise ValueError(f"'{self.path}' gives values that are not finite for {len(wav)} samples")
        return [np.float32(layer[0]) for layer in layers]

    def _least(self, sample_rate):
        """Samples that make a frame, to 10 ms; shorter utterances are taken to be followed by silence."""
        error = "no frame"
        for hundredths in range(1, 101):
            size = math.ceil(hundredths * sample_rate / 100)
            try:
                if len(self._run(np.zeros(size, np.float32))[0]):
                    return size
            except ValueError:
                raise
            except Exception as reason:  # onnxruntime has no class of its own for what a model makes of too few samples
                error = " ".join(str(reason).split())
        raise ValueError(f"'{self.path}' makes nothing of a second of silence, [1, {sample_rate}]: {error[:300]}")


def _normalized(layer):
    """A layer [frames, dim] with mean 0 and variance 1 within each frame."""
    centred = layer - layer.mean(1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(1, keepdims=True) + 1e-5)


def _pooled(layers, pool, deviation):
    """Means over up to ``pool`` neighbouring frames of each layer [frames, dim], and perhaps the deviations beside them."""
    n, groups = len(layers[0]), -(-len(layers[0]) // pool)
    starts = np.arange(groups) * n // groups
    counts = np.diff(starts, append=n)[:, None]
    pooled = []
    for layer in layers:
        mean = np.add.reduceat(layer, starts) / counts
        pooled.append(mean)
        if deviation:
            squares = np.add.reduceat(np.square(layer - np.repeat(mean, counts[:, 0], axis=0)), starts) / counts
            pooled.append(np.sqrt(squares))
    return [np.float32(p) for p in pooled]
