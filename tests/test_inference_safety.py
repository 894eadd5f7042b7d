"""Hostile model folders: each is refused with a clear message, and nothing in it has run."""

import json
import os
import pathlib
import pickle
import sys
import time
import tracemalloc

import pytest
import safetensors.torch
import torch
from small_model import changed, write_small_model

from mtlaug_sb.inference import EmotionRecognizer, ModelError
from mtlaug_sb.inference.allocation_limit import AllocationError, AllocationLimit
from mtlaug_sb.inference.model_folder import read_model, write_model
from mtlaug_sb.registry import _plugins, register


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return write_small_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch):
    """Whatever would run code fails the test, even where its error is caught."""
    ran = []
    for module, name in [(os, "system"), (os, "popen"), (pickle, "load"), (pickle, "loads"), (torch, "load")]:
        monkeypatch.setattr(module, name, lambda *a, _name=name, **k: ran.append(_name))
    for name in ("Popen", "run", "call"):
        monkeypatch.setattr(f"subprocess.{name}", lambda *a, _name=name, **k: ran.append(_name))
    monkeypatch.setattr("hyperpyyaml.load_hyperpyyaml", lambda *a, **k: ran.append("load_hyperpyyaml"))
    before = set(sys.modules)
    yield
    assert not ran
    assert not {m for m in set(sys.modules) - before if m.startswith(("evil", "antigravity", "mtlaug_sb_plugin"))}


def load(folder, **options):
    return EmotionRecognizer.from_hparams(folder, run_opts={"device": "cpu"}, **options)


def refused(folder, says):
    with pytest.raises(ModelError, match=says) as info:
        load(folder)
    assert "\n" not in str(info.value)
    assert len(str(info.value)) < 600


BLSTM = {"plugin": "head/blstm_attention", "input_size": 16, "n_classes": 4}
HOSTILE_YAML = [
    "x: !apply:os.system [touch RAN]\n",
    "modules: {a: !new:subprocess.Popen [[touch, RAN]]}\n",
    "!!python/object/apply:os.system [touch RAN]\n",
    "x: !name:os.system\n",
]


@pytest.mark.parametrize("text", HOSTILE_YAML)
def test_a_folder_with_only_hyperparams(tmp_path, text):
    (tmp_path / "hyperparams.yaml").write_text(text)
    refused(tmp_path, r"no model.json; it holds hyperparams.yaml.*never read.*recipes/export.py")


@pytest.mark.parametrize("text", HOSTILE_YAML)
def test_yaml_tags_inside_model_json(good, tmp_path, text):
    folder = changed(good, tmp_path / "m")
    (folder / "model.json").write_text(text)
    refused(folder, "not plain JSON")
    folder = changed(good, tmp_path / "n", made_by=text.strip(), features={"plugin": text.strip()})
    refused(folder, "must name a plugin")
    folder = changed(good, tmp_path / "o", main_task="!apply:os.system [id]")
    refused(folder, "is no task with classes")


@pytest.mark.parametrize("text", HOSTILE_YAML)
def test_a_good_model_beside_a_hostile_hyperparams(good, tmp_path, text):
    folder = changed(good, tmp_path / "m")
    (folder / "hyperparams.yaml").write_text(text)
    refused(folder, "hyperparams.yaml.* is not what an export writes")


