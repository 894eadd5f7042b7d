"""The command line of a recipe: ``HPARAMS.yaml [--run_option=value] [--yaml_key=value] [--block.key=value]``."""

import difflib
import pathlib

import ruamel.yaml
from speechbrain.utils.run_opts import HELP_TEXTS, RunOptions

_RUN_OPTIONS = [*HELP_TEXTS, "jit_module_keys", "compile_module_keys"]


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
    if not pathlib.Path(hparams_file).is_file():
        raise FileNotFoundError(f"no YAML file '{hparams_file}'")
    hparams = ruamel.yaml.YAML().load(pathlib.Path(hparams_file))
    overrides, run_options = {}, []
    for key, value in _pairs(rest):
        if key in _RUN_OPTIONS and key not in hparams:
            run_options += [f"--{key}"] if value is None else [f"--{key}", value]
        elif value is None:
            raise ValueError(f"--{key} needs a value: --{key}=...")
        else:
            _set(overrides, hparams, key, ruamel.yaml.YAML().load(value))
    _, run_opts, _ = RunOptions.from_command_line_args([hparams_file, *run_options])
    return hparams_file, run_opts, overrides


def help_text(hparams_file, usage):
    """Usage and, with a YAML, its plain keys with their values and the run options."""
    if hparams_file is None:
        return usage
    hparams = ruamel.yaml.YAML().load(pathlib.Path(hparams_file))
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


def _set(overrides, hparams, dotted, value):
    *blocks, key = dotted.split(".")
    for depth, block in enumerate([*blocks, key]):
        if not isinstance(hparams, dict) or block not in hparams:
            known = list(hparams) if isinstance(hparams, dict) else []
            known = [".".join([*blocks[:depth], k]) for k in known if not k.startswith("__")]
            near = difflib.get_close_matches(dotted, [*known, *_RUN_OPTIONS], n=1, cutoff=0.5)
            hint = f"did you mean --{near[0]}?" if near else f"known: {', '.join(known)}"
            raise ValueError(f"no key '{dotted}' in the YAML; {hint}")
        hparams = hparams[block]
    for block in blocks:
        overrides = overrides.setdefault(block, {})
    overrides[key] = value
