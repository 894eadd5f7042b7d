"""The modules of an experiment in a plain PyTorch loop: no Brain, no metrics, no logging, no checks, no caches."""

import torch
from torch.nn.utils.rnn import pad_sequence

from mtlaug_sb.masking import valid_mask


class BareLoop:
    """One step of an experiment's modules, written out.

    Arguments
    ---------
    setting : Setting
        Its modules are trained on.
    """

    def __init__(self, setting):
        self.hparams, self.device = setting.hparams, setting.brain.device
        self.modules, self.policy = self.hparams["modules"], self.hparams["augmentation"]
        self.tasks = {name: task for name, task in self.hparams["tasks"].items() if task is not None}
        everything = torch.nn.ModuleList([*self.modules.values(), *self.tasks.values()])
        self.parameters = [p for p in everything.parameters() if p.requires_grad]
        self.optimizer = self.hparams["opt_class"](self.parameters)
        self.batches = self._read(setting.dataset, setting.sampler)

    def _read(self, dataset, sampler):
        epoch = 0
        while True:
            sampler.set_epoch(epoch)
            for rows in sampler:
                examples = [dataset[i] for i in rows]
                wavs = pad_sequence([e["wav"] for e in examples], batch_first=True)
                lengths = torch.tensor([len(e["wav"]) for e in examples]) / wavs.shape[1]
                targets = {name: torch.stack([e[name] for e in examples]) for name in self.hparams["targets"]}
                yield wavs.to(self.device), lengths.to(self.device), {k: t.to(self.device) for k, t in targets.items()}
            epoch += 1

    def step(self):
        """Read a batch and train on it."""
        wavs, lengths, targets = next(self.batches)
        normalize = self.modules["normalization"]
        draw = self.policy.draw(len(wavs))
        wavs, lengths, targets, draw = self.policy.apply("waveform", draw, wavs, lengths, targets)
        clean, lengths = self.modules["features"](wavs, lengths)
        seen, lengths, targets, draw = self.policy.apply("features", draw, clean, lengths, targets)
        seen, clean = normalize(seen, lengths), normalize(clean, lengths)
        padding = ~valid_mask(lengths, clean.shape[1]).unsqueeze(2)
        targets["clean_features"] = clean.masked_fill(padding, torch.nan)
        targets["features"] = seen.masked_fill(padding, torch.nan)
        targets[self.policy.target] = self.policy.labels(draw, self.device)
        layers = self.modules["encoder"](seen, lengths)
        objectives, weights = {}, {}
        for name, task in self.tasks.items():
            _, terms = task(*layers[task.layer], targets[task.target], inputs=[(seen, lengths)])
            objectives[name], weights[name] = task.objective(terms), task.weight
        self.modules["weighting"](objectives, weights).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.hparams["max_grad_norm"])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
