"""A YAML that is the difference to another."""

import pathlib

import pytest
import ruamel.yaml

from mtlaug_sb.dataio.run_folder import _settings
from mtlaug_sb.experiment import read_experiment

HPARAMS = pathlib.Path(__file__).parents[1] / "hparams"
BASE = """\
seed: 0
__set_seed: !apply:print [!ref <seed>]
size: 3
head: !apply:mtlaug_sb.make {plugin: head/attentive, input_size: 4, dense: 8}
tasks:
    a: {weight: 1.0}
    b: {weight: 2.0}
list: [1, 2]
"""


@pytest.fixture
def merged(tmp_path):
    """What a difference to BASE comes to, loaded with its tags."""

    def merge(difference):
        (tmp_path / "base.yaml").write_text(BASE)
        (tmp_path / "own.yaml").write_text("base: base.yaml\n" + difference)
        return ruamel.yaml.YAML().load(read_experiment(tmp_path / "own.yaml"))

    return merge


def test_blocks_are_merged_and_values_and_lists_replaced(merged):
    tree = merged("size: 5\nlist: [3]\ntasks: {b: {weight: 0.5}, c: {weight: 4.0}}\nhead: {dense: 16}")
    assert tree["size"] == 5
    assert tree["list"] == [3]
    assert tree["tasks"] == {"a": {"weight": 1.0}, "b": {"weight": 0.5}, "c": {"weight": 4.0}}
    assert tree["head"] == {"plugin": "head/attentive", "input_size": 4, "dense": 16}
    assert tree["head"].tag.value == "!apply:mtlaug_sb.make"


def test_an_object_replaces_an_object_whole(merged):
    tree = merged("head: !apply:mtlaug_sb.make {plugin: head/statistics, input_size: 4}")
    assert tree["head"] == {"plugin": "head/statistics", "input_size": 4}


def test_null_replaces_a_block(merged):
    assert merged("tasks: {a: null}")["tasks"]["a"] is None


def test_new_keys_come_before_their_users_and_after_the_seed(merged):
    assert list(merged("plugins: x\nmore: y")) == ["seed", "__set_seed", "plugins", "more", "size", "head", "tasks", "list"]


def test_a_file_that_changed_is_read_anew(merged, tmp_path):
    assert merged("size: 5")["size"] == 5
    assert merged("size: 6")["size"] == 6
    (tmp_path / "base.yaml").write_text("list: [7]\n")
    assert ruamel.yaml.YAML().load(read_experiment(tmp_path / "own.yaml")) == {"list": [7], "size": 6}


def test_a_base_of_a_base(tmp_path):
    (tmp_path / "a.yaml").write_text("x: 1\ny: 1\nz: 1\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.yaml").write_text("base: ../a.yaml\ny: 2\nz: 2\n")
    (tmp_path / "more" / "c.yaml").write_text("base: b.yaml\nz: 3\n")
    assert ruamel.yaml.YAML().load(read_experiment(tmp_path / "more" / "c.yaml")) == {"x": 1, "y": 2, "z": 3}


def test_what_is_wrong_is_said(tmp_path):
    (tmp_path / "a.yaml").write_text("base: b.yaml\n")
    with pytest.raises(FileNotFoundError, match=r"b\.yaml', the base of '.*a\.yaml'"):
        read_experiment(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("base: a.yaml\n")
    with pytest.raises(ValueError, match=r"is its own base, by way of a\.yaml and b\.yaml"):
        read_experiment(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match="must be a mapping"):
        read_experiment(tmp_path / "a.yaml")


def test_stl_and_stl_aug_are_mtl_aug_with_less():
    stl, stl_aug, mtl_aug = (_settings(read_experiment(HPARAMS / f"{n}.yaml")) for n in ("stl", "stl_aug", "mtl_aug"))
    assert {k for k in mtl_aug if stl_aug[k] != mtl_aug[k]} == {"system", "tasks"}
    assert {k for k in mtl_aug if stl[k] != stl_aug[k]} == {"system", "augmentation"}
    _, tasks = stl["tasks"]
    assert [name for name, task in tasks.items() if task != (None, "None")] == ["emotion"]
