"""Plugins of installed packages: the entry points ``mtlaug_sb.plugins``. Standard library only.

A package names modules (or objects in modules) that register plugins when they are imported::

    [project.entry-points."mtlaug_sb.plugins"]
    my_plugins = "my_package.plugins"
"""

import functools
import importlib.metadata


@functools.cache
def load_packages():
    """Import what the entry points name: {entry point: None, or the error that kept it from loading}."""
    errors = {}
    for entry in importlib.metadata.entry_points(group="mtlaug_sb.plugins"):
        errors[entry] = None
        try:
            entry.load()
        except (Exception, SystemExit) as error:  # one broken package must not take all others down
            errors[entry] = error
    return errors


def not_loaded():
    """{"name version (entry point)": "error"} of the installed packages whose plugins could not be loaded."""
    return {
        f"package {package_name(entry)} (entry point {entry.name} = {entry.value})": f"{type(error).__name__}: {error}"
        for entry, error in load_packages().items()
        if error is not None
    }


def package_of(cls):
    """Name and version of the installed package that registered a class by an entry point, or None."""
    top = cls.__module__.partition(".")[0]
    for entry in load_packages():
        if entry.module.partition(".")[0] == top:
            return package_name(entry)
    return None


def package_name(entry):
    """Name and version of an entry point's package."""
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else "of unknown name"
