"""Names for plugins: (kind, name) -> class. Standard library only; knows nothing of YAML.

A plugin is any class under the decorator ``@register(kind, name)``. The registry gives short names to classes
that live in files outside any package, lists what there is, and is the allow-list for loading models: a model
written down as plain data can only name registered plugins.
"""

import difflib
import functools
import importlib
import inspect
import pkgutil

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


def register(kind, name):
    """Register the decorated class as plugin ``name`` of ``kind``; its instances remember their arguments.

    Raises
    ------
    ValueError
        For an unknown kind, or when another class has the name already (both places are named).
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of plugin '{kind}'; the kinds are {', '.join(KINDS)}")

    def decorate(cls):
        other = _plugins.get((kind, name))
        if other is not None and _place(other) != _place(cls):
            raise ValueError(f"two plugins are called {kind}/{name}: {_place(other)} and {_place(cls)}; rename one")
        cls.plugin = f"{kind}/{name}"
        cls.__init__ = _remembering(cls.__init__)
        _plugins[kind, name] = cls
        return cls

    return decorate


def make(plugin, **arguments):
    """An instance of the plugin ``"kind/name"``, made with the arguments.

    Raises
    ------
    ValueError
        If no such plugin is registered (the nearest names are given).
    TypeError
        If the arguments do not fit (the plugin and its signature are given).

    Example
    -------
    >>> make("weighting/fixed").plugin
    'weighting/fixed'
    """
    cls = find(plugin)
    try:
        inspect.signature(cls).bind(**arguments)
    except TypeError as error:
        raise TypeError(f"{plugin}: {error}; it is made with {plugin}{inspect.signature(cls)}") from None
    return cls(**arguments)


def find(plugin):
    """The class registered as ``"kind/name"``."""
    kind, _, name = plugin.partition("/")
    members = plugins()
    if (kind, name) in members:
        return members[kind, name]
    known = [f"{k}/{n}" for k, n in members]
    of_kind = [p for p in known if p.startswith(f"{kind}/")] or known
    near = difflib.get_close_matches(plugin, known, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ValueError(f"no plugin is called '{plugin}'; {hint}known: {', '.join(of_kind)}")


def plugins():
    """All registered plugins, {(kind, name): class}, the built-in ones among them."""
    for package in KINDS.values():
        _import_members(f"mtlaug_sb.{package}")
    return dict(_plugins)


def describe(instance):
    """A registered object as plain data: ``{"plugin": "kind/name", argument: value, ...}``."""
    arguments = {k: describe(v) if hasattr(v, "plugin_arguments") else v for k, v in instance.plugin_arguments.items()}
    return {"plugin": instance.plugin, **arguments}


@functools.cache
def _import_members(package):
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        importlib.import_module(f"{package}.{module.name}")


def _remembering(init):
    """``init``, storing the arguments it was given as ``plugin_arguments``."""
    signature = inspect.signature(init)

    @functools.wraps(init)
    def remembering(self, *args, **kwargs):
        init(self, *args, **kwargs)
        bound = signature.bind(self, *args, **kwargs).arguments
        # after init: nn.Module accepts no attribute before its own __init__ has run
        object.__setattr__(self, "plugin_arguments", dict(list(bound.items())[1:]))

    return remembering


def _place(cls):
    return f"{inspect.getsourcefile(cls)} ({cls.__qualname__})"
