"""recipes/plugin.py: list, show, check, new, as a newcomer uses them."""

import importlib.util
import io
import os
import pathlib
import re
import subprocess
import sys

import plugin
import pytest
from hyperpyyaml import load_hyperpyyaml

from mtlaug_sb import plugins
from mtlaug_sb.plugin_help.yaml_block import yaml_block
from mtlaug_sb.registry import KINDS, make
from mtlaug_sb.testing import CHECKS

ROOT = pathlib.Path(__file__).parents[1]
GOOD = """
from torch import nn
from mtlaug_sb import register

@register("loss", "{name}")
class Mine(nn.Module):
    \"\"\"Squares.

    And more about it.
    \"\"\"

    reads = "values"

    def __init__(self, power=2.0, *, floor=1e-08):
        super().__init__()

    def forward(self, predictions, targets, lengths):
        return (predictions - targets).nan_to_num().square().sum(1)
"""


@pytest.fixture(autouse=True)
def _in_a_terminal(registry, monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.chdir(ROOT)


@pytest.fixture
def run(capsys):
    """Run the recipe: run("list", "loss") -> (exit status, what it printed, its errors)."""

    def call(*arguments):
        try:
            status = plugin.main([str(a) for a in arguments])
        except SystemExit as stop:  # argparse
            status = stop.code
        return status, *capsys.readouterr()

    return call


@pytest.fixture
def file(tmp_path):
    """Write a plugin file: file("name.py", text) -> its path."""

    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


# ---------------------------------------------------------------------- list


def test_list_shows_every_plugin_with_summary_arguments_and_origin(run):
    status, out, _ = run("list")
    assert status == 0
    for kind, name in plugins():
        assert re.search(rf"^{kind}$", out, re.MULTILINE)
        assert re.search(rf"^  {name} ", out, re.MULTILINE)
    assert re.search(r"^  fixed +L = sum_k lambda_k L_k, .* built-in$", out, re.MULTILINE)
    assert "alpha=0.5, log_power=True" in out
    assert re.search(r"statistics .*plugins/statistics_head", out)


@pytest.mark.parametrize("columns", [60, 80, 110, 200])
def test_list_fits_the_terminal(run, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, _ = run("list")
    assert max(map(len, out.splitlines())) <= columns


def test_list_of_one_kind(run):
    _, out, _ = run("list", "weighting")
    assert out.startswith("weighting\n  ")
    assert "cross_entropy" not in out
    status, _, error = run("list", "weightings")
    assert status == 2
    assert "invalid choice: 'weightings'" in error


def test_list_loads_further_files_and_goes_on_after_a_broken_one(run, file, tmp_path):
    file("broken.py", "import no_such_module\n")
    file("mine.py", GOOD.format(name="squares"))
    file("wrong.py", "x = (\n")
    status, out, error = run("list", "loss", "--plugins", tmp_path)
    assert status == 0
    assert "squares" in out
    assert f"Not loaded: {tmp_path}/broken.py: ModuleNotFoundError: No module named 'no_such_module'" in error
    assert "broken.py, line 1)" in error
    assert re.search(r"Not loaded: \S+wrong.py: '\(' was never closed \(\S+wrong.py, line 1: x = \(\)", error)


def test_list_says_which_installed_package_a_plugin_is_from_and_which_failed(tmp_path):
    # as pip would lay them out, and seen by a process of its own
    for name, source in {"ser_extras": GOOD.format(name="extra"), "ser_broken": "import no_such_module"}.items():
        (tmp_path / f"{name}.py").write_text(source)
        info = tmp_path / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[mtlaug_sb.plugins]\npoint = {name}\n")
    (tmp_path / "taken.py").write_text(GOOD.format(name="center"))
    done = subprocess.run(
        [sys.executable, "recipes/plugin.py", "list", "loss", "--plugins", str(tmp_path / "taken.py")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "OMP_NUM_THREADS": "1", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"extra +Squares\. +power=2\.0, \*, floor=1e-08 +package ser_extras 1\.2", done.stdout)
    # a file that takes a built-in plugin's name is to blame, not the plugin
    assert re.search(r"center +Pull .* built-in", done.stdout)
    assert f"Not loaded: {tmp_path / 'taken.py'}: ValueError: two plugins are called loss/center" in done.stderr
    assert "Not loaded: package ser_broken 1.2 (entry point point = ser_broken): ModuleNotFoundError" in done.stderr


# ---------------------------------------------------------------------- show


def test_show_tells_all(run):
    for words in (("loss", "center"), ("loss/center",)):
        status, out, _ = run("show", *words)
        assert status == 0
        assert out.startswith("loss/center  (built-in, mtlaug_sb/losses/center.py:")
        for part in ("Wen et al. 2016", "rate : float", "loss/center(n_classes, embedding_size, rate=0.5)", "embedding\n"):
            assert part in out
        assert "one value per utterance, [batch]" in out
        assert "center: !apply:mtlaug_sb.make\n        plugin: loss/center\n        n_classes: !ref <n_classes>" in out


def test_show_a_plugin_from_a_file_says_how_to_load_it(run, file):
    path = file("mine.py", GOOD.format(name="squares"))
    _, out, _ = run("show", "loss", "squares", "--plugins", path)
    assert out.startswith(f"loss/squares  ({path}:5)")
    assert f"plugins: !apply:mtlaug_sb.load_plugins [{path}]" in out
    assert "And more about it." in out
    assert "# power: 2.0\n        # floor: 1.0e-08" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("loss", "centre"), "no plugin is called 'loss/centre'; did you mean loss/center"),
        (("center",), "no plugin is called 'center'; did you mean loss/center"),
        (("los", "center"), "no plugin is called 'los/center'; did you mean loss/center"),
    ],
)
def test_show_an_unknown_name_gives_the_nearest(run, words, says):
    status, out, error = run("show", *words)
    assert (status, out) == (1, "")
    assert error.startswith(f"error: {says}")


