"""A small model without a training: untrained weights, made decisive so that answers differ."""

import json
import pathlib
import shutil

import numpy as np
import soundfile
import torch
from torch import nn

from mtlaug_sb import describe, make
from mtlaug_sb.inference.calibration import UNCALIBRATED
from mtlaug_sb.inference.description import FORMAT, VERSION
from mtlaug_sb.inference.model_folder import write_model
from mtlaug_sb.inference.network import Network
from mtlaug_sb.normalization import GlobalNormalization
from mtlaug_sb.voice import EMOTIONS, draw_voice, synthesise


def write_small_model(folder, head="head/blstm_attention", temperature=1.7, functionals=False, own_scale=False, **more):
    """Write it; returns the folder."""
    torch.manual_seed(0)
    scale = {"relative_floor": 0.1, "level": False, "trim_db": 40} if own_scale else {}
    features = make("features/log_mel", n_mels=20, n_fft=512, **scale)
    skip = {"skip": True, "skip_cepstra": 6} if functionals else {}
    encoder = make("encoder/cnn", input_size=20, channels=[16, 16], kernel_sizes=[8, 5], strides=[4, 1], **skip)
    emotion = make(head, input_size=encoder.output_size, n_classes=4, **({"functionals": True} if functionals else {}))
    if functionals:
        vectors = make("encoder/covariance", input_size=20)
        emotion = make("head/discriminant_fusion", head=emotion, vectors=vectors, n_classes=4)
        nn.init.normal_(emotion.analysis.weight, std=0.1)
    kind = make("head/attentive", input_size=16, n_classes=3, dense=8)
    normalization = GlobalNormalization(20)
    normalization.mean.fill_(-9.0)
    normalization.std.fill_(3.0)
    with torch.no_grad():
        for name, parameter in emotion.named_parameters():
            if name.removeprefix("head.").startswith(("output", "dense")):
                parameter.mul_(4.0)
    heads = {"emotion": emotion, "augmentation": kind}
    network = Network(features, normalization, encoder, heads, {"emotion": -1, "augmentation": 0}).eval()
    description = {
        "format": FORMAT,
        "version": VERSION,
        "made_by": "a test",
        "sample_rate": 16000,
        "features": describe(features),
        "encoder": describe(encoder),
        "normalization": {"size": 20},
        "tasks": {
            "emotion": {"layer": -1, "head": describe(emotion), "classes": list(EMOTIONS), "numbers": None},
            "augmentation": {"layer": 0, "head": describe(kind), "classes": ["none", "speed", "mixup"], "numbers": None},
        },
        "main_task": "emotion",
        "augmentations": {
            "speed": describe(make("augmentation/speed", percents=[90, 110])),
            "mixup": describe(make("augmentation/mixup")),
        },
        "plugins": {},
        "calibration": {**UNCALIBRATED, "temperature": temperature},
        **more,
    }
    write_model(folder, description, network)
    return pathlib.Path(folder)


def write_voices(folder, n=7, rate=16000):
    """Files of different lengths; returns their paths."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(n):
        rng = np.random.default_rng(i)
        voice = draw_voice("s", ("female", "male")[i % 2], rng)
        wav = synthesise(voice, EMOTIONS[i % 4], rng)
        paths.append(folder / f"{i}.wav")
        soundfile.write(paths[-1], wav[: len(wav) - 997 * i], rate)
    return paths


def changed(folder, new, **changes):
    """A copy of a model folder with keys of model.json changed: changed(old, new, sample_rate=8000)."""
    shutil.copytree(folder, new)
    description = json.loads((new / "model.json").read_text())
    (new / "model.json").write_text(json.dumps({**description, **changes}))
    return new
