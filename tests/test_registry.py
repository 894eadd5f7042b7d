"""The registry: names, duplicates, errors that help, plain data."""

import pytest
import torch

from mtlaug_sb import describe, load_plugins, make, plugins, register
from mtlaug_sb.registry import _plugins


@pytest.fixture(autouse=True)
def _restore():
    before = dict(_plugins)
    yield
    _plugins.clear()
    _plugins.update(before)


def test_every_kind_has_members():
    assert {kind for kind, _ in plugins()} == {
        "corpus", "augmentation", "features", "encoder", "head", "loss", "weighting",
    }  # fmt: skip


def test_unknown_name_gives_the_nearest():
    with pytest.raises(ValueError, match="did you mean head/attentive"):
        make("head/atentive", input_size=3, n_classes=2)


def test_wrong_argument_gives_plugin_and_signature():
    with pytest.raises(TypeError, match=r"encoder/cnn: .*'chanels'.*channels="):
        make("encoder/cnn", input_size=8, chanels=[8])


def test_second_class_under_a_taken_name_names_both_places():
    with pytest.raises(ValueError, match=r"loss/center.*center\.py.*test_registry\.py"):

        @register("loss", "center")
        class Other:
            pass


def test_unknown_kind():
    with pytest.raises(ValueError, match="the kinds are corpus"):
        register("hed", "x")


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


def test_plugin_files(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\nfrom mtlaug_sb import register\n"
        "@register('loss', 'mine')\nclass Mine(nn.Module):\n    reads = 'logits'\n"
        "    def forward(self, predictions, targets, lengths):\n        return predictions.sum(1)\n"
    )
    assert load_plugins(str(tmp_path)) == [str(file)]
    load_plugins(str(file))  # twice is once
    assert make("loss/mine").reads == "logits"
    with pytest.raises(FileNotFoundError, match=r"nowhere\.py"):
        load_plugins("nowhere.py")
