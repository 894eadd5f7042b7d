"""model.json: what a model is made of, as plain data, checked key by key. Nothing in it is ever run."""

import json
import math
import re

FORMAT = "mtlaug_sb model"
VERSION = 1
MAX_CHARACTERS = 1_000_000
MAX_ITEMS = 4096  # of a list or mapping
MAX_LAYERS = 256  # of a list among a plugin's arguments
MAX_DEPTH = 12
MAX_NUMBER = 10_000_000
# words only: an argument that leads to a file or an address would make loading read it
_WORD = re.compile(r"[A-Za-z0-9_+ -]{0,64}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PLUGIN = re.compile(r"[a-z_]{1,32}/[A-Za-z0-9_-]{1,64}")
_LEADS_OUTSIDE = re.compile(r"(path|file|folder|dir|url|source|repo|checkpoint|weights|hub)", re.IGNORECASE)


class ModelError(ValueError):
    """A model that cannot be used, or must not be, and why."""


def parse(text):
    """The description in a model.json's text, checked.

    Raises
    ------
    ModelError
        If it is not JSON, has a key that is unknown, missing or double, or a value of a wrong type or size.
    """
    if len(text) > MAX_CHARACTERS:
        raise ModelError(f"model.json has more than {MAX_CHARACTERS} characters")
    try:
        description = json.loads(text, object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except ModelError:
        raise
    except (ValueError, RecursionError) as error:
        raise ModelError(f"model.json is not plain JSON ({error})") from None
    check(description)
    return description


def check(description):
    """Raise a ModelError unless the description has exactly the keys, types and ranges that it should."""
    _check_size(description)
    _keys(description, "model.json", _MODEL)
    if description["format"] != FORMAT:
        raise ModelError(f"model.json: format is {description['format']!r}, not '{FORMAT}'")
    if description["version"] != VERSION:
        raise ModelError(f"model.json: format version {description['version']}, this mtlaug_sb reads {VERSION}")
    for place in ("features", "encoder"):
        check_plugin(description[place], place, place)
    named = {key: _NORMALIZATION[key] for key in ("groups", "center") if key in description["normalization"]}
    _keys(description["normalization"], "normalization", {"size": _NORMALIZATION["size"]} | named)
    for name, task in description["tasks"].items():
        _check_task(name, task)
    main = description["main_task"]
    if main not in description["tasks"] or description["tasks"][main]["classes"] is None:
        raise ModelError(f"model.json: main_task '{main}' is no task with classes; tasks: {', '.join(description['tasks'])}")
    for name, effect in description["augmentations"].items():
        check_label(name, "augmentations")
        check_plugin(effect, "augmentation", f"augmentations.{name}")
    for name, file in description["plugins"].items():
        if not _PLUGIN.fullmatch(name) or not isinstance(file, str) or not re.fullmatch(r"[\w.-]{1,100}", file):
            raise ModelError(f"model.json: plugins: '{name}: {file}' is not a plugin's name and its file's")
    _keys(description["calibration"], "calibration", _CALIBRATION)


def check_plugin(data, kind, place):
    """Raise a ModelError unless ``data`` is ``{"plugin": "kind/name", argument: plain value, ...}`` of that kind."""
    if not isinstance(data, dict) or not isinstance(data.get("plugin"), str):
        raise ModelError(f"model.json: {place} must be {{'plugin': '{kind}/...', ...}}, is {_short(data)}")
    if not _PLUGIN.fullmatch(data["plugin"]) or data["plugin"].partition("/")[0] != kind:
        raise ModelError(f"model.json: {place} must name a plugin '{kind}/...', names {_short(data['plugin'])}")
    for argument, value in data.items():
        if argument != "plugin":
            if not _IDENTIFIER.fullmatch(argument) or argument.startswith("_"):
                raise ModelError(f"model.json: {place}: {_short(argument)} is no argument's name")
            _check_argument(value, argument, f"{place}.{argument}")


def check_label(name, place):
    """Raise a ModelError unless the text can stand in tables, pictures and pages as it is."""
    plain = isinstance(name, str) and 0 < len(name) <= 100 and name.isprintable()
    if not plain or set(name) & set("<>\\") or name[0] in "=+-@" or name != name.strip():
        raise ModelError(
            f"model.json: {place}: {_short(name)} is no name; names are 1 to 100 printable characters without < > \\, and "
            "do not begin with = + - @ or a blank"
        )


def _check_task(name, task):
    place = f"tasks.{name}"
    if not _IDENTIFIER.fullmatch(name):
        raise ModelError(f"model.json: tasks: {_short(name)} is no task's name (letters, digits and _)")
    _keys(task, place, _TASK)
    check_plugin(task["head"], "head", f"{place}.head")
    if (task["classes"] is None) == (task["numbers"] is None):
        raise ModelError(f"model.json: {place} needs either classes or numbers")
    names = task["classes"] if task["classes"] is not None else task["numbers"]
    for label in names:
        check_label(label, place)
    if len(set(names)) < len(names) or len(names) < (2 if task["classes"] is not None else 1):
        raise ModelError(f"model.json: {place}: names must be different, and two classes at least: {_short(names)}")


def _check_argument(value, name, place):
    """Numbers, truth values, words, None; lists and mappings of them; other plugins."""
    if isinstance(value, dict) and "plugin" in value:
        kind = str(value["plugin"]).partition("/")[0]
        if kind not in ("features", "encoder", "head", "augmentation"):
            raise ModelError(f"model.json: {place} names {_short(value['plugin'])}, which is no part of a model")
        check_plugin(value, kind, place)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not _WORD.fullmatch(key):
                raise ModelError(f"model.json: {place}: key {_short(key)} is not a word")
            _check_argument(item, f"{name} {key}", f"{place}.{key}")
    elif isinstance(value, list):
        if len(value) > MAX_LAYERS:
            raise ModelError(f"model.json: {place} has {len(value)} items; at most {MAX_LAYERS}")
        for item in value:
            _check_argument(item, name, place)
    elif isinstance(value, str) and (not _WORD.fullmatch(value) or _LEADS_OUTSIDE.search(name)):
        raise ModelError(
            f"model.json: {place} is {_short(value)}: only plain words are taken, nothing that leads to a file, a "
            "folder or an address; a model is complete on its own"
        )


def _check_size(value, depth=0):
    """Bound depth, lengths and numbers of anything, wherever it stands."""
    if depth > MAX_DEPTH:
        raise ModelError(f"model.json: nested more than {MAX_DEPTH} deep")
    if isinstance(value, dict | list):
        if len(value) > MAX_ITEMS:
            raise ModelError(f"model.json: a list or mapping of {len(value)} items; at most {MAX_ITEMS}")
        for item in value.values() if isinstance(value, dict) else value:
            _check_size(item, depth + 1)
    elif isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= MAX_NUMBER):
        raise ModelError(f"model.json: the number {_short(value)} is out of range (at most {MAX_NUMBER})")


def _no_key_twice(pairs):
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ModelError(f"model.json: a key stands twice among {_short([k for k, _ in pairs])}")
    return result


def _no_constant(name):
    raise ModelError(f"model.json: {name} is no JSON number")


def _keys(data, place, rules):
    if not isinstance(data, dict):
        raise ModelError(f"model.json: {place} must be a mapping, is {_short(data)}")
    unknown, missing = data.keys() - rules.keys(), rules.keys() - data.keys()
    if unknown or missing:
        what = f"unknown key {_short(sorted(unknown)[0])}" if unknown else f"no key '{sorted(missing)[0]}'"
        raise ModelError(f"model.json: {place}: {what}; the keys are {', '.join(rules)}")
    for key, (fits, wanted) in rules.items():
        if not fits(data[key]):
            raise ModelError(f"model.json: {place}: '{key}' must be {wanted}, is {_short(data[key])}")


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(low, high):
    def fits(value):
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return fits, f"a whole number from {low} to {high}"


def _number(low, high):
    return (lambda value: _is_number(value) and low <= value <= high), f"a number from {low} to {high}"


def _or_null(rule):
    return (lambda value: value is None or rule[0](value)), f"null or {rule[1]}"


def _short(value):
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_text = (lambda value: isinstance(value, str) and len(value) <= 100, "a text of at most 100 characters")
_mapping = (lambda value: isinstance(value, dict), "a mapping")
_names = (
    lambda value: isinstance(value, list) and all(isinstance(v, str) for v in value),
    "a list of names",
)
_MODEL = {
    "format": _text,
    "version": _whole(1, 1000),
    "made_by": _text,
    "sample_rate": _whole(1000, 384_000),
    "features": _mapping,
    "normalization": _mapping,
    "encoder": _mapping,
    "tasks": (lambda value: isinstance(value, dict) and 0 < len(value) <= 100, "a mapping of 1 to 100 tasks"),
    "main_task": _text,
    "augmentations": _mapping,
    "plugins": _mapping,
    "calibration": _mapping,
}
_NORMALIZATION = {
    "size": _whole(1, 100_000),
    "groups": _or_null(_whole(1, 100_000)),
    "center": (lambda value: isinstance(value, bool), "true or false"),
}
_TASK = {
    "layer": _whole(-100, 100),
    "head": _mapping,
    "classes": _or_null(_names),
    "numbers": _or_null(_names),
}
_CALIBRATION = {
    "temperature": _number(0.01, 100),
    "utterances": _whole(0, MAX_NUMBER),
    "speakers": _whole(0, MAX_NUMBER),
    "ece_before": _or_null(_number(0, 1)),
    "ece_after": _or_null(_number(0, 1)),
    "ece_after_other_speakers": _or_null(_number(0, 1)),
    "cross_entropy_before": _or_null(_number(0, 1000)),
    "cross_entropy_after": _or_null(_number(0, 1000)),
    "cross_entropy_after_other_speakers": _or_null(_number(0, 1000)),
}
