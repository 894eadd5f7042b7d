"""Names for plugins: (kind, name) -> class. Standard library only; knows nothing of YAML.

A plugin is any class under the decorator ``@register(kind, name)``. The registry gives short names to classes
that live in files outside any package, lists what there is, and is the allow-list for loading models: a model
written down as plain data can only name registered plugins.
"""

import difflib
import functools
import importlib
import pkgutil
import re

from mtlaug_sb.plugin_arguments import bind, describe, naming, rebuilt, remembering  # noqa: F401
from mtlaug_sb.plugin_packages import load_packages, not_loaded
from mtlaug_sb.plugin_places import loaded_again, place_of_caller

# kind -> the package that holds its built-in members, one file each
KINDS = {
    "corpus": "corpora",
    "augmentation": "augment",
    "features": "features",
    "encoder": "encoders",
    "head": "heads",
    "loss": "losses",
    "weighting": "weighting",
    "target": "targets",
    "metric": "metrics",
}
_plugins = {}
_places = {}


def register(kind, name):
    """Register the decorated class as plugin ``name`` of ``kind``; its instances remember their arguments.

    Raises
    ------
    ValueError
        For an unknown kind, an unusable name, or when another class has the name already (both places are named).
    TypeError
        If what is decorated is not a class.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of plugin '{kind}'; the kinds are {', '.join(KINDS)}")
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9_-]+", name)):
        raise ValueError(f"a plugin's name is made of letters, digits, _ and -; '{name}' ({kind}) is not")
    here = place_of_caller(1)

    def decorate(cls):
        if not isinstance(cls, type):
            raise TypeError(f"{kind}/{name}: @register stands over a class, got {cls!r}")
        other = _plugins.get((kind, name))
        if other is not None and not loaded_again(other, _places[kind, name], cls, here):
            raise ValueError(f"two plugins are called {kind}/{name}: {_places[kind, name]} and {here}; rename one")
        cls.plugin = f"{kind}/{name}"
        cls.__init__ = remembering(cls.__init__)
        _plugins[kind, name], _places[kind, name] = cls, here
        return cls

    return decorate


def make(plugin, **arguments):
    """An instance of the plugin ``"kind/name"``, made with the arguments; those that ``describe`` wrote are made first.

    Raises
    ------
    ValueError
        If no such plugin is registered; the nearest names are given.
    TypeError
        If the arguments do not fit; the nearest one and the signature are given.

    Example
    -------
    >>> make("weighting/fixed").plugin
    'weighting/fixed'
    """
    cls = find(plugin)
    positional, named = bind(cls, {k: rebuilt(v, make) for k, v in arguments.items()})
    with naming(plugin):
        return cls(*positional, **named)


def find(plugin):
    """The class registered as ``"kind/name"``."""
    kind, _, name = str(plugin).partition("/")
    members = plugins()
    if (kind, name) in members:
        return members[kind, name]
    known = ["/".join(member) for member in members]
    listed = ", ".join([p for p in known if p.startswith(f"{kind}/")] or known)
    near = [p for p in known if p.endswith(f"/{name or kind}")] or difflib.get_close_matches(str(plugin), known, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    broken = "".join(f"; not loaded: {package}: {error}" for package, error in not_loaded().items())
    yours = "; a file of your own is loaded by the YAML's line 'plugins: !apply:mtlaug_sb.load_plugins [plugins/FILE.py]'"
    raise ValueError(f"no plugin is called '{plugin}'; {hint}known: {listed}{broken}{yours}")


def plugins():
    """All registered plugins, {(kind, name): class}: the built-in ones and those of installed packages among them."""
    for package in KINDS.values():
        _import_members(f"mtlaug_sb.{package}")
    load_packages()
    return dict(_plugins)


def place(cls):
    """Where a plugin was registered, a ``plugin_places.Place``."""
    return _places[tuple(cls.plugin.split("/"))]


@functools.cache
def _import_members(package):
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")
