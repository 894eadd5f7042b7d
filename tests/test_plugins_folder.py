"""The plugins folder: its files keep their contracts, and its README can be followed to the letter."""

import csv
import inspect
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import ruamel.yaml

from mtlaug_sb import load_plugins, plugins
from mtlaug_sb.testing import check_plugin

ROOT = pathlib.Path(__file__).parents[1]
FOLDER = ROOT / "plugins"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
load_plugins(str(FOLDER))
OWN = [cls for cls in plugins().values() if pathlib.Path(inspect.getsourcefile(cls)).parent == FOLDER]


@pytest.mark.parametrize("cls", OWN, ids=lambda cls: cls.plugin)
def test_every_file_in_plugins_keeps_its_contract(cls):
    check_plugin(cls)


def test_every_worked_example_has_a_yaml_and_a_section():
    for file in FOLDER.glob("[!_]*.py"):
        if not file.name.startswith("test_"):
            users = [y for y in (ROOT / "hparams").glob("*.yaml") if f"plugins/{file.name}" in y.read_text()]
            assert users, file
            assert f"[{file.name}]({file.name})" in README
            assert any(f"[hparams/{y.name}]" in README for y in users)


@pytest.fixture
def copy(tmp_path):
    """The repository's folders in a place of their own, with the environment where README says it is."""
    for name in ("recipes", "hparams", "plugins"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("results", "__pycache__"))
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    return tmp_path


def run(command, folder):
    """Run a command of README in the copy; returns what it prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_tutorial_works_to_the_letter(copy):
    tutorial = README.split("## From nothing")[1].split("## What goes wrong")[0]
    printed = ""
    for before, language, block in re.findall(r"((?:[^\n]*\n){1,3}?)```(\w+)\n(.*?)```", tutorial, re.DOTALL):
        if language == "bash":
            printed += "".join(run(command, copy) for command in block.strip().splitlines())
        else:
            (copy / re.findall(r"`([\w/]+\.\w+)`", before)[-1]).write_text(block)
    assert "head/regression" in printed
    assert "Nothing is wrong" in printed
    assert "my_huber" in run(".venv/bin/python recipes/plugin.py list loss", copy)
    (log, lighter) = sorted((copy / "results" / "my_duration").rglob("train_log.csv"), key=lambda p: "light" in p.parts)
    rows = list(csv.DictReader(log.open()))
    assert float(rows[-1]["train/duration/huber"]) < float(rows[0]["train/duration/huber"])
    assert "train/duration/CCC" in rows[0]
    assert "train/reconstruction/mse" in rows[0]
    assert "train/reconstruction/mse" not in next(csv.DictReader(lighter.open()))


def test_keys_in_the_commands_of_the_worked_examples_exist():
    from mtlaug_sb.options import read_arguments

    commands = re.findall(
        r"```bash\n(\.venv/bin/python recipes/train.py .*?)```", README.split("## Worked examples")[1], re.DOTALL
    )
    assert len(commands) == 7
    for command in commands:
        words = [w.strip('"').replace('="', "=") for w in command.replace("\\\n", " ").split()[2:]]
        read_arguments([str(ROOT / words[0]), *words[1:]])


def test_yaml_in_the_tutorial_is_yaml():
    for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL):
        assert ruamel.yaml.YAML().load(block)
