"""Adversarial attacks on a system's features and on the waveform.

Untargeted, white-box, with the true class known. The budget is on every single value (L-infinity) and is the same for every
utterance in a unit that means something: on features a share of their standard deviation over the training data, on the
waveform a signal-to-noise ratio in dB.
"""

import torch
from torch import nn

from mtlaug_sb.acoustics import snr_db
from mtlaug_sb.inference.padded_batches import padded_batches
from mtlaug_sb.masking import absolute_lengths, valid_mask
from mtlaug_sb.robustness.perturbation import METHODS, load_toolbox, worst_changes

TARGETS = ("features", "waveform")


class Attack:
    """One way of attacking, at several strengths. The strongest perturbation found within each budget counts.

    Arguments
    ---------
    method : str
        "fgsm": one step of the gradient's sign (Goodfellow et al. 2015). "pgd": several steps, projected onto the budget
        (Madry et al. 2018), from the utterance itself, as the basic iterative method begins (Kurakin et al. 2017).
    on : str
        "features": ``levels`` are shares of the features' standard deviations. "waveform": signal-to-noise ratios in dB; no
        sample moves by more than that share of the utterance's root mean square.
    levels : list of float
        The budgets.
    steps : int
        Of "pgd".
    source : callable or None
        Cell -> the ``TrainedNetwork`` that the attack is made on, for another system than the one tested (transfer).
    source_name, source_id : str or None
        What that system is called, and what identifies it.

    Raises
    ------
    ValueError
        If a method or target is unknown, or a level makes no sense.
    ModuleNotFoundError
        If the toolbox is not installed.
    """

    def __init__(self, method, on, levels, steps=10, source=None, source_name=None, source_id=None):
        if method not in METHODS or on not in TARGETS:
            raise ValueError(f"an attack is one of {', '.join(METHODS)} on {' or '.join(TARGETS)}, not '{method}' on '{on}'")
        if steps < 1 or any(level < 0 for level in levels if on == "features"):
            raise ValueError(f"an attack's steps are at least 1, its levels at least 0; got {steps} and {levels}")
        load_toolbox()
        self.method, self.on, self.steps, self.source = method, on, steps, source
        # from weak to strong
        self.levels = sorted(map(float, levels), reverse=on == "waveform")
        self.name = f"{method}_{on}" + (f"_from_{source_name}" if source else "")
        self.unit = "dB" if on == "waveform" else ""
        self.axis = f"{method.upper()}: " + ("signal-to-noise ratio in dB" if self.unit else "share of features' deviation")
        self.settings = {"kind": "attack", "method": method, "on": on, "levels": self.levels}
        self.settings |= {"steps": steps} if method == "pgd" else {}
        self.settings |= {"made_on": source_name, "made_on_model": source_id} if source else {}

    def answers(self, system, utterances, cell):
        """(probabilities [utterances, classes], further columns of predictions.csv) of each level in turn.

        Raises
        ------
        ValueError
            If the system has no gradients, or none as far as what is attacked, or other features than the one that the
            attack is made on.
        """
        made_on = self.source(cell) if self.source else system
        if not hasattr(made_on, "network"):
            raise ValueError(
                "an SVM on functionals has no gradients: attack a network and try it on the SVM, --transfer_from="
            )
        if self.on == "waveform" and not getattr(made_on.network.features, "differentiable", True):
            raise ValueError(
                "this network's front end has no gradient to the waveform: attack its --on=features, or --transfer_from= "
                "another network"
            )
        if self.on == "features" and made_on is not system:
            _check_same_features(made_on, system)
        wavs = [u.wav for u in utterances]
        answers = [[None] * len(wavs) for _ in self.levels]
        columns = [{} for _ in self.levels]
        for rows, padded, lengths in padded_batches(wavs, made_on.batch_size):
            truths = torch.tensor([made_on.classes.index(utterances[i].truth) for i in rows])
            attacked = self._waveforms if self.on == "waveform" else self._features
            for k, (probabilities, sizes) in enumerate(attacked(made_on, system, padded, lengths, truths)):
                for i, answer, size in zip(rows, probabilities, sizes, strict=True):
                    answers[k][i], columns[k][utterances[i].id] = answer, f"{size:.4g}"
        column = "snr_db" if self.on == "waveform" else "largest_change"
        for answer, values in zip(answers, columns, strict=True):
            yield torch.stack(answer), {column: values}

    def _waveforms(self, made_on, system, padded, lengths, truths):
        samples = absolute_lengths(lengths, padded.shape[1])
        # in units of the utterance's own root mean square one budget does for all
        scale = (padded.square().sum(1) / samples).sqrt().clamp(min=1e-8).unsqueeze(1)
        model = _OfWaveforms(made_on, lengths, scale)
        budgets = [10 ** (-level / 20) for level in self.levels]
        mask = valid_mask(lengths, padded.shape[1])
        for change in worst_changes(model, padded / scale, truths, mask, budgets, self.method, self.steps, made_on.device):
            moved = [(row + c)[:n] for row, c, n in zip(padded, change * scale, samples.tolist(), strict=True)]
            ratios = [snr_db(row[: len(m)], m - row[: len(m)]) for row, m in zip(padded, moved, strict=True)]
            yield system.probabilities(moved), ratios

    def _features(self, made_on, system, padded, lengths, truths):
        with torch.no_grad():
            features, lengths = (
                t.cpu() for t in made_on.network.extract(padded.to(made_on.device), lengths.to(made_on.device))
            )
        normalization = made_on.network.normalization
        model = _OfFeatures(made_on, lengths, features.shape[2])
        mask = valid_mask(lengths, features.shape[1]).unsqueeze(2).expand_as(features)
        mean, std = normalization.mean.cpu(), normalization.std.cpu()
        x = torch.where(mask, (features - mean) / std, 0.0)
        for change in worst_changes(model, x, truths, mask, self.levels, self.method, self.steps, made_on.device):
            moved = (features + change * std).to(system.device)
            with torch.no_grad():
                task = system.model.main_task
                logits = system.network.answer(moved, lengths.to(system.device), [task])[task]["logits"]
            yield logits.double().softmax(1).cpu(), change.abs().flatten(1).amax(1).tolist()


class _Frozen(nn.Module):
    """A network as the toolbox sees it, for one batch: always in evaluation mode, whatever the toolbox asks for."""

    def __init__(self, system, lengths):
        super().__init__()
        self.network, self.task = system.network, system.model.main_task
        self.lengths = lengths.to(system.device)

    def train(self, mode=True):
        return super().train(False)

    def _logits(self, predictions):
        return predictions[self.task]["logits"]


class _OfWaveforms(_Frozen):
    def __init__(self, system, lengths, scale):
        super().__init__(system, lengths)
        self.scale = scale.to(system.device)

    def forward(self, x):
        return self._logits(self.network(x * self.scale, self.lengths, [self.task]))


class _OfFeatures(_Frozen):
    def __init__(self, system, lengths, size):
        super().__init__(system, lengths)
        if system.network.normalization.mean.shape != (size,):
            raise ValueError(f"features of {size} dimensions, normalised in {len(system.network.normalization.mean)}")

    def forward(self, x):
        norm = self.network.normalization
        return self._logits(self.network.answer(x * norm.std + norm.mean, self.lengths, [self.task]))


def _check_same_features(made_on, system):
    if not hasattr(system, "network"):
        raise ValueError("an SVM on functionals shares no features with a network: transfer an attack on the waveform")
    ours, theirs = (s.model.description["features"] for s in (made_on, system))
    if ours != theirs:
        raise ValueError(f"the attack's features {ours} are not the system's {theirs}: transfer an attack on the waveform")
