"""An experiment's YAML, which may be written as its difference to another: ``base: mtl_aug.yaml``."""

import io
import pathlib

import ruamel.yaml
from hyperpyyaml import resolve_references

_texts = {}  # path -> ({file that was read: its content}, text): a run asks several times, and parsing is slow
_resolved = {}  # the same of (text, overrides) -> text


def read_experiment(path):
    """The text of a YAML with its base, and its base's base, put in.

    A block without a tag changes keys of the base's block; anything else (a value, a list, an object with its ``!new:`` or
    ``!apply:``) replaces what the base has. Top-level keys that the base lacks come first (after ``__set_seed``), so that
    plugins are loaded before they are used.

    Arguments
    ---------
    path : str
        A YAML file; the key ``base`` names another one, relative to its own folder.

    Raises
    ------
    FileNotFoundError
        If a file is not there.
    ValueError
        If a file is no mapping, or is its own base.
    """
    path = pathlib.Path(path)
    contents, text = _texts.get(path.resolve(), ({}, None))
    if text is None or any(not file.is_file() or file.read_bytes() != content for file, content in contents.items()):
        contents, written = {}, io.StringIO()
        yaml = ruamel.yaml.YAML()
        yaml.width = 4096  # no folding: a long line stays a line
        yaml.dump(_read(path, (), contents), written)
        text = written.getvalue()
        _texts[path.resolve()] = contents, text
    return text


def resolve_experiment(path, overrides):
    """The text of ``read_experiment`` with overrides, {key: value, as nested as the YAML}, and references put in."""
    text = read_experiment(path)
    key = text, repr(overrides)
    if key not in _resolved:
        _resolved.clear()  # one is enough: a run's own
        _resolved[key] = resolve_references(text, overrides).getvalue()
    return _resolved[key]


def _read(path, readers, contents):
    if not path.is_file():
        named = f", the base of '{readers[-1]}'" if readers else ""
        raise FileNotFoundError(f"no YAML file '{path}'{named}")
    if path.resolve() in readers:
        raise ValueError(f"'{path}' is its own base, by way of {' and '.join(r.name for r in readers)}")
    contents[path.resolve()] = path.read_bytes()
    own = ruamel.yaml.YAML().load(contents[path.resolve()])
    if not isinstance(own, dict):
        raise ValueError(f"'{path}' is no experiment: it must be a mapping of keys to values")
    base = own.pop("base", None)
    if base is None:
        return own
    tree = _read(path.parent / str(base), (*readers, path.resolve()), contents)
    place = max((i for i, key in enumerate(tree, start=1) if str(key).startswith("__")), default=0)
    for key, value in own.items():
        if key in tree:
            _put(tree, key, value)
        else:
            tree.insert(place, key, value)
            place += 1
    return tree


def _put(tree, key, value):
    """Set a key; a block without a tag is merged into the base's, which keeps its own tag."""
    there = tree.get(key)
    if isinstance(there, dict) and isinstance(value, dict) and value.tag.value is None:
        for k, v in value.items():
            _put(there, k, v)
    else:
        tree[key] = value
