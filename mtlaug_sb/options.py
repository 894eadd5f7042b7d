"""The command line of a recipe: ``HPARAMS.yaml [--run_option=value] [--yaml_key=value] [--block.key=value]``."""

import argparse
import difflib
import inspect
import pydoc

import ruamel.yaml
from speechbrain.utils.run_opts import HELP_TEXTS, RunOptions

from mtlaug_sb.experiment import read_experiment, resolve_experiment
from mtlaug_sb.plugin_files import load_plugins
from mtlaug_sb.registry import find
from mtlaug_sb.unicode_form import one_form

_RUN_OPTIONS = [*HELP_TEXTS, "jit_module_keys", "compile_module_keys"]
# plain keys -> their type and least value
_AT_LEAST = {
    "seed": (int, 0),
    "number_of_epochs": (int, 1),
    "n_valid_speakers": (int, 0),
    "eval_batch_size": (int, 1),
    "sample_rate": (int, 1),
    "lr": (int | float, 0),
    "cache_mb": (int | float, 0),
}
_BATCHES = {"batch_size": (int, 1), "unlabelled_ratio": (int | float, 0), "bucket_batches": (int, 1)}


def parse_own(parser, arguments):
    """A recipe's own options, and the arguments that are left for ``read_arguments``.

    Raises
    ------
    ValueError
        If the parser, made with ``exit_on_error=False``, refuses one.
    """
    try:
        return parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ValueError(str(error)) from None


def read_arguments(arguments):
    """Sort a recipe's arguments into what SpeechBrain and what HyperPyYAML understand.

    SpeechBrain's own parser takes an abbreviated option for an option and a key without a value for None; here every key
    must be one of the YAML's or a run option, by its full name.

    Arguments
    ---------
    arguments : list of str
        As given to the script.

    Returns
    -------
    hparams_file : str
    run_opts : speechbrain.utils.run_opts.RunOptions
    overrides : dict
        Nested as the YAML is.

    Raises
    ------
    ValueError
        For a key that is not there (the nearest is named), or one without a value.
    FileNotFoundError
        If the YAML file is not there.
    """
    if not arguments or arguments[0].startswith("-"):
        raise ValueError("the first argument is a YAML file, such as hparams/mtl_aug.yaml")
    hparams_file, *rest = arguments
    hparams = ruamel.yaml.YAML().load(read_experiment(hparams_file))
    overrides, run_options = {}, []
    for key, value in _pairs(rest):
        if key in _RUN_OPTIONS and key not in hparams:
            run_options += _run_option(key, value)
        elif value is None:
            raise ValueError(f"--{key} needs a value: --{key}=...")
        else:
            value = value if _is_text(key, value) else parse_yaml(key, value)
            _set(overrides, hparams, key, parse_names(value) if key == "classes" and isinstance(value, str) else value)
    check_settings(read_settings(hparams_file, overrides))
    try:
        _, run_opts, _ = RunOptions.from_command_line_args([hparams_file, *run_options])
    except SystemExit:
        raise ValueError(f"SpeechBrain does not understand {' '.join(run_options)}") from None
    return hparams_file, run_opts, overrides


def read_settings(hparams_file, overrides):
    """The YAML's values with overrides, nothing made of them; ``classes`` as of ``class_names``."""
    hparams = ruamel.yaml.YAML().load(resolve_experiment(hparams_file, overrides))
    if "classes" in hparams:
        hparams["classes"] = class_names(hparams["classes"])
    return hparams


def class_names(names):
    """The YAML's classes as manifests and targets have them: text, in the one form that Unicode has for it (NFC).

    Raises
    ------
    ValueError
        If they are not a list of at least two different names.
    """
    if not isinstance(names, list | tuple):
        raise ValueError(f"classes must be a list of names, is {names!r}")
    names = [one_form(str(name)) for name in names]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"classes must be at least two, and different ones, are {', '.join(names) or 'none'}")
    return names


def check_settings(hparams):
    """Refuse values of plain keys that could only fail later.

    Raises
    ------
    ValueError
        Names the key, what it must be, and what it is.
    """
    for block, keys in ((hparams, _AT_LEAST), (hparams.get("batches", {}), _BATCHES)):
        for key, (kind, least) in keys.items():
            value = block.get(key, least)
            if isinstance(value, bool) or not isinstance(value, kind) or value < least:
                number = "a whole number" if kind is int else "a number"
                raise ValueError(f"{key} must be {number} of at least {least}, is {value!r}")
    longest = hparams.get("unlabelled_max_s")
    if longest is not None and (isinstance(longest, bool) or not isinstance(longest, int | float) or longest < 0.1):
        raise ValueError(f"unlabelled_max_s must be null or a number of seconds of at least 0.1, is {longest!r}")
    for key in hparams.get("batches", {}):
        if key not in _BATCHES:
            raise ValueError(f"batches: no key '{key}'; known: {', '.join(_BATCHES)}")


