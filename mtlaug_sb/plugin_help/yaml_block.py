"""How a plugin is written in an experiment's YAML, ready to paste."""

import inspect
import json

from mtlaug_sb.plugin_arguments import STARS
from mtlaug_sb.testing.examples import EXAMPLE

# kind -> where its block goes, and the block's key: {} is the plugin's name, - an item of a list
PLACES = {
    "augmentation": ("among the effects of the augmentation", "{}:"),
    "features": ("in modules", "features:"),
    "encoder": ("in modules", "encoder:"),
    "head": ("in a task", "head:"),
    "loss": ("among the losses of a task", "{}:"),
    "weighting": ("in modules", "weighting:"),
    "target": ("among the targets", "{}:"),
    "metric": ("among the metrics of a task", "-"),
}
# arguments that an experiment's YAML has a key for
REFERENCES = {
    "sample_rate": "!ref <sample_rate>",
    "n_classes": "!ref <n_classes>",
    "names": "!ref <classes>",
    "label": "!ref <class_label>",
    "output_size": "!ref <n_mels>",
    "input_size": "!ref <frame_size>",
}


def yaml_block(cls):
    """(where, block): the YAML that makes a plugin, what it must be given filled in, its other arguments as comments.

    What neither the usual YAML nor the class's ``example`` knows is ``!PLACEHOLDER``, which HyperPyYAML refuses to load.
    """
    kind, name = cls.plugin.split("/")
    optional, lines = [], []
    example = getattr(cls, "example", {})
    needed = example if isinstance(example, dict) else {}
    for parameter in inspect.signature(cls).parameters.values():
        if parameter.kind in STARS:
            continue
        if parameter.default is parameter.empty or parameter.name in needed:
            lines.append(f"{parameter.name}: {_value(cls, kind, parameter.name)}")
        elif (value := _dump(parameter.default)) is not None:
            optional.append(f"# {parameter.name}: {value}")
    if kind == "corpus":  # made by the recipe: the YAML names it
        head = "corpus_options:" if lines else "corpus_options: {}"
        return "at the top", "\n".join([f"corpus: {name}", head, *(f"    {line}" for line in lines + optional)])
    where, key = PLACES.get(kind, ("where it is used", "{}:"))
    head = f"{key.format(name)} !apply:mtlaug_sb.make"
    return where, "\n".join([head, f"    plugin: {cls.plugin}", *(f"    {line}" for line in lines + optional)])


def _value(cls, kind, name):
    """What a required argument is given."""
    example = getattr(cls, "example", {})
    if name in REFERENCES:
        return "!ref <n_mels>" if (kind, name) == ("encoder", "input_size") else REFERENCES[name]
    known = EXAMPLE | (example if isinstance(example, dict) else {})
    return f"{_dump(known[name])}  # for example" if name in known else "!PLACEHOLDER"


def _dump(value):
    """Plain data as YAML on one line, or None where it is something else."""
    try:
        text = json.dumps(value)
    except (TypeError, ValueError):
        return None
    # YAML takes 1e-08 for text
    return text.replace("e", ".0e") if isinstance(value, float) and "e" in text and "." not in text else text