class Bomb:
    def __reduce__(self):
        return (pathlib.Path.touch, (pathlib.Path("RAN"),))


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt", "pytorch_model.bin", "model.pkl"])
def test_pickles(good, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps(Bomb())
    only = tmp_path / "only"
    only.mkdir()
    (only / name).write_bytes(data)
    refused(only, f"no model.json; it holds {name}")
    folder = changed(good, tmp_path / "instead")
    (folder / "model.safetensors").write_bytes(data)
    refused(folder, "is not a safetensors file")
    folder = changed(good, tmp_path / "beside")
    (folder / name).write_bytes(data)
    refused(folder, f"'{name}'.*pickled")
    assert not pathlib.Path("RAN").exists()


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_links_out_of_the_folder(good, tmp_path, name):
    folder = changed(good, tmp_path / "m")
    (folder / name).unlink()
    (folder / name).symlink_to(good / name)
    refused(folder, "leads out of its folder")


def test_a_model_folder_that_is_a_link(good, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model").symlink_to(good)
    refused(tmp_path / "run", "no model.json")


def test_a_pipe_is_not_waited_for(good, tmp_path):
    folder = changed(good, tmp_path / "m")
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")
    refused(folder, "no plain file")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("features", {"plugin": "../../evil"}, "must name a plugin 'features/...'"),
        ("features", {"plugin": "features/../../evil"}, "must name a plugin"),
        ("features", {"plugin": "corpus/folder"}, "must name a plugin 'features/...'"),
        ("encoder", {"plugin": "head/attentive", "input_size": 20, "n_classes": 3}, "must name a plugin 'encoder/...'"),
        ("encoder", {"plugin": ["encoder/cnn"]}, "encoder must be"),
        ("encoder", "os.system", "'encoder' must be a mapping"),
        ("encoder", {"plugin": "encoder/nowhere"}, "no plugin is called 'encoder/nowhere'"),
        ("encoder", {"plugin": "encoder/cnn", "input_size": 20, "shell": True}, "encoder/cnn has no argument 'shell'"),
        ("encoder", {"plugin": "encoder/cnn", "input_size": 20, "self": 1}, "has no argument 'self'"),
        ("encoder", {"plugin": "encoder/cnn", "__class__": 1}, "no argument's name"),
        ("encoder", {"plugin": "encoder/cnn"}, "cannot be made.*'input_size' must be given"),
        ("encoder", {"plugin": "encoder/cnn", "input_size": "twenty"}, "cannot be made"),
        ("encoder", {"plugin": "encoder/cnn", "input_size": -1}, "cannot be made"),
        ("encoder", {"plugin": "encoder/cnn", "input_size": "../../etc/passwd"}, "only plain words"),
        ("encoder", {"plugin": "encoder/cnn", "input_size": "http://evil.example/x"}, "only plain words"),
        ("encoder", {"plugin": "encoder/cnn", "input_size": {"plugin": "corpus/folder"}}, "no part of a model"),
        ("encoder", {"plugin": "encoder/cnn", "input_size": 20, "channels": [8] * 300}, "300 items"),
        ("encoder", {"plugin": "encoder/cnn", "input_size": 10**12}, "out of range"),
        ("encoder", {"plugin": "encoder/cnn", "input_size": 20, "channels": [2_000_000, 2_000_000]}, "far more memory"),
        ("features", {"plugin": "features/log_mel", "n_fft": 2**23, "n_mels": 100_000}, "far more memory"),
        ("features", {"plugin": "features/log_mel", "n_mels": 20, "hop_ms": 0.000001}, "do not fit each other"),
        ("features", {"plugin": "features/log_mel", "n_mels": 20, "hop_ms": 0.5}, "2001 frames a second"),
        ("augmentations", {"speed": {"plugin": "augmentation/speed", "percents": [9_999_991]}}, "far more memory"),
        ("augmentations", {"speed": {"plugin": "augmentation/speed", "shell": 1}}, "has no argument 'shell'"),
        ("features", {"plugin": "features/log_mel", "n_mels": 21}, "do not fit each other"),
        ("normalization", {"size": 2_000}, r"'normalization.mean' is \[2000\].*\[20\]"),
        ("normalization", {"size": True}, "'size' must be a whole number"),
        ("normalization", {"size": 20, "plugin": "x"}, "unknown key 'plugin'"),
        ("normalization", {"size": 20, "groups": 0}, "'groups' must be null or a whole number"),
        ("normalization", {"size": 20, "groups": 3}, "3 groups do not divide 20 dimensions"),
        ("normalization", {"size": 20, "center": 0}, "'center' must be true or false"),
        ("augmentations", {"speed": {"plugin": "encoder/cnn"}}, "must name a plugin 'augmentation/...'"),
        ("augmentations", {"<script>": {"plugin": "augmentation/mixup"}}, "is no name"),
        ("plugins", {"head/x": "../evil.py"}, "is not a plugin's name and its file's"),
        ("plugins", ["evil.py"], "'plugins' must be a mapping"),
        ("tasks", {}, "'tasks' must be a mapping of 1 to 100"),
        ("sample_rate", 10**9, "out of range"),
        ("sample_rate", "16000", "'sample_rate' must be a whole number"),
        ("format", "something else", "not 'mtlaug_sb model'"),
        ("version", 2, "this mtlaug_sb reads 1"),
        ("pretrainer", {"paths": "x"}, "unknown key 'pretrainer'"),
        ("calibration", {"temperature": 0}, "no key"),
    ],
)  # fmt: skip
def test_hostile_descriptions(good, tmp_path, key, value, says):
    refused(changed(good, tmp_path / "m", **{key: value}), says)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"layer": 7}, "do not fit each other"),
        ({"classes": ["a", "b"]}, r"must give 'logits' \[2, 2\], gives \(2, 4\)"),
        ({"classes": ["a", "a", "b", "c"]}, "names must be different"),
        ({"classes": ["=cmd()", "a", "b", "c"]}, "is no name"),
        ({"classes": ["a\nb", "a", "b", "c"]}, "is no name"),
        ({"classes": None}, "needs either classes or numbers"),
        ({"classes": None, "numbers": ["a", "b", "c", "d"]}, "is no task with classes"),
        ({"head": {**BLSTM, "hidden": 9_000_000}}, "far more memory"),
        ({"head": {**BLSTM, "n_classes": 5}}, r"\[5\].*in model.safetensors"),
    ],
)  # fmt: skip
def test_hostile_tasks(good, tmp_path, change, says):
    tasks = json.loads((good / "model.json").read_text())["tasks"]
    refused(changed(good, tmp_path / "m", tasks={**tasks, "emotion": {**tasks["emotion"], **change}}), says)


