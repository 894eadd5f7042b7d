"""A plugin's arguments: checked before it is made, remembered afterwards, written down as plain data."""

import contextlib
import difflib
import functools
import inspect
import itertools
import sys

STARS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def bind(cls, arguments):
    """What to call a class with: (positional, by keyword), from arguments by name.

    An argument that bears the name of a ``*star`` holds its values.

    Raises
    ------
    TypeError
        If an argument is unknown or missing: the plugin, the nearest argument and the signature are given.
    """
    signature = inspect.signature(cls)
    names = {p.kind: p.name for p in signature.parameters.values()}
    star, open_ended = (names.get(kind) for kind in STARS)
    known = [name for name in signature.parameters if name != open_ended]
    unknown = [name for name in arguments if name not in known and open_ended is None]
    missing = [name for name in required(cls) if name not in arguments]
    made_with = f"it is made with {cls.plugin}{signature}"
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise TypeError(f"{cls.plugin}: there is no argument '{unknown[0]}'; {hint}{made_with}")
    if missing:
        listed = " and ".join(f"'{name}'" for name in missing)
        raise TypeError(f"{cls.plugin}: the argument{'s' * (len(missing) > 1)} {listed} must be given; {made_with}")
    if star not in arguments:
        return (), arguments
    before = itertools.takewhile(lambda p: p.name != star, signature.parameters.values())
    arguments = dict(arguments)
    positional = [arguments.pop(p.name, p.default) for p in before]
    return (*positional, *arguments.pop(star)), arguments


def required(cls):
    """Names of the arguments without a default."""
    parameters = inspect.signature(cls).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.kind not in STARS]


@contextlib.contextmanager
def naming(plugin):
    """An error raised inside keeps its type, and says which plugin was being made."""
    try:
        yield
    except Exception as error:
        if getattr(error, "strerror", None):  # an OSError with a number shows this, not its arguments
            error.strerror = f"{plugin}: {error.strerror}"
        elif len(error.args) < 2:
            error.args = (f"{plugin}: {error.args[0] if error.args else 'no reason given'}",)
        if plugin not in str(error):
            error.add_note(f"while making {plugin}")
        raise


def remembering(init):
    """``init``, storing the arguments it was given by name as ``plugin_arguments``."""
    signature = inspect.signature(init)
    module_init = getattr(sys.modules.get("torch.nn"), "Module", object).__init__
    if init in (object.__init__, module_init):  # these claim to take anything, and refuse it
        signature = inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)])
    open_ended = [p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD]

    @functools.wraps(init)
    def remembering_init(self, *args, **kwargs):
        init(self, *args, **kwargs)
        arguments = dict(list(signature.bind(self, *args, **kwargs).arguments.items())[1:])
        for name in open_ended:
            arguments |= arguments.pop(name, {})
        # after init: nn.Module accepts no attribute before its own __init__ has run, and a subclass's arguments have to
        # replace those of the registered class that its own __init__ calls
        object.__setattr__(self, "plugin_arguments", arguments)

    remembering_init.__signature__ = signature
    return remembering_init


def describe(instance):
    """A registered object as plain data: ``{"plugin": "kind/name", argument: value, ...}``.

    Registered objects among the arguments, in lists and dictionaries too, are described likewise.

    Raises
    ------
    TypeError
        If the object's class is not registered: that of a registered class's subclass must be, too.
    """
    cls = type(instance)
    if "plugin" not in vars(cls):
        of = f", though {instance.plugin} is, which it extends" if hasattr(instance, "plugin_arguments") else ""
        raise TypeError(f"{cls.__name__} is no registered plugin{of}; put @register(kind, name) over it")
    return {"plugin": cls.plugin, **{name: _plain(value) for name, value in instance.plugin_arguments.items()}}


def _plain(value):
    if hasattr(value, "plugin_arguments"):
        return describe(value)
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def rebuilt(value, make):
    """``value`` with everything made that ``describe`` wrote down in it, in lists and dictionaries too."""
    if isinstance(value, dict):
        value = {k: rebuilt(v, make) for k, v in value.items()}
        return make(**value) if "plugin" in value else value
    return type(value)(rebuilt(v, make) for v in value) if type(value) in (list, tuple) else value
