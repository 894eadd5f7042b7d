"""The registry: names, duplicates, errors that help, plain data."""

import importlib.util
import sys
import textwrap

import pytest
import torch
from torch import nn

from mtlaug_sb import describe, load_plugins, make, plugin_packages, plugins, register
from mtlaug_sb.registry import place

pytestmark = pytest.mark.usefixtures("registry")


def test_every_kind_has_members():
    kinds = {kind for kind, _ in plugins()}
    assert kinds >= {"corpus", "augmentation", "features", "encoder", "head", "loss", "weighting"}


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        ("head/atentive", "did you mean head/attentive.*known: head/attentive"),
        ("attentive", "no plugin is called 'attentive'; did you mean head/attentive"),
        ("hed/attentive", "did you mean head/attentive"),
        ("loss/zzzzzz", "no plugin is called 'loss/zzzzzz'; known: loss/center, loss/cross_entropy"),
        (None, "no plugin is called 'None'"),
    ],
)
def test_unknown_name_gives_the_nearest(plugin, says):
    with pytest.raises(ValueError, match=says):
        make(plugin, input_size=3)


def test_wrong_argument_gives_plugin_nearest_argument_and_signature():
    with pytest.raises(
        TypeError,
        match=r"encoder/cnn: there is no argument 'chanels'; did you mean 'channels'.*encoder/cnn\(input_size, channels=",
    ):
        make("encoder/cnn", input_size=8, chanels=[8])


def test_missing_argument_gives_plugin_and_signature():
    with pytest.raises(
        TypeError, match=r"head/attentive: the argument 'n_classes' must be given; .*\(input_size, n_classes, "
    ):
        make("head/attentive", input_size=8)
    with pytest.raises(TypeError, match="the arguments 'input_size' and 'n_classes' must be given"):
        make("head/attentive")


@pytest.mark.parametrize("plugin", ["weighting/fixed", "corpus/emodb"])
def test_a_class_without_init_takes_no_argument(plugin):
    with pytest.raises(TypeError, match=rf"{plugin}: there is no argument 'x'; it is made with {plugin}\(\)"):
        make(plugin, x=1)


class Strange(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)

    def __str__(self):
        return "strange"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("too small"), "loss/raises: too small"),
        (ValueError(), "loss/raises: no reason given"),
        (KeyError("size"), "loss/raises: size"),
        (RuntimeError("no device"), "loss/raises: no device"),
        (FileNotFoundError(2, "No such file", "x.pt"), "loss/raises: No such file: 'x.pt'"),
    ],
)
def test_an_error_of_a_constructor_keeps_its_type_and_names_the_plugin(error, says):
    @register("loss", "raises")
    class Raises:
        def __init__(self):
            raise error

    with pytest.raises(type(error), match=says) as caught:
        make("loss/raises")
    assert type(caught.value) is type(error)


def test_an_error_that_speaks_for_itself_gets_a_note():
    @register("loss", "raises")
    class Raises:
        def __init__(self):
            raise Strange(1, 2)

    with pytest.raises(Strange) as caught:
        make("loss/raises")
    assert caught.value.args == (1, 2)
    assert caught.value.__notes__ == ["while making loss/raises"]


def test_second_class_under_a_taken_name_names_both_places():
    with pytest.raises(ValueError, match=r"loss/center: \S*center\.py:\d+ and \S*test_registry\.py:\d+; rename one"):

        @register("loss", "center")
        class Other:
            pass


PLUGIN = """
from mtlaug_sb import register

@register("loss", "{}")
class Mine:
    reads = "logits"
"""


def _execute(file, name):
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_classes_of_one_file_under_one_name_name_both_lines(tmp_path):
    file = tmp_path / "twice.py"
    file.write_text(PLUGIN.format("mine") + PLUGIN.format("mine"))
    with pytest.raises(ValueError, match=r"twice\.py:4 and \S*twice\.py:10"):
        load_plugins(str(file))


