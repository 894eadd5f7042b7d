"""The command line: every key is known, or refused with the nearest one."""

import pathlib

import pytest
from conftest import ROOT
from crossvalidate import read_settings

from mtlaug_sb.options import help_text, read_arguments

YAML = """\
seed: 0
lr: 0.002
opt_class: !name:torch.optim.AdamW
    lr: !ref <lr>
optimizer_name: x
encoder: !apply:mtlaug_sb.make
    plugin: encoder/cnn
    input_size: 8
    channels: [1, 2]
max_grad_norm: 5.0
"""


@pytest.fixture
def yaml(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(YAML)
    return str(path)


def test_keys_run_options_and_blocks(yaml):
    file, run_opts, overrides = read_arguments(
        [
            yaml,
            "--seed=3",
            "--lr",
            "1e-3",
            "--encoder.channels=[4, 5]",
            "--encoder.dropout=0.1",
            "--debug=False",
            "--noprogressbar",
            "--device=cpu",
            "--max_grad_norm=1",
        ]
    )
    assert file == yaml
    assert overrides == {"seed": 3, "lr": 0.001, "encoder": {"channels": [4, 5], "dropout": 0.1}, "max_grad_norm": 1}
    assert run_opts.noprogressbar
    assert run_opts.overridden_args == {"noprogressbar", "device"}


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("--sed=3", r"no key 'sed' in the YAML; did you mean --seed\?"),
        ("--opt=x", "no key 'opt'"),  # SpeechBrain's parser takes it for --optimizer_step_limit
        ("--log=x", "no key 'log'"),
        ("--encoder.chanels=[1]", r"did you mean --encoder\.channels"),
        ("--lr.x=1", r"no key 'lr\.x'"),
        ("--seed", "--seed needs a value"),
        ("seed=3", "follows no key"),
        ("--seed=[1", r"--seed=\[1 is not YAML"),
        ("--seed=x", "seed must be a whole number of at least 0, is 'x'"),
        ("--debug=perhaps", "--debug is a switch"),
        ("--precision=fp12", "SpeechBrain does not understand --precision fp12"),
    ],
)
def test_what_is_wrong_is_said(yaml, argument, says):
    with pytest.raises(ValueError, match=says):
        read_arguments([yaml, argument])


STL = str(ROOT / "hparams" / "stl.yaml")


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("anger, joy", ["anger", "joy"]),
        ("[anger, 3]", ["anger", "3"]),
        ("[Cole\u0300re, Joie]", ["Col\u00e8re", "Joie"]),  # an accent as a letter of its own
    ],
)
def test_classes_are_names(given, names):
    overrides = read_arguments([STL, f"--classes={given}"])[2]
    assert read_settings(STL, overrides)["classes"] == names


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("[anger]", "at least two, and different ones, are anger"),
        ("anger", "at least two"),
        ("[]", "at least two, and different ones, are none"),
        ("[a, b, a]", "different ones, are a, b, a"),
        ("3", "a list of names, is 3"),
    ],
)
def test_classes_that_are_none(given, says):
    with pytest.raises(ValueError, match=says):
        read_arguments([STL, f"--classes={given}"])


def test_no_yaml():
    with pytest.raises(FileNotFoundError, match=r"no YAML file 'hparams/mtl\.yaml'"):
        read_arguments(["hparams/mtl.yaml"])
    with pytest.raises(ValueError, match="first argument is a YAML"):
        read_arguments(["--seed=3"])


def test_help_lists_keys_of_every_yaml():
    for path in (pathlib.Path(__file__).parents[1] / "hparams").glob("*.yaml"):
        text = help_text(str(path), "usage")
        assert "--test_speaker=" in text
        assert "--device" in text


@pytest.mark.usefixtures("registry")
def test_arguments_of_a_users_plugin_are_keys(tmp_path):
    (tmp_path / "own.py").write_text(
        "from mtlaug_sb import register\n@register('head', 'own')\nclass Own:\n"
        "    def __init__(self, size, depth=1):\n        self.size = size\n"
    )
    yaml = tmp_path / "own.yaml"
    yaml.write_text(
        f"plugins: !apply:mtlaug_sb.load_plugins [{tmp_path / 'own.py'}]\n"
        "head: !apply:mtlaug_sb.make {plugin: head/own, size: 3}\n"
    )
    given = ["--head.size=4", "--head.depth=2"]  # the second is an argument that the YAML leaves at its default
    assert read_arguments([str(yaml), *given])[2] == {"head": {"size": 4, "depth": 2}}
    with pytest.raises(ValueError, match=r"no key 'head\.dept' in the YAML; did you mean --head\.depth"):
        read_arguments([str(yaml), "--head.dept=2"])


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("--test_speaker=03_01", "03_01"),  # 301 in YAML
        ("--test_speaker=010", "010"),
        ("--test_speaker=[a, b]", ["a", "b"]),
        ("--data_folder=/x/a: b #3", "/x/a: b #3"),
        ("--data_folder=null", None),
        ("--output_folder=2024-01-05", "2024-01-05"),
    ],
)
def test_names_and_paths_are_what_they_look_like(argument, value):
    _, _, overrides = read_arguments([str(ROOT / "hparams" / "stl.yaml"), argument])
    assert next(iter(overrides.values())) == value
    key = next(iter(overrides))
    assert read_settings(str(ROOT / "hparams" / "stl.yaml"), overrides)[key] == value
