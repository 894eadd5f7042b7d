"""From plain data to a network: registered plugins only, with arguments that they have, within bounded memory."""

import inspect

import torch

from mtlaug_sb.inference.allocation_limit import AllocationError, AllocationLimit
from mtlaug_sb.inference.description import ModelError
from mtlaug_sb.inference.network import Network
from mtlaug_sb.normalization import GlobalNormalization
from mtlaug_sb.registry import find, make

SPARE_BYTES = 256_000_000  # for what a plugin computes when it is made: mel bands, resampling filters
MAX_FRAMES = 1000  # of the front end, a second
TRIAL_BYTES = 1_000_000_000  # of all results together, in the pass of one second through a new network


def build_network(description, weight_bytes):
    """The network of a checked description, untrained, in evaluation mode.

    Arguments
    ---------
    description : dict
        As ``description.check`` passes it.
    weight_bytes : int
        Size of the weights that are to fill it.

    Raises
    ------
    ModelError
        If a plugin is not registered, lacks an argument or gets an unexpected one, cannot be made, or asks for much more
        memory than the weights have.
    """
    tasks = description["tasks"]
    with torch.random.fork_rng(devices=[]), _limit(2 * weight_bytes + SPARE_BYTES):
        features, encoder = build(description["features"], description), build(description["encoder"], description)
        heads = {name: build(task["head"], description) for name, task in tasks.items()}
        try:
            normalization = GlobalNormalization(**description["normalization"])
            network = Network(features, normalization, encoder, heads, {name: task["layer"] for name, task in tasks.items()})
        # a task's name that torch has taken, a plugin that is no module, groups that do not divide the dimensions
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the model's parts cannot be put together ({_line(error)})") from None
    return network.eval()


def build_augmentations(description):
    """{name: augmentation} of a checked description."""
    with torch.random.fork_rng(devices=[]), _limit(SPARE_BYTES):
        return {name: build(effect, description) for name, effect in description["augmentations"].items()}


def try_network(network, description):
    """Let a second of noise through a network, in bounded memory.

    Raises
    ------
    ModelError
        If its parts do not fit each other, or it does not answer as the description says.
    """
    wavs = torch.rand(2, description["sample_rate"], generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.no_grad(), _limit(TRIAL_BYTES + 4 * _size(network)):
        try:
            features, lengths = network.extract(wavs, torch.tensor([1.0, 0.5]))
            if features.shape[1] > MAX_FRAMES:
                raise ValueError(f"{features.shape[1]} frames a second; at most {MAX_FRAMES}")
            answers = network.answer(features, lengths, list(description["tasks"]))
        except AllocationError as error:
            raise ModelError(f"the model would need too much memory for a second of speech ({error})") from None
        except Exception as error:
            raise ModelError(f"the model's parts do not fit each other ({_line(error)})") from None
    for name, task in description["tasks"].items():
        key, labels = ("logits", task["classes"]) if task["classes"] is not None else ("values", task["numbers"])
        given = answers[name].get(key) if isinstance(answers[name], dict) else None
        if not torch.is_tensor(given) or tuple(given.shape) != (2, len(labels)):
            shape = tuple(given.shape) if torch.is_tensor(given) else "nothing"
            raise ModelError(f"task '{name}' must give '{key}' [2, {len(labels)}], gives {shape}")
        if not torch.isfinite(given).all():
            raise ModelError(f"task '{name}' answers noise with a value that is not finite")


def build(data, description):
    """An instance of ``{"plugin": "kind/name", argument: value, ...}``, other plugins among the values included."""
    plugin = data["plugin"]
    try:
        cls = find(plugin)
    except ValueError as error:
        file = description["plugins"].get(plugin)
        if file:
            raise ModelError(
                f"the model needs the plugin '{plugin}', which its maker had in a file '{file}': get that file from "
                "somebody you trust, read it, and name it: from_hparams(..., plugins=['path/to/it.py']) or --plugins"
            ) from None
        raise ModelError(f"model.json: {error}") from None
    known = inspect.signature(cls).parameters
    named = {k for k, p in known.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    given = {k: v for k, v in data.items() if k != "plugin"}
    if given.keys() - named:
        raise ModelError(f"{plugin} has no argument '{sorted(given.keys() - named)[0]}'; it is made with {', '.join(known)}")
    arguments = {k: _build_value(v, description) for k, v in given.items()}
    try:
        return make(plugin, **arguments)
    except AllocationError as error:
        raise ModelError(f"{plugin} asks for far more memory than the weights have ({error})") from None
    except Exception as error:
        raise ModelError(f"{plugin} cannot be made with these arguments ({_line(error)})") from None


def _build_value(value, description):
    if isinstance(value, dict):
        if "plugin" in value:
            return build(value, description)
        return {k: _build_value(v, description) for k, v in value.items()}
    return [_build_value(v, description) for v in value] if isinstance(value, list) else value


def _size(network):
    return sum(t.numel() * t.element_size() for t in network.state_dict().values())


class _limit(AllocationLimit):
    """The limit, whose refusal is a ModelError wherever it happens."""

    def __exit__(self, kind, error, trace):
        super().__exit__(kind, error, trace)
        if isinstance(error, AllocationError):
            raise ModelError(f"the model asks for far more memory than its weights have ({error})") from None


def _line(error):
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}"