def test_a_task_called_as_torch_calls_something(good, tmp_path):
    tasks = json.loads((good / "model.json").read_text())["tasks"]
    folder = changed(good, tmp_path / "m", tasks={**tasks, "keys": tasks["augmentation"]})
    refused(folder, "cannot be put together")


@pytest.mark.parametrize("name", ["hyperparams.yaml", "model.ckpt"])
def test_pipes_beside_the_model_are_not_waited_for(good, tmp_path, name):
    folder = changed(good, tmp_path / "m")
    os.mkfifo(folder / name)
    refused(folder, name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "not plain JSON"),
        ('{"a": 1, "a": 2}', "a key stands twice"),
        ('{"a": NaN}', "no JSON number"),
        ('{"a": ' + "9" * 5000 + "}", "not plain JSON"),
        ("[]", "must be a mapping"),
        ("null", "must be a mapping"),
        ('{"a": ' + "[" * 20 + "]" * 20 + "}", "nested more than"),
        ('{"a": "' + "x" * 1_100_000 + '"}', "characters"),
        ("x" * 5_000_000, "at such length"),
    ],
)  # fmt: skip
def test_texts_that_are_no_description(good, tmp_path, text, says):
    folder = changed(good, tmp_path / "m")
    (folder / "model.json").write_text(text)
    refused(folder, says)


def test_bytes_that_are_no_text(good, tmp_path):
    folder = changed(good, tmp_path / "m")
    (folder / "model.json").write_bytes(b"\xff\xfe\x00")
    refused(folder, "not text in UTF-8")


def test_a_layer_of_100_gb_is_refused_before_memory_is_taken(good, tmp_path):
    tasks = json.loads((good / "model.json").read_text())["tasks"]
    head = {"plugin": "head/attentive", "input_size": 158_114, "n_classes": 4, "dense": 158_114}  # 100 GB of float32
    folder = changed(good, tmp_path / "m", tasks={**tasks, "emotion": {**tasks["emotion"], "head": head}})
    before, start = _resident_bytes(), time.perf_counter()
    tracemalloc.start()
    refused(folder, r"far more memory.*100\.0 GB")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.perf_counter() - start < 5
    assert peak < 50e6
    assert _resident_bytes() - before < 300e6


def _resident_bytes():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_weights_of_100_gb_are_refused_by_their_size(good, tmp_path):
    folder = changed(good, tmp_path / "m")
    with open(folder / "model.safetensors", "r+b") as file:
        file.truncate(100_000_000_000)  # sparse: takes no room
    refused(folder, r"100.0 GB; more than 4.0 GB needs max_bytes=")


