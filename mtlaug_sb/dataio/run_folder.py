"""What may happen to an output folder: a finished run is kept, an unfinished one goes on, a foreign folder is left alone."""

import io
import pathlib
import shutil

import ruamel.yaml
from hyperpyyaml import resolve_references

FINISHED = "results.json"
SETTINGS = "hyperparams.yaml"
# what a run may go on with although it differs: where things are, not what they are
_FREE = {"overwrite", "output_folder", "save_folder", "train_log", "data_folder", "cache_mb"}


def open_run_folder(hparams_file, overrides):
    """Check the output folder that the YAML names, before anything is made or written.

    Arguments
    ---------
    hparams_file : str
        The run's YAML; its ``overwrite: True`` begins anew and removes what an earlier run left.
    overrides : dict
        Of the command line.

    Raises
    ------
    FileExistsError
        If the folder holds a finished run, an unfinished one with other settings (the keys are named), or files of
        something else.
    """
    plain, resolved = _resolve(hparams_file, overrides)
    folder = pathlib.Path(plain["output_folder"])
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / SETTINGS).is_file():
        raise FileExistsError(f"'{folder}' holds something that is no run; choose another --output_folder")
    if plain["overwrite"]:
        shutil.rmtree(folder)
        return
    if (folder / FINISHED).exists():
        raise FileExistsError(
            f"'{folder}' holds a finished run; choose another --output_folder, or --overwrite=True to train anew"
        )
    _check_same_settings(folder, resolved)


def is_finished(hparams_file, overrides):
    """Whether the run of this YAML with these overrides is finished in its folder.

    Raises
    ------
    FileExistsError
        If a run with other settings is finished there.
    """
    plain, resolved = _resolve(hparams_file, overrides)
    folder = pathlib.Path(plain["output_folder"])
    if plain["overwrite"] or not (folder / FINISHED).exists():
        return False
    _check_same_settings(folder, resolved)
    return True


def _resolve(hparams_file, overrides):
    """The YAML with overrides and references put in: its plain values, and its text."""
    with open(hparams_file, encoding="utf-8") as file:
        resolved = resolve_references(file, overrides).getvalue()
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
    """Top-level key -> its YAML as text, tags included."""
    yaml = ruamel.yaml.YAML()
    settings = {}
    for key, value in yaml.load(resolved).items():
        text = io.StringIO()
        yaml.dump({key: value}, text)
        settings[key] = text.getvalue()
    return settings