@pytest.mark.parametrize("cls", plugins().values(), ids=lambda cls: cls.plugin)
def test_the_yaml_that_is_shown_makes_the_plugin(cls):
    _, block = yaml_block(cls)
    above = "sample_rate: 16000\nn_mels: 24\nframe_size: 8\nclasses: [a, b]\nn_classes: 2\nclass_label: emotion\n"
    kind, name = cls.plugin.split("/")
    for text in (block, re.sub("^( *)# ", r"\1", block, flags=re.MULTILINE)):  # and with every comment a key
        if "PLACEHOLDER" in text:
            with pytest.raises(ValueError, match="PLACEHOLDER"):
                load_hyperpyyaml(io.StringIO(above + text))
            continue
        if cls.plugin == "features/onnx":
            with pytest.raises(FileNotFoundError, match="give the path of a speech encoder"):
                load_hyperpyyaml(io.StringIO(above + text))
            continue
        if kind == "corpus":
            text = text if text == block else text.replace("options: {}", "options:")
            loaded = load_hyperpyyaml(io.StringIO(above + text))
            assert loaded["corpus"] == name
            assert isinstance(make(cls.plugin, **(loaded["corpus_options"] or {})), cls)
            continue
        if text != block and "shared" in text:
            continue
        made = load_hyperpyyaml(io.StringIO(above + (f"it:\n{block}" if block.startswith("-") else text)))
        assert any(isinstance(value[0] if isinstance(value, list) else value, cls) for value in made.values())


# ---------------------------------------------------------------------- check


def test_check_of_a_good_file(run, file):
    path = file("good.py", GOOD.format(name="squares"))
    status, out, _ = run("check", path)
    assert status == 0
    assert "WRONG" not in out
    assert out.splitlines()[0] == str(path)
    assert "  loss/squares\n    ok     It can be made with its defaults and its example." in out
    assert out.endswith("Plugins: 1. Nothing is wrong.\n")


def test_check_reports_every_failure_of_every_plugin_of_every_file(run, file):
    mean = GOOD.replace(".sum(1)", ".mean()")
    one = file("one.py", mean.format(name="first") + mean.replace("Mine", "Other").format(name="second"))
    two = file("two.py", GOOD.format(name="third"))
    three = file("three.py", GOOD.replace('reads = "values"', "").format(name="fourth"))
    status, out, _ = run("check", one, two, three)
    assert status == 1
    for name in ("first", "second"):
        assert f"loss/{name}: must return one value for each utterance, [4] for a batch of 4, got []: do not average" in out
    assert "loss/fourth: needs a class attribute reads" in out
    assert "           as above" in out
    assert out.index("loss/first") < out.index("loss/second") < out.index("loss/third") < out.index("loss/fourth")
    assert re.search(r"Plugins: 4\. WRONG: \d+ of \d+ checks\.", out)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1\n", r"registers nothing: put @register\(kind, name\) over a class"),
        ("import torch\n\ndef f(:\n", r"cannot be loaded: .*\(.*file\.py, line 3: def f\(:\)"),
        ("import torch\n\ntorch.Lineer\n", r"cannot be loaded: AttributeError: .*Lineer.*file\.py, line 3\)"),
        ("raise SystemExit(0)", "cannot be loaded: SystemExit: 0"),
        (GOOD.format(name="center"), r"two plugins are called loss/center: \S*center\.py:\d+ and \S*file\.py:5; rename one"),
        (GOOD.format(name="a b"), "a plugin's name is made of letters"),
        (GOOD.replace('"loss"', '"los"'), "unknown kind of plugin 'los'"),
    ],
)
def test_check_of_a_file_that_is_no_plugin(run, file, text, says):
    status, out, _ = run("check", file("file.py", text))
    assert status == 1
    assert re.search(f"  WRONG  .*{says}", out)


