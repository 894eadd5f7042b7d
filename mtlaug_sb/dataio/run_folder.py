"""What may happen to an output folder: a finished run is kept, an unfinished one goes on, a foreign folder is left alone."""

import pathlib
import shutil

import ruamel.yaml

from mtlaug_sb.atomic import PART, write_atomically
from mtlaug_sb.experiment import resolve_experiment

FINISHED = "results.json"
SETTINGS = "hyperparams.yaml"
REPLACED = ".replaced"
# what a run may go on with although it differs
_FREE = {"overwrite", "cache_mb", "tensorboard"}


def open_run_folder(hparams_file, overrides):
    """Check the output folder that the YAML names, before anything is made or written.

    Arguments
    ---------
    hparams_file : str
        The run's YAML; with ``overwrite: True`` an earlier run is set aside, into ``<folder>.replaced``.
    overrides : dict
        Of the command line.

    Raises
    ------
    ValueError
        If ``save_folder`` or ``train_log`` is not inside the output folder.
    FileExistsError
        If the folder holds a finished run, an unfinished one with other settings (the keys are named), or files of
        something else.
    """
    plain, resolved = _resolve(hparams_file, overrides)
    folder = pathlib.Path(plain["output_folder"])
    for key in ("save_folder", "train_log"):
        if folder.absolute() not in pathlib.Path(plain[key]).absolute().parents:
            raise ValueError(f"{key} must be inside the output folder '{folder}', is '{plain[key]}'")
    if not folder.exists() or all(path.suffix == PART for path in folder.iterdir()):
        return
    if not (folder / SETTINGS).is_file() or "main_task" not in _settings((folder / SETTINGS).read_text(encoding="utf-8")):
        raise FileExistsError(f"'{folder}' holds something that is no run; choose another --output_folder")
    if plain["overwrite"]:
        if (set_aside(folder) / FINISHED).exists() and not (folder / FINISHED).exists():
            shutil.rmtree(folder)  # an attempt that failed: the finished run is kept
        else:
            shutil.rmtree(set_aside(folder), ignore_errors=True)
            folder.rename(set_aside(folder))
    elif (folder / FINISHED).exists():
        raise FileExistsError(
            f"'{folder}' holds a finished run; choose another --output_folder, or --overwrite=True to train anew"
        )
    elif any(folder.glob("save/CKPT*")):
        _check_same_settings(folder, resolved)


def write_settings(hparams_file, overrides):
    """Write the YAML into the run's folder, with its base, its overrides and its references put in."""
    plain, resolved = _resolve(hparams_file, overrides)
    # SpeechBrain writes this file too, but would not know of a base
    origin = f"# {pathlib.Path(hparams_file).absolute()}, with everything put in\n# yamllint disable\n"
    folder = pathlib.Path(plain["output_folder"])
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / SETTINGS, origin + resolved)


def set_aside(folder):
    """Where an overwritten run is kept until the new one is finished."""
    return folder.with_name(f"{folder.name}{REPLACED}")


def is_finished(hparams_file, overrides):
    """Whether the run of this YAML with these overrides is finished in its folder.

    Raises
    ------
    FileExistsError
        If a run with other settings is finished there.
    """
    given = overrides.get("output_folder")
    if given and not (pathlib.Path(given) / FINISHED).exists():
        return False  # spares a grid reading its YAML once per cell
    plain, resolved = _resolve(hparams_file, overrides)
    folder = pathlib.Path(plain["output_folder"])
    if plain["overwrite"] or not (folder / FINISHED).exists():
        return False
    _check_same_settings(folder, resolved)
    return True


def _resolve(hparams_file, overrides):
    """The YAML with overrides and references put in: its plain values, and its text."""
    resolved = resolve_experiment(hparams_file, overrides)
    return ruamel.yaml.YAML().load(resolved), resolved


def _check_same_settings(folder, resolved):
    new, old = _settings(resolved), _settings((folder / SETTINGS).read_text(encoding="utf-8"))
    changed = [k for k in new.keys() | old.keys() if new.get(k) != old.get(k) and k not in _FREE]
    if changed:
        raise FileExistsError(
            f"'{folder}' holds a run with other settings ({', '.join(sorted(changed))}); choose another "
            "--output_folder, or --overwrite=True to begin anew"
        )


def _settings(resolved):
    """Top-level key -> its value with tags, whatever the layout and the comments."""
    return {key: _plain(node) for key, node in ruamel.yaml.YAML().load(resolved).items()}


def _plain(node):
    tag = getattr(getattr(node, "tag", None), "value", None)
    if isinstance(node, dict):
        return tag, {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return tag, [_plain(value) for value in node]
    return tag, str(getattr(node, "value", node))
