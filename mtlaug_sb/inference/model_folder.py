"""A model on disk: model.json (plain data) and model.safetensors, both read without running anything in them."""

import contextlib
import json
import os
import pathlib
import shutil
import stat

import safetensors
import safetensors.torch
import torch

from mtlaug_sb.inference.building import build_augmentations, build_network, try_network
from mtlaug_sb.inference.description import MAX_CHARACTERS, ModelError, check, parse
from mtlaug_sb.inference.stock_files import check_neighbours

DESCRIPTION = "model.json"
WEIGHTS = "model.safetensors"
FILES = (DESCRIPTION, WEIGHTS)  # all that is ever read
MAX_BYTES = 4_000_000_000
_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
           "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool}  # fmt: skip
_NOT_READ = ("*.ckpt", "*.pt", "*.pth", "*.bin", "*.pkl", "*.pickle", "hyperparams.yaml", "CKPT*")


def write_model(folder, description, network):
    """Write a network and its description; the folder is replaced as a whole.

    Raises
    ------
    ModelError
        If the description could not be loaded again.
    """
    # tuples become lists, so that what is checked is what is read back
    description = json.loads(json.dumps(description))
    check(description)
    folder = pathlib.Path(folder)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    # cloned: the format refuses tensors that share memory
    tensors = {k: t.detach().cpu().clone().contiguous() for k, t in network.state_dict().items()}
    (part / WEIGHTS).write_bytes(safetensors.torch.save(tensors))
    (part / DESCRIPTION).write_text(json.dumps(description, indent=1, ensure_ascii=False), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def read_model(folder, max_bytes=MAX_BYTES):
    """(description, network) of a folder, on CPU, in evaluation mode.

    The network is made only when names, shapes and types in the head of the weights' file are known, and in no more memory
    than they justify.

    Raises
    ------
    FileNotFoundError
        If the folder is not there.
    ModelError
        If it holds no model, one that does not fit together, or one that leads out of the folder.
    """
    folder = find_folder(folder)
    check_neighbours(folder)
    description = parse(_read_text(folder / DESCRIPTION, folder))
    return description, _read_network(_own_file(folder / WEIGHTS, folder), description, max_bytes)


def read_single_file(path, max_bytes=MAX_BYTES):
    """(description, network) of a safetensors file that has model.json in its head, with the same checks."""
    with _open_weights(path) as weights:
        text = (weights.metadata() or {}).get(DESCRIPTION)
    if text is None:
        raise ModelError(f"'{path}' has no {DESCRIPTION} in its head")
    description = parse(text)
    return description, _read_network(pathlib.Path(path), description, max_bytes)


def _read_network(path, description, max_bytes):
    size = path.stat().st_size
    if size > max_bytes:
        raise ModelError(f"{path} has {size / 1e9:.1f} GB; more than {max_bytes / 1e9:.1f} GB needs max_bytes={size}")
    with _open_weights(path) as weights:
        head = {name: weights.get_slice(name) for name in weights.keys()}  # noqa: SIM118
        found = {name: (tuple(part.get_shape()), _DTYPES.get(part.get_dtype())) for name, part in head.items()}
        network = build_network(description, size)
        expected = {name: (tuple(t.shape), t.dtype) for name, t in network.state_dict().items()}
        _compare(expected, found)
        tensors = {name: weights.get_tensor(name) for name in found}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise ModelError(f"{path.name}: '{name}' has values that are not finite")
    network.load_state_dict(tensors)
    try_network(network, description)
    build_augmentations(description)  # refused now rather than when they are wanted
    return network


def find_folder(source):
    """The folder with model.json: the one given, or ``model/`` inside a run's folder.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ModelError
        If it holds no model; what it holds instead is named.
    """
    source = pathlib.Path(source)
    if not source.is_dir():
        raise FileNotFoundError(f"no model folder '{source}'")
    for folder in (source, source / "model"):
        if (folder / DESCRIPTION).is_file() and folder.resolve().is_relative_to(source.resolve()):
            return folder
    other = sorted({p.name for pattern in _NOT_READ for p in source.glob(pattern)})
    models = sorted(str(p.parent.relative_to(source)) for p in source.glob(f"*/*/model/{DESCRIPTION}"))[:3]
    if models:
        why = f"; it holds several runs, such as {', '.join(models)}: name one"
    elif other:
        why = (
            f"; it holds {', '.join(other[:4])}, which loading could run code from and which is never read: its maker "
            "can write a folder that is safe to load, with recipes/export.py RUN OUT"
        )
    else:
        why = "; a finished run of recipes/train.py has one, and recipes/export.py writes one"
    raise ModelError(f"'{source}' has no {DESCRIPTION}{why}")


def copy_model(folder, savedir):
    """Copy the files that are read, and nothing else, into another folder; returns it."""
    folder, savedir = find_folder(folder), pathlib.Path(savedir)
    savedir.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        source = _own_file(folder / name, folder)
        if not (savedir / name).exists() or not os.path.samefile(source, savedir / name):
            (savedir / name).unlink(missing_ok=True)  # a link there must not be written through
            shutil.copyfile(source, savedir / name)
    return savedir


def _own_file(path, folder):
    """The path, if it is a plain file inside the folder."""
    if not path.exists():
        raise ModelError(f"'{folder}' has no {path.name}")
    if path.resolve().parent != folder.resolve():
        raise ModelError(f"'{path}' is a link that leads out of its folder, to {path.resolve()}")
    if not stat.S_ISREG(path.stat().st_mode):
        raise ModelError(f"'{path}' is no plain file")
    return path


def _read_text(path, folder):
    _own_file(path, folder)
    if path.stat().st_size > 4 * MAX_CHARACTERS:
        raise ModelError(f"'{path}' has {path.stat().st_size} bytes: no model is described at such length")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ModelError(f"'{path}' is not text in UTF-8") from None


@contextlib.contextmanager
def _open_weights(path):
    try:
        weights = safetensors.safe_open(path, framework="pt")
    except (safetensors.SafetensorError, OSError) as error:
        raise ModelError(f"'{path}' is not a safetensors file ({error}); nothing else is read") from None
    with weights as opened:
        yield opened


def _compare(expected, found):
    """Refuse weights that are not exactly those of the network."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            raise ModelError(f"{WEIGHTS} lacks '{name}' {list(expected[name][0])}, which {DESCRIPTION} asks for")
        if name not in expected:
            raise ModelError(f"{WEIGHTS} has '{name}' {list(found[name][0])}, which {DESCRIPTION} does not ask for")
        if expected[name] != found[name]:
            (shape, dtype), (given_shape, given_dtype) = expected[name], found[name]
            raise ModelError(
                f"'{name}' is {list(shape)} {dtype} by {DESCRIPTION}, and {list(given_shape)} {given_dtype} in {WEIGHTS}"
            )
