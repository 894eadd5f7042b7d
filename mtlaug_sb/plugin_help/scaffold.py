"""Write the first version of a plugin and its test."""

import difflib
import importlib
import importlib.util
import keyword
import pathlib

from mtlaug_sb.atomic import write_atomically
from mtlaug_sb.plugin_help.pages import loading_line
from mtlaug_sb.plugin_help.yaml_block import yaml_block
from mtlaug_sb.registry import KINDS, place, plugins


def write_plugin(kind, name, folder):
    """Write ``<folder>/<name>.py`` and its test ``test_<name>.py``, which work as they are; returns both paths.

    Raises
    ------
    ValueError
        For an unknown kind, or a name that is no identifier, is taken, or would hide a Python module.
    FileExistsError
        If one of the files is there already.
    """
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"unknown kind of plugin '{kind}'; {hint}the kinds are {', '.join(KINDS)}")
    if not (name.isidentifier() and name.isascii()) or keyword.iskeyword(name) or name.startswith(("_", "test_")):
        raise ValueError(
            f"'{name}' cannot be the name of a plugin file: use letters, digits and _, such as my_{kind}; it must begin "
            f"with a letter, not with test_, and be no word of Python's own"
        )
    taken = plugins().get((kind, name))
    if taken is not None:
        raise ValueError(f"the name {kind}/{name} is taken, by {place(taken)}; choose another")
    files = [pathlib.Path(folder) / f"{name}.py", pathlib.Path(folder) / f"test_{name}.py"]
    for file in files:
        if file.exists():
            raise FileExistsError(f"'{file}' is there already; choose another name, or remove it")
    if importlib.util.find_spec(name) is not None:
        # pytest puts the folder of a test in front of all others
        raise ValueError(f"the file {name}.py would hide the Python module '{name}'; choose another name, such as my_{name}")
    skeleton = importlib.import_module(f"mtlaug_sb.plugin_help.skeletons.{kind}")
    files[0].parent.mkdir(parents=True, exist_ok=True)
    class_name = "".join(part.capitalize() for part in name.split("_"))
    for file, text in zip(files, (skeleton.PLUGIN, skeleton.TEST), strict=True):
        write_atomically(file, text.replace("__NAME__", name).replace("__CLASS__", class_name))
    return files


def next_steps(cls, file, test):
    """What to do with a plugin that has just been written."""
    where, block = yaml_block(cls)
    indented = "\n".join(f"    {line}" for line in block.splitlines())
    return f"""Wrote {file} and {test}. Both work as they are. Next:

1. Change them to what you want, and try the contract and the test:

    python recipes/plugin.py check {file}
    python -m pytest {test}

2. Load the file in your YAML, above its users:

    {loading_line(file)}

3. Use it, {where}:

{indented}
"""