@pytest.mark.parametrize("what", ["missing", "more", "shape", "dtype", "nan", "cut"])
def test_weights_that_are_not_the_models(good, tmp_path, what):
    folder = changed(good, tmp_path / "m")
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    name = "normalization.mean"
    says = {
        "missing": f"lacks '{name}'",
        "more": "has 'extra'",
        "shape": rf"'{name}' is \[20\]",
        "dtype": f"'{name}'.*float16",
        "nan": f"'{name}' has values that are not finite",
        "cut": "not a safetensors file",
    }[what]
    if what == "missing":
        del tensors[name]
    elif what == "more":
        tensors["extra"] = torch.zeros(1)
    elif what == "shape":
        tensors[name] = torch.zeros(19)
    elif what == "dtype":
        tensors[name] = tensors[name].half()
    elif what == "nan":
        tensors[name][0] = torch.nan
    safetensors.torch.save_file(tensors, path)
    if what == "cut":
        path.write_bytes(path.read_bytes()[:-100])
    refused(folder, says)


def test_a_class_that_takes_any_argument_gets_only_named_ones(good, tmp_path):
    made = []
    try:

        @register("encoder", "greedy")
        class Greedy(torch.nn.Module):
            def __init__(self, input_size, **more):
                super().__init__()
                made.append(more)

        folder = changed(good, tmp_path / "m", encoder={"plugin": "encoder/greedy", "input_size": 20, "command": "id"})
        refused(folder, "encoder/greedy has no argument 'command'")
        assert not made
    finally:
        _plugins.pop(("encoder", "greedy"), None)


def test_a_users_plugin_is_loaded_only_when_named(tmp_path):
    """The file beside the model is not read; named by the caller, it is, and the model works."""
    plugin = tmp_path / "my_head.py"
    plugin.write_text(
        "from torch import nn\nfrom mtlaug_sb import register\n\n"
        "@register('head', 'mine')\nclass Mine(nn.Module):\n"
        "    def __init__(self, input_size, n_classes):\n        super().__init__()\n"
        "        self.output = nn.Linear(input_size, n_classes)\n\n"
        "    def forward(self, frames, lengths):\n        return {'logits': self.output(frames[:, 0])}\n"
    )
    from mtlaug_sb import load_plugins

    loaded = set(sys.modules)
    load_plugins(plugin)
    folder = write_small_model(tmp_path / "m", head="head/mine", plugins={"head/mine": "my_head.py"})
    (folder / "my_head.py").write_text("raise SystemExit('ran')")
    _plugins.pop(("head", "mine"))
    for name in set(sys.modules) - loaded:
        sys.modules.pop(name)
    try:
        refused(folder, r"needs the plugin 'head/mine'.*file 'my_head.py'.*plugins=\[")
        assert load(folder, plugins=[plugin]).classify_batch(torch.rand(1, 16000)).scores.shape == (1, 4)
    finally:
        _plugins.pop(("head", "mine"), None)
        for name in set(sys.modules) - loaded:
            sys.modules.pop(name)


@pytest.mark.parametrize("source", ["https://evil.example/model", "file:///tmp/x"])
def test_addresses_are_no_sources(source):
    with pytest.raises(ModelError, match="not an address"):
        load(source)


def test_no_folder():
    with pytest.raises(FileNotFoundError, match="no model folder"):
        load("/nowhere/at/all")


def test_what_could_not_be_loaded_is_not_written(good, tmp_path):
    description, network = read_model(good)
    description["tasks"]["emotion"]["classes"][0] = "<b>"
    with pytest.raises(ModelError, match="is no name"):
        write_model(tmp_path / "m", description, network)
    assert not (tmp_path / "m").exists()


def test_the_limit_counts_all_that_is_allocated():
    def allocate(times):
        for _ in range(times):
            torch.zeros(100_000)

    with AllocationLimit(10**6):
        allocate(2)
    with pytest.raises(AllocationError, match=r"400.0 kB is asked for, and 200.0 kB are left"), AllocationLimit(10**6):
        allocate(3)
    with pytest.raises(AllocationError, match="too many operations"), AllocationLimit(10**9, operations=5):
        allocate(6)
