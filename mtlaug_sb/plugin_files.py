"""Load users' plugin files, which live outside any package."""

import hashlib
import importlib.util
import pathlib
import sys


def load_plugins(*paths):
    """Import plugin files, so that the names they register can be used. Returns the paths loaded.

    Arguments
    ---------
    *paths : str
        Python files, or folders (see ``find_plugin_files``). A file is loaded once per process, however often it is named.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    """
    files = find_plugin_files(*paths)
    for file in files:
        # the path is part of the name: two folders may each hold a file of the same name
        name = f"mtlaug_sb_plugin_{file.stem}_{hashlib.sha1(str(file).encode()).hexdigest()[:8]}"
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, file)
            if spec is None:
                raise ValueError(f"plugin file '{file}' is no Python file; its name must end in .py")
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
    return [str(f) for f in files]


def find_plugin_files(*paths):
    """Plugin files, absolute: the files named, and of folders their ``*.py`` except ``_*.py`` and ``test_*.py``, by name.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    """
    files = []
    for path in map(pathlib.Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"no plugin file or folder '{path}' (looked in {pathlib.Path.cwd()})")
        inside = sorted(path.glob("*.py")) if path.is_dir() else []
        files += [path] if path.is_file() else [f for f in inside if not f.name.startswith(("_", "test_"))]
    return [f.resolve() for f in files]
