"""From a finished training to a model folder."""

import inspect
import logging
import pathlib

import torch

from mtlaug_sb import __version__
from mtlaug_sb.inference.calibration import UNCALIBRATED, calibrate
from mtlaug_sb.inference.description import FORMAT, VERSION, ModelError
from mtlaug_sb.inference.model_folder import write_model
from mtlaug_sb.inference.network import Network
from mtlaug_sb.normalization import GlobalNormalization
from mtlaug_sb.registry import describe, find

logger = logging.getLogger(__name__)


def write_model_of_run(folder, brain, valid_loader, valid_records):
    """Write what a trained brain has learned, calibrated on its validation speakers, into ``folder``.

    A system that cannot be written down as plain data (a module that is no registered plugin, say) leaves no folder and a
    warning: its training is not lost for that.

    Arguments
    ---------
    folder : str
        Replaced as a whole.
    brain : MultiTaskBrain
        With the chosen epoch's weights.
    valid_loader : iterable of PaddedBatch or None
        Of the validation speakers; without them the probabilities stay as they are.
    valid_records : dict
        Their manifest.

    Returns
    -------
    dict or None
        The calibration.
    """
    try:
        answering = without_other_predictions(brain, answering_tasks(brain))
        network = network_of(brain, answering).eval()
        calibration = dict(UNCALIBRATED)
        if valid_loader is not None:
            logits, truth, ids = main_answers(network, brain, valid_loader)
            calibration = calibrate(logits, truth, [valid_records[utterance]["speaker"] for utterance in ids])
        write_model(folder, describe_run(brain, network, answering, calibration), network)
    except ModelError as error:
        logger.warning("This run leaves no model folder, and cannot be exported: %s", error)
        return None
    return calibration


def answering_tasks(brain):
    """{task: {"classes": names or None, "numbers": names or None}} of the tasks that say something to a user.

    These are the ones whose target has ``names`` (of classes) or ``labels`` (of numbers), and the types of augmentation.
    """
    answering = {}
    for name, task in brain.tasks.items():
        target = brain.hparams.targets.get(task.target)
        if task.target in brain.policy.provides:
            answering[name] = {"classes": list(brain.policy.names), "numbers": None}
        elif getattr(target, "names", None):
            # classes learned from the data may be fewer than the head has room for
            spare = [f"unused {i}" for i in range(len(target.names), target.size)]
            answering[name] = {"classes": [*target.names, *spare], "numbers": None}
        elif getattr(target, "labels", None):
            answering[name] = {"classes": None, "numbers": list(target.labels)}
        elif target is not None:
            logger.info("Task '%s' is not in model/: its target has neither names (classes) nor labels (numbers)", name)
    return answering


@torch.no_grad()
def without_other_predictions(brain, answering):
    """The tasks whose head gives what a user can be told: ``logits`` of the classes, or ``values`` of the numbers.

    A head of a user's own may call its prediction otherwise; the model would be refused when it is loaded.
    """
    network = network_of(brain, answering).eval()
    wavs = torch.rand(1, brain.hparams.sample_rate, generator=torch.Generator().manual_seed(0)).to(brain.device) - 0.5
    answers = network(wavs, torch.ones(1, device=brain.device), list(answering))
    fitting = {}
    for name, names in answering.items():
        key, labels = ("logits", names["classes"]) if names["classes"] is not None else ("values", names["numbers"])
        given = answers[name].get(key)
        if given is not None and tuple(given.shape) == (1, len(labels)):
            fitting[name] = names
        else:
            logger.info("Task '%s' is not in model/: its head gives no '%s' [batch, %d]", name, key, len(labels))
    return fitting


def network_of(brain, tasks):
    """The brain's modules, without a distributed wrapper, as a network with heads for these tasks."""
    plain = {name: getattr(module, "module", module) for name, module in brain.modules.items()}
    features = plain["features"]
    return Network(
        # a front end that keeps what it is made of in a file of its own takes it along
        features.portable() if hasattr(features, "portable") else features,
        plain["normalization"],
        plain["encoder"],
        {name: brain.tasks[name].head for name in tasks},
        {name: brain.tasks[name].layer for name in tasks},
    )


def describe_run(brain, network, answering, calibration):
    """What model.json is to hold."""
    norm = network.normalization
    if type(norm) is not GlobalNormalization:
        raise ModelError(f"normalization is a {type(norm).__name__}, not GlobalNormalization")
    parts = {"features": _plain(network.features, "features"), "encoder": _plain(network.encoder, "encoder")}
    tasks = {
        name: {"layer": network.layers[name], "head": _plain(network.heads[name], f"tasks.{name}.head"), **names}
        for name, names in answering.items()
    }
    effects = {name: _plain(effect, f"augmentation.{name}") for name, effect in brain.policy.effects.items()}
    described = [*parts.values(), *effects.values(), *(task["head"] for task in tasks.values())]
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_by": f"mtlaug_sb {__version__}",
        "sample_rate": brain.hparams.sample_rate,
        **parts,
        "normalization": {"size": len(norm.mean), "groups": norm.groups, "center": norm.center},
        "tasks": tasks,
        "main_task": brain.hparams.main_task,
        "augmentations": effects,
        "plugins": dict(file for data in described for file in _users_plugins(data)),
        "calibration": calibration,
    }


@torch.no_grad()
def main_answers(network, brain, loader):
    """Logits [utterances, classes], truth [utterances] and ids of the main task's labelled rows."""
    task = brain.hparams.main_task
    logits, truth, ids = [], [], []
    for batch in loader:
        batch = batch.to(brain.device)
        targets = batch[brain.tasks[task].target]
        rows = ~targets.isnan().any(1)
        answers = network(*batch.wav, [task])[task]["logits"]
        logits.append(answers[rows].float().cpu())
        truth.append(targets[rows].argmax(1).cpu())
        ids += [utterance for utterance, kept in zip(batch.id, rows.tolist(), strict=True) if kept]
    return torch.cat(logits), torch.cat(truth), ids


def _plain(module, place):
    if not hasattr(module, "plugin_arguments"):
        raise ModelError(f"{place} is a {type(module).__name__}, which is no registered plugin")
    return describe(module)


def _users_plugins(data):
    """(plugin, name of its file) of each plugin in plain data that is not built in."""
    if isinstance(data, dict):
        module = getattr(find(data["plugin"]), "__module__", "") if "plugin" in data else "mtlaug_sb."
        if not module.startswith("mtlaug_sb."):
            yield data["plugin"], pathlib.Path(inspect.getsourcefile(find(data["plugin"]))).name
        for value in data.values():
            yield from _users_plugins(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _users_plugins(value)