def test_check_of_no_file(run):
    status, _, error = run("check", "nowhere.py")
    assert status == 1
    assert error.startswith("error: no plugin file or folder 'nowhere.py'")


def test_check_of_a_file_of_the_library(run):
    status, out, _ = run("check", "mtlaug_sb/losses/center.py")
    assert (status, "loss/center" in out) == (0, True)


# ---------------------------------------------------------------------- new


@pytest.mark.parametrize("kind", CHECKS)
def test_new_writes_a_plugin_that_keeps_its_contract_and_passes_its_test(run, tmp_path, kind):
    status, out, _ = run("new", kind, f"my_{kind}", "--folder", tmp_path / "own")
    assert status == 0
    path, test = tmp_path / "own" / f"my_{kind}.py", tmp_path / "own" / f"test_my_{kind}.py"
    assert f"Wrote {path} and {test}" in out
    assert f"plugins: !apply:mtlaug_sb.load_plugins [{path}]" in out
    assert ("corpus: my_corpus" if kind == "corpus" else f"plugin: {kind}/my_{kind}") in out
    status, out, _ = run("check", path)
    assert status == 0, out
    # its own test, run here: a process for each kind would take a minute
    spec = importlib.util.spec_from_file_location(f"test_my_{kind}", test)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [function for name, function in vars(module).items() if name.startswith("test_")]
    assert len(tests) == 2
    for function in tests:
        function(*[tmp_path] * function.__code__.co_argcount)  # a test of a corpus takes a folder


def test_what_new_writes_passes_pytest_and_the_linter(run, tmp_path):
    kinds = [kind for kind in CHECKS if KINDS[kind] != "augment" or kind == "augmentation"]
    for kind in kinds:
        run("new", kind, f"my_{kind}", "--folder", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path), "--rootdir", str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout
    assert f"{2 * len(kinds)} passed" in done.stdout
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml"), str(tmp_path)]
        done = subprocess.run(ruff, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_new_plugins_are_listed_with_their_file(run, tmp_path):
    run("new", "head", "my_head", "--folder", tmp_path)
    _, out, _ = run("list", "head", "--plugins", tmp_path)
    assert re.search(r"my_head +Classify an utterance by", out)


def test_new_overwrites_nothing(run, file, tmp_path):
    path = file("test_my_loss.py", "precious")
    status, _, error = run("new", "loss", "my_loss", "--folder", tmp_path)
    assert status == 1
    assert error == f"error: '{path}' is there already; choose another name, or remove it\n"
    assert path.read_text() == "precious"
    assert not (tmp_path / "my_loss.py").exists()


@pytest.mark.parametrize(
    ("kind", "name", "says"),
    [
        ("loss", "my-loss", "'my-loss' cannot be the name of a plugin file: use letters, digits and _, such as my_loss"),
        ("loss", "3d", "'3d' cannot be the name"),
        ("loss", "class", "'class' cannot be the name"),
        ("loss", "_mine", "'_mine' cannot be the name"),
        ("loss", "test_mine", "'test_mine' cannot be the name"),
        ("loss", "ünsinn", "'ünsinn' cannot be the name"),
        ("loss", "../mine", "'../mine' cannot be the name"),
        ("loss", "center", "the name loss/center is taken, by "),
        ("loss", "random", "the file random.py would hide the Python module 'random'"),
        ("los", "mine", "unknown kind of plugin 'los'; did you mean loss? the kinds are corpus, "),
    ],
)
def test_new_refuses_what_would_not_work(run, tmp_path, kind, name, says):
    status, out, error = run("new", kind, name, "--folder", tmp_path)
    assert (status, out) == (1, "")
    assert error.startswith(f"error: {says}")
    assert list(tmp_path.iterdir()) == []


def test_help_is_there_for_every_command(run):
    status, out, _ = run("--help")
    assert status == 0
    for command in ("list", "show", "check", "new"):
        assert command in out
        status, text, _ = run(command, "--help")
        assert status == 0
        assert "usage: plugin.py " + command in text
    assert run()[0] == 2
