"""The same three tasks as a user of SpeechBrain would write them, from its stock parts, with the same sizes.

One augmentation a batch (its label is that of the whole batch), SpeedPerturb and SpectrogramDrop, no mixup; audio read and
features computed in every step; batches in random order; a packed bidirectional nn.LSTM.
"""

import random

import speechbrain as sb
import torch
from speechbrain.augment.freq_domain import SpectrogramDrop
from speechbrain.augment.time_domain import SpeedPerturb
from speechbrain.dataio.batch import PaddedBatch
from speechbrain.dataio.dataset import DynamicItemDataset
from speechbrain.lobes.features import Fbank
from speechbrain.nnet.CNN import Conv1d
from speechbrain.nnet.normalization import BatchNorm1d
from speechbrain.processing.features import InputNormalization
from torch import nn

TYPES = 3  # none, speed, masks


class Stock(sb.Brain):
    """SpeechBrain's Brain with everything in compute_forward and compute_objectives."""

    def compute_forward(self, batch, stage):
        """Predictions of the three tasks, and the features."""
        wavs, lengths = batch.to(self.device).wav
        self.kind = random.randrange(TYPES)
        if self.kind == 1:
            wavs = self.hparams.speed(wavs)
        with torch.no_grad():
            features = self.modules.normalize(self.modules.features(wavs), lengths)
        clean = features
        if self.kind == 2:
            features = self.hparams.drop_frames(self.hparams.drop_bands(features.clone()))
        shared = self.modules.first(features)
        frames = self.modules.second(shared)
        valid = (lengths * frames.shape[1]).round().clamp(min=1).long().cpu()
        packed = nn.utils.rnn.pack_padded_sequence(frames, valid, batch_first=True, enforce_sorted=False)
        states, _ = nn.utils.rnn.pad_packed_sequence(self.modules.recurrent(packed)[0], batch_first=True)
        hidden = torch.arange(states.shape[1], device=states.device) >= valid.to(states.device).unsqueeze(1)
        weights = self.modules.attention(states).squeeze(2).masked_fill(hidden, -torch.inf).softmax(1)
        emotion = self.modules.emotion((weights.unsqueeze(2) * states).sum(1))
        return (
            emotion,
            self.modules.decoder(shared.transpose(1, 2)).transpose(1, 2),
            self.modules.kind(shared.mean(1)),
            clean,
        )

    def compute_objectives(self, predictions, batch, stage):
        """The weighted sum."""
        emotion, rebuilt, kind, clean = predictions
        size = min(rebuilt.shape[1], clean.shape[1])
        kinds = torch.full((len(kind),), self.kind, device=kind.device)
        return (
            nn.functional.cross_entropy(emotion, batch.emotion.data.argmax(1))
            + 0.5 * nn.functional.mse_loss(rebuilt[:, :size], clean[:, :size])
            + 0.1 * nn.functional.cross_entropy(kind, kinds)
        )


def make_stock(setting):
    """A step of it, ready to be called, on the data of a Setting."""
    hparams = setting.hparams
    n_mels, size, classes = hparams["n_mels"], hparams["frame_size"], len(hparams["classes"])
    modules = {
        "features": Fbank(n_mels=n_mels, n_fft=1024, f_max=4000),
        "normalize": InputNormalization(norm_type="global"),
        "first": nn.Sequential(*_layer(n_mels, 64, 8, 4), *_layer(64, 64, 5, 2)),
        "second": nn.Sequential(*_layer(64, size, 3, 1)),
        "recurrent": nn.LSTM(size, 48, batch_first=True, bidirectional=True),
        "attention": nn.Linear(96, 1),
        "emotion": nn.Sequential(nn.Dropout(0.4), nn.Linear(96, 64), nn.ReLU(), nn.Dropout(0.4), nn.Linear(64, classes)),
        "decoder": nn.Sequential(nn.Conv1d(64, 64, 3, padding=1), nn.ReLU(), nn.ConvTranspose1d(64, n_mels, 8, 8)),
        "kind": nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, TYPES)),
    }
    effects = {
        "speed": SpeedPerturb(hparams["sample_rate"], [80, 85, 90, 95, 105, 110, 115, 120]),
        "drop_frames": SpectrogramDrop(dim=1),
        "drop_bands": SpectrogramDrop(dim=2),
    }
    brain = Stock(
        modules,
        lambda p: torch.optim.AdamW(p, lr=0.002),
        effects,
        {"device": str(setting.brain.device), "noprogressbar": True},
    )
    dataset = DynamicItemDataset({k: {"path": r["path"], "emotion_name": r["emotion"]} for k, r in setting.records.items()})
    dataset.add_dynamic_item(sb.dataio.dataio.read_audio, takes="path", provides="wav")
    row = torch.eye(classes)
    dataset.add_dynamic_item(lambda name: row[hparams["classes"].index(name)], takes="emotion_name", provides="emotion")
    dataset.set_output_keys(["id", "wav", "emotion"])
    options = {"batch_size": hparams["batches"]["batch_size"], "shuffle": True, "collate_fn": PaddedBatch}
    loader = brain.make_dataloader(dataset, sb.Stage.TRAIN, **options)
    brain.on_fit_start()
    brain.modules.train()
    batches = _endless(loader)
    return lambda: brain.fit_batch(next(batches))


def _layer(inputs, outputs, kernel, stride):
    convolution = Conv1d(outputs, kernel, in_channels=inputs, stride=stride, padding="same")
    return convolution, BatchNorm1d(input_size=outputs), nn.ReLU(), nn.Dropout(0.35)


def _endless(loader):
    while True:
        yield from loader