def test_a_file_loaded_twice_under_two_names_is_one_place(tmp_path):
    file = tmp_path / "once.py"
    file.write_text(PLUGIN.format("once"))
    first, second = _execute(file, "first").Mine, _execute(file, "second").Mine
    assert first is not second
    assert plugins()["loss", "once"] is second
    assert str(place(second)) == f"{file}:4"
    file.write_text("# edited: its lines have moved\n" + PLUGIN.format("once"))
    _execute(file, "third")
    copy = tmp_path / "copy.py"
    copy.write_text(PLUGIN.format("once"))
    with pytest.raises(ValueError, match=r"once\.py:5 and \S*copy\.py:4"):
        _execute(copy, "fourth")


def test_a_cell_may_be_run_again():
    for cell in ("cell 1", "cell 2"):
        exec(compile(PLUGIN.format("cell"), cell, "exec"), {"__name__": "__main__"})
    with pytest.raises(ValueError, match=r"cell 2:4 and .*cell 3:4"):
        exec(compile(PLUGIN.format("cell").replace("Mine", "Other"), "cell 3", "exec"), {"__name__": "__main__"})


def test_unknown_kind():
    with pytest.raises(ValueError, match="unknown kind of plugin 'hed'; the kinds are corpus"):
        register("hed", "x")


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ü", "a.b", None, 3.5, "a\n"])
def test_unusable_name(name):
    with pytest.raises(ValueError, match="a plugin's name is made of letters, digits, _ and -"):
        register("head", name)


def test_only_classes_are_registered():
    with pytest.raises(TypeError, match=r"loss/function: @register stands over a class, got <function"):

        @register("loss", "function")
        def loss(predictions, targets, lengths):
            return predictions


def test_described_and_made_again():
    head = make("head/attentive", input_size=8, n_classes=3, dense=4)
    assert describe(head) == {"plugin": "head/attentive", "input_size": 8, "n_classes": 3, "dense": 4}
    again = make(**describe(head))
    again.load_state_dict(head.state_dict())
    x, lengths = torch.rand(2, 5, 8), torch.ones(2)
    assert torch.equal(again.eval()(x, lengths)["logits"], head.eval()(x, lengths)["logits"])


def test_positional_arguments_are_remembered_by_name():
    from mtlaug_sb.losses.cross_entropy import CrossEntropy

    assert describe(CrossEntropy(0.1)) == {"plugin": "loss/cross_entropy", "label_smoothing": 0.1}


def test_stars_are_made_described_and_made_again():
    @register("head", "stars")
    class Stars:
        def __init__(self, first=1, *rest, option=2, **more):
            self.all = first, rest, option, more

    assert make("head/stars", other=3).all == (1, (), 2, {"other": 3})
    assert make("head/stars", rest=[5, 6]).all == (1, (5, 6), 2, {})
    stars = Stars(4, 5, 6, option=7, other=8)
    assert describe(stars) == {"plugin": "head/stars", "first": 4, "rest": (5, 6), "option": 7, "other": 8}
    assert make(**describe(stars)).all == stars.all


def test_registered_objects_in_lists_and_dictionaries_are_described_and_made_again():
    @register("head", "several")
    class Several(nn.Module):
        def __init__(self, parts, by_name, sizes):
            super().__init__()
            self.parts, self.by_name = nn.ModuleList(parts), by_name

    part = {"plugin": "head/attentive", "input_size": 8, "n_classes": 3}
    several = Several([make(**part)], {"a": {"b": make(**part)}}, sizes=(1, 2))
    plain = {"plugin": "head/several", "parts": [part], "by_name": {"a": {"b": part}}, "sizes": (1, 2)}
    assert describe(several) == plain
    again = make(**plain)
    assert type(again.by_name["a"]["b"]) is type(again.parts[0]) is plugins()["head", "attentive"]
    assert describe(again) == plain


