"""Probabilities that mean what they say: one temperature, fitted on the validation speakers (Guo et al. 2017)."""

import torch

from mtlaug_sb.temperature import fit_temperature

BINS = 15
UNCALIBRATED = {
    "temperature": 1.0,
    "utterances": 0,
    "speakers": 0,
    "ece_before": None,
    "ece_after": None,
    "ece_after_other_speakers": None,
    "cross_entropy_before": None,
    "cross_entropy_after": None,
    "cross_entropy_after_other_speakers": None,
}


def calibrate(logits, truth, speakers):
    """Temperature, and expected calibration error and cross entropy before and after.

    "After other speakers" is the honest one: each speaker's answers with the temperature of all the others.

    Arguments
    ---------
    logits : torch.Tensor
        [utterances, classes], of the validation speakers.
    truth : torch.Tensor
        Indices, [utterances].
    speakers : list of str
        Of each utterance.

    Returns
    -------
    dict
        As in model.json; ``UNCALIBRATED`` where there is no utterance.
    """
    if not len(logits):
        return dict(UNCALIBRATED)
    temperature = fit_temperature(logits, truth)
    names = sorted(set(map(str, speakers)))
    stages = {"before": logits, "after": logits / temperature}
    if len(names) > 1:
        stages["after_other_speakers"] = torch.empty_like(logits)
        for name in names:
            own = torch.tensor([str(s) == name for s in speakers])
            stages["after_other_speakers"][own] = logits[own] / fit_temperature(logits[~own], truth[~own])
    result = {**UNCALIBRATED, "temperature": temperature, "utterances": len(logits), "speakers": len(names)}
    for stage, scaled in stages.items():
        result[f"ece_{stage}"] = expected_calibration_error(scaled.softmax(1), truth)
        result[f"cross_entropy_{stage}"] = torch.nn.functional.cross_entropy(scaled, truth).item()
    return result


def expected_calibration_error(probabilities, truth):
    """Mean distance of confidence and accuracy over 15 bins of confidence (Naeini et al. 2015)."""
    # imported here: it takes seconds, which whoever does not calibrate need not wait for
    from torchmetrics.functional.classification import multiclass_calibration_error

    return multiclass_calibration_error(
        probabilities.float(), truth, num_classes=probabilities.shape[1], n_bins=BINS, norm="l1"
    ).item()
