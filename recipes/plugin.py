#!/usr/bin/env python3
"""List, show, check and begin plugins: python recipes/plugin.py list | show | check | new (each with --help)."""

import argparse
import pathlib
import re
import shutil
import sys
import traceback

from mtlaug_sb.plugin_files import find_plugin_files, load_plugins
from mtlaug_sb.plugin_help.pages import page, table
from mtlaug_sb.plugin_help.scaffold import next_steps, write_plugin
from mtlaug_sb.plugin_packages import not_loaded
from mtlaug_sb.registry import KINDS, find, place, plugins
from mtlaug_sb.testing import run_checks
from mtlaug_sb.testing.contract import sentence

PLUGINS = pathlib.Path(__file__).resolve().parents[1] / "plugins"


def main(arguments):
    """Run a command; returns its exit status."""
    options = parser().parse_args(arguments)
    plugins()  # the built-in ones first: a user's file that takes one of their names is then the one to blame
    try:
        return options.run(options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def parser():
    """The command line."""
    top = argparse.ArgumentParser(prog="plugin.py", description="List, show, check and begin plugins.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    more = {"nargs": "+", "default": [], "metavar": "PATH", "help": "plugin files or folders to load, besides plugins/"}

    command = commands.add_parser("list", help="table of all plugins", description=list_plugins.__doc__)
    command.add_argument("kind", nargs="?", choices=KINDS, metavar="KIND", help=f"only these: {', '.join(KINDS)}")
    command.add_argument("--plugins", **more)
    command.set_defaults(run=list_plugins)

    command = commands.add_parser("show", help="one plugin in full", description=show.__doc__)
    command.add_argument("kind", metavar="KIND", help="such as loss; or both at once, loss/center")
    command.add_argument("name", nargs="?", metavar="NAME", help="such as center")
    command.add_argument("--plugins", **more)
    command.set_defaults(run=show)

    command = commands.add_parser("check", help="does a plugin keep its contract?", description=check.__doc__)
    command.add_argument("files", nargs="+", metavar="FILE", help="plugin files, or folders of them")
    command.set_defaults(run=check)

    command = commands.add_parser("new", help="begin a plugin", description=new.__doc__)
    command.add_argument("kind", metavar="KIND", help=f"one of {', '.join(KINDS)}")
    command.add_argument("name", metavar="NAME", help="of the plugin and of its file, such as my_loss")
    command.add_argument("--folder", default=PLUGINS, type=pathlib.Path, help="where to write it (default: plugins/)")
    command.set_defaults(run=new)
    return top


def list_plugins(options):
    """Print a table of the plugins: the built-in ones, those of installed packages, and those in plugins/."""
    problems = load(options.plugins)
    members = {key: cls for key, cls in plugins().items() if options.kind in (None, key[0])}
    print(table(members, shutil.get_terminal_size((120, 24)).columns) if members else f"There is no {options.kind} plugin.")
    report_problems(problems)
    return 0


def show(options):
    """Print all about one plugin: what it does, its arguments, what it reads and returns, and YAML ready to paste."""
    problems = load(options.plugins)
    try:
        print(page(find("/".join(filter(None, (options.kind, options.name))))))
    except ValueError:
        report_problems(problems)
        raise
    return 0


def check(options):
    """Run the contract suite over everything that plugin files register. The exit status is 1 if anything is wrong."""
    n_plugins, outcomes = 0, []
    for file in find_plugin_files(*options.files):
        print(relative(file))
        problem = load_file(file)
        registered = [cls for cls in plugins().values() if place(cls).file == str(file)] if problem is None else []
        if not registered:
            outcomes.append(False)
            why = f"cannot be loaded: {problem}" if problem else "registers nothing: put @register(kind, name) over a class"
            print(f"  WRONG  {why}")
        for cls in registered:
            n_plugins += 1
            print(f"  {cls.plugin}")
            seen = set()
            for tried, error in run_checks(cls):
                outcomes.append(error is None)
                print(f"    {'WRONG' if error else 'ok   '}  {sentence(tried)}")
                if error:
                    # one fault often fails several checks
                    said = re.sub(r"\d+|\(check .*", "", str(error))
                    print(f"           {error if said not in seen else 'as above'}")
                    seen.add(said)
    wrong = outcomes.count(False)
    print(f"Plugins: {n_plugins}. " + (f"WRONG: {wrong} of {len(outcomes)} checks." if wrong else "Nothing is wrong."))
    return int(wrong > 0)


def new(options):
    """Write a plugin that works, and its test, for you to change."""
    load([])  # their names are taken
    file, test = write_plugin(options.kind, options.name, options.folder)
    load_plugins(file)
    print(next_steps(find(f"{options.kind}/{options.name}"), relative(file), relative(test)))
    return 0


def load(paths):
    """Load plugins/ and further paths, file by file; returns what went wrong, {file: why}."""
    files = find_plugin_files(*([PLUGINS] if PLUGINS.is_dir() else []), *paths)
    return {relative(file): why for file in files if (why := load_file(file)) is not None}


def load_file(file):
    """Load a plugin file; returns why it cannot be, or None."""
    try:
        load_plugins(file)
    except SyntaxError as error:
        where = f"{relative(pathlib.Path(error.filename or file))}, line {error.lineno}"
        return f"{error.msg} ({where}: {(error.text or '').strip()})"
    except (Exception, SystemExit) as error:  # whatever a user's file does when it is run
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
        return f"{type(error).__name__}: {error} ({relative(file)}, line {lines[-1] if lines else '?'})"
    return None


def report_problems(problems):
    """Say which files and packages could not be loaded."""
    for what, why in {**problems, **not_loaded()}.items():
        print(f"\nNot loaded: {what}: {why}", file=sys.stderr)


def relative(file):
    """A path, relative if it is below the current folder."""
    here = pathlib.Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