def help_text(hparams_file, usage):
    """Usage and, with a YAML, its plain keys with their values and the run options."""
    if hparams_file is None:
        return usage
    hparams = ruamel.yaml.YAML().load(read_experiment(hparams_file))
    plain = {k: v for k, v in hparams.items() if isinstance(v, str | int | float | None) and not k.startswith("__")}
    lines = [usage, "", f"Keys of {hparams_file} (nested ones as --block.key=value):"]
    lines += [f"  --{k}={'null' if v is None else v}" for k, v in plain.items()]
    lines += ["", "SpeechBrain's run options:"]
    lines += [f"  --{k}: {HELP_TEXTS[k]}" for k in sorted(HELP_TEXTS)]
    return "\n".join(lines)


def _pairs(tokens):
    """(key, value) of ``--key=value``, ``--key value`` and ``--key``."""
    tokens = list(tokens)
    while tokens:
        token = tokens.pop(0)
        if not token.startswith("--"):
            raise ValueError(f"'{token}' follows no key: give keys as --key=value")
        key, equals, value = token[2:].partition("=")
        if not equals:
            value = tokens.pop(0) if tokens and not tokens[0].startswith("--") else None
        yield key, value


def _is_text(key, value):
    """Whether a value is what it looks like, a path or a name: 03_01 would be the number 301 in YAML, and # a comment."""
    is_list = value.startswith("[") or value in ("null", "~", "")
    return (key.endswith("_folder") or key in ("train_log", "test_speaker")) and not is_list and not value.startswith("!")


def parse_yaml(key, value, typ="rt"):
    """An option's value, as ruamel.yaml reads it in its way ``typ``. Raises ValueError where it is no YAML."""
    try:
        return ruamel.yaml.YAML(typ=typ).load(value)
    except ruamel.yaml.error.YAMLError:
        raise ValueError(f"--{key}={value} is not YAML") from None


def parse_names(value):
    """The names in an option's value: ``a,b``, or a YAML list, ``[a, "b, c"]``."""
    if value.startswith("["):
        return [str(name) for name in parse_yaml("...", value, "safe")]
    return [name for part in value.split(",") if (name := part.strip())]


def _run_option(key, value):
    """A run option as SpeechBrain's parser takes it; of a switch, True is the switch and False is nothing."""
    if getattr(RunOptions(), key, None) is not False:
        if value is None:
            raise ValueError(f"--{key} needs a value: --{key}=...")
        return [f"--{key}", *(value.split() if key.endswith("_module_keys") else [value])]
    if value not in (None, "True", "true", "False", "false"):
        raise ValueError(f"--{key} is a switch: True or False, not '{value}'")
    return [] if value in ("False", "false") else [f"--{key}"]


def _set(overrides, hparams, dotted, value):
    *blocks, key = dotted.split(".")
    _load_plugins(hparams)
    for depth, block in enumerate([*blocks, key]):
        known = [*hparams, *_arguments(hparams)] if isinstance(hparams, dict) else []
        if block not in known:
            known = [".".join([*blocks[:depth], k]) for k in known if not k.startswith("__")]
            near = difflib.get_close_matches(dotted, [*known, *_RUN_OPTIONS], n=1, cutoff=0.5)
            hint = f"did you mean --{near[0]}?" if near else f"known: {', '.join(known)}"
            raise ValueError(f"no key '{dotted}' in the YAML; {hint}")
        hparams = hparams.get(block)
    for block in blocks:
        overrides = overrides.setdefault(block, {})
    overrides[key] = value


def _load_plugins(hparams):
    """Load the plugin files that the YAML loads: the arguments of their classes are keys, too."""
    for block in hparams.values():
        if str(getattr(getattr(block, "tag", None), "value", "")) == "!apply:mtlaug_sb.load_plugins":
            load_plugins(*(path for path in block if isinstance(path, str)))


def _arguments(block):
    """Arguments of what a block makes, which may have more than the YAML gives."""
    tag = str(getattr(getattr(block, "tag", None), "value", ""))
    _, is_made, name = tag.partition(":")
    made = find(block["plugin"]) if "plugin" in block else pydoc.locate(name) if is_made else None
    return inspect.signature(made).parameters if callable(made) else []