def test_a_registered_subclass_remembers_its_own_arguments():
    Attentive = plugins()["head", "attentive"]

    @register("head", "child")
    class Child(Attentive):
        def __init__(self, frame_size):
            super().__init__(frame_size, n_classes=5, dense=7)

    @register("head", "same")
    class Same(Attentive):
        pass

    assert describe(Child(8)) == {"plugin": "head/child", "frame_size": 8}
    assert describe(Same(8, 2)) == {"plugin": "head/same", "input_size": 8, "n_classes": 2}
    assert describe(Attentive(8, 2)) == {"plugin": "head/attentive", "input_size": 8, "n_classes": 2}


def test_a_subclass_that_is_not_registered_is_not_described_as_its_parent():
    class Unnamed(plugins()["head", "attentive"]):
        pass

    with pytest.raises(TypeError, match="Unnamed is no registered plugin, though head/attentive is, which it extends"):
        describe(Unnamed(8, 2))
    with pytest.raises(TypeError, match="Linear is no registered plugin; put @register"):
        describe(nn.Linear(1, 1))


def test_plugin_files(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\nfrom mtlaug_sb import register\n"
        "@register('loss', 'mine')\nclass Mine(nn.Module):\n    reads = 'logits'\n"
        "    def forward(self, predictions, targets, lengths):\n        return predictions.sum(1)\n"
    )
    (tmp_path / "_private.py").write_text("raise RuntimeError")
    assert load_plugins(str(tmp_path)) == [str(file)]
    load_plugins(str(file))  # twice is once
    assert make("loss/mine").reads == "logits"
    with pytest.raises(FileNotFoundError, match=r"nowhere\.py"):
        load_plugins("nowhere.py")
    with pytest.raises(RuntimeError):  # a file that is named itself is loaded, whatever its name
        load_plugins(str(tmp_path / "_private.py"))
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ValueError, match=r"mine\.txt' is no Python file"):
        load_plugins(str(tmp_path / "mine.txt"))


# ---------------------------------------------------------------------- installed packages


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Lay out an installed package, as pip would: install("name", module source, entry point's value)."""

    def lay_out(name, source, value):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"{name}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[mtlaug_sb.plugins]\n{name}_point = {value}\n")

    monkeypatch.syspath_prepend(tmp_path)
    plugin_packages.load_packages.cache_clear()
    yield lay_out
    monkeypatch.undo()
    for file in tmp_path.glob("*.py"):
        sys.modules.pop(file.stem, None)
    plugin_packages.load_packages.cache_clear()


def test_plugins_of_an_installed_package(install):
    # making a plugin while the package is being imported looks for plugins again
    install(
        "ser_extras", PLUGIN.format("extra") + "\nfrom mtlaug_sb import make\nmade = make('loss/extra')\n", "ser_extras:made"
    )
    assert make("loss/extra").reads == "logits"
    assert plugin_packages.package_of(plugins()["loss", "extra"]) == "ser_extras 1.2"
    assert plugin_packages.package_of(plugins()["loss", "center"]) is None
    assert plugin_packages.not_loaded() == {}


@pytest.mark.parametrize(
    ("source", "value", "says"),
    [
        ("import no_such_module_anywhere", "ser_broken", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("x = 1", "ser_broken:y", "AttributeError"),
        ("raise SystemExit(3)", "ser_broken", "SystemExit: 3"),
        (PLUGIN.format("center"), "ser_broken", "ValueError: two plugins are called loss/center"),
    ],
)
def test_a_broken_package_is_reported_and_harms_nobody(install, source, value, says):
    install("ser_broken", source, value)
    assert make("weighting/fixed")
    (package, error), *_ = plugin_packages.not_loaded().items()
    assert package == f"package ser_broken 1.2 (entry point ser_broken_point = {value})"
    assert error.startswith(says)
    with pytest.raises(ValueError, match=r"known: .*; not loaded: package ser_broken 1\.2 .*: " + says.split(":")[0]):
        make("loss/of_the_broken_package")
