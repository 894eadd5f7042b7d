"""What there is to say about plugins: a table of all, a page of one."""

import inspect
import os
import textwrap

from mtlaug_sb.plugin_help.yaml_block import yaml_block
from mtlaug_sb.plugin_packages import package_of
from mtlaug_sb.registry import place

# kind -> what it is given, what it returns
CONTRACTS = {
    "corpus": ("a data folder", "utterances: id, path, speaker, labels"),
    "augmentation": (
        "wavs [batch, time] or features [batch, frames, dim] of its rows, relative lengths, targets, a random generator",
        "the inputs, lengths and targets, changed",
    ),
    "features": ("wavs [batch, time], relative lengths", "features [batch, frames, output_size], their lengths"),
    "encoder": (
        "features [batch, frames, dim], relative lengths",
        "a list of (frames [batch, frames, dim], lengths), one per layer, the top last",
    ),
    "head": ("frames [batch, frames, dim], relative lengths", "predictions by name, each [batch, ...]"),
    "loss": ("a prediction, targets and relative lengths, of the labelled rows", "one value per utterance, [batch]"),
    "weighting": ("{task: objective}, {task: weight}", "one scalar"),
    "target": ("a record of the manifest, label -> value", "a tensor [size]; NaN is missing"),
    "metric": ("batches of a prediction and targets, of the labelled rows", "figures by name, over a whole stage"),
}
SHOWN = ("reads", "domain", "n_variants", "default_folder")  # class attributes worth a line


def table(members, width):
    """Plugins by kind: name, summary, arguments, origin, in lines of at most ``width`` characters.

    Arguments
    ---------
    members : dict
        {(kind, name): class}, as ``plugins()`` gives it.
    width : int
        Characters; at least 60.
    """
    rows = [(name, summary(cls), arguments(cls), origin(cls)) for (_, name), cls in sorted(members.items())]
    names, origins = (min(max(len(row[i]) for row in rows), width // 4) for i in (0, 3))
    rest = max(width, 60) - names - origins - 8
    widths = (names, rest - rest // 2, rest // 2, origins)
    lines, last_kind = [], None
    for (kind, _), row in zip(sorted(members), rows, strict=True):
        if kind != last_kind:
            lines += [""] * bool(lines) + [kind]
            last_kind = kind
        cells = [textwrap.wrap(cell, w) for cell, w in zip(row, widths, strict=True)]
        for i in range(max(map(len, cells))):
            parts = [(cell[i] if i < len(cell) else "").ljust(w) for cell, w in zip(cells, widths, strict=True)]
            lines.append(("  " + "  ".join(parts)).rstrip())
    return "\n".join(lines)


def page(cls):
    """All about one plugin: what it does, its arguments, its contract, the YAML that makes it, where it comes from."""
    kind = cls.plugin.partition("/")[0]
    given, returned = CONTRACTS.get(kind, ("see mtlaug_sb.interfaces",) * 2)
    where, block = yaml_block(cls)
    file = _short(place(cls).file)
    lines = [
        f"{cls.plugin}  ({f'{origin(cls)}, ' if origin(cls) != file else ''}{file}:{place(cls).line})",
        "",
        inspect.cleandoc(cls.__doc__ or "It has no docstring."),
        "",
        *textwrap.wrap(f"Is made with:  {cls.plugin}({arguments(cls)})", 120, subsequent_indent="               "),
        f"Is given:      {given}",
        f"Returns:       {returned}",
        *(f"{name + ':':14} {getattr(cls, name)}" for name in SHOWN if isinstance(getattr(cls, name, None), str | int)),
        "",
        f"YAML, {where}:",
        "",
        textwrap.indent(block, "    "),
    ]
    if not cls.__module__.startswith("mtlaug_sb.") and not package_of(cls):
        lines += ["", "and, above its users:", "", f"    {loading_line(place(cls).file)}"]
    return "\n".join(lines)


def loading_line(file):
    """The YAML line that loads a plugin file."""
    return f"plugins: !apply:mtlaug_sb.load_plugins [{_short(file)}]"


def summary(cls):
    """The first sentence of a plugin's docstring."""
    text = inspect.cleandoc(cls.__doc__ or "").partition("\n\n")[0]
    return " ".join(text.split()) or "(no docstring)"


def arguments(cls):
    """A plugin's arguments with their defaults."""
    return str(inspect.signature(cls))[1:-1]


def origin(cls):
    """Where a plugin comes from: "built-in", "package NAME VERSION" or a file."""
    if cls.__module__.startswith("mtlaug_sb."):
        return "built-in"
    package = package_of(cls)
    return f"package {package}" if package else _short(place(cls).file)


def _short(file):
    """A path, relative if it is below the current folder."""
    below = os.path.relpath(file)
    return file if below.startswith("..") else below
