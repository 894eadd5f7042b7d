"""What the tests share: a tiny synthetic corpus, real data where it is, and recipes run as a user runs them."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from mtlaug_sb.corpora.synthetic import Synthetic
from mtlaug_sb.features.onnx import Onnx
from mtlaug_sb.registry import KINDS, _plugins, plugins
from mtlaug_sb.testing import CHECKS

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "recipes"))

# a training that takes seconds: 4 speakers x 4 emotions x 2 utterances
TINY = [
    "--corpus_options={n_speakers: 4, n_utterances: 2}",
    "--n_valid_speakers=1",
    "--batches={batch_size: 8}",
    "--number_of_epochs=2",
    "--noprogressbar",
    "--tensorboard=False",
    "--device=cpu",
]


def pytest_collection_modifyitems(items):
    """Tests on real speech are skipped where there is none."""
    for item in items:
        if item.get_closest_marker("real_data") and not os.environ.get("MTLAUG_DATA"):
            item.add_marker(pytest.mark.skip(reason="MTLAUG_DATA does not name a folder of real speech"))


@pytest.fixture(autouse=True)
def _one_thread():
    # a run is the same to the bit with the same number of threads only; a grid may have set another
    torch.set_num_threads(1)


@pytest.fixture
def registry(monkeypatch):
    """What a test registers, or loads from files, is gone afterwards; every kind that has checks is there."""
    before, modules = plugins(), set(sys.modules)  # the built-in ones are among them
    for kind in CHECKS.keys() - KINDS.keys():
        monkeypatch.setitem(KINDS, kind, "augment")
    yield
    _plugins.clear()
    _plugins.update(before)
    for name in set(sys.modules) - modules:
        if name.startswith("mtlaug_sb_plugin_"):
            del sys.modules[name]


@pytest.fixture
def chromium():
    """A headless browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def spectra(monkeypatch):
    """Spectra in place of openSMILE's functionals, in recipes/svm_baseline.py; returns the class."""
    import svm_baseline

    class Spectra:
        def __init__(self, feature_set, folder):
            pass

        def __call__(self, recording, wav, sample_rate):
            return self.compute(wav().numpy(), sample_rate)

        def compute(self, samples, sample_rate):
            return np.log(1e-6 + np.abs(np.fft.rfft(samples, 512))[:64])

    monkeypatch.setattr(svm_baseline, "Functionals", Spectra)
    return Spectra


@pytest.fixture(scope="session")
def real_data():
    """The folder of real speech."""
    return pathlib.Path(os.environ["MTLAUG_DATA"])


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory):
    """The folder of a tiny synthetic corpus."""
    folder = tmp_path_factory.mktemp("synthetic")
    list(Synthetic(n_speakers=4, n_utterances=2).read(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_speech_model(tmp_path_factory):
    """Saves a small model of Hugging Face with random weights: tiny_speech_model("WavLM", ...config) -> its folder."""

    def build(kind="WavLM", **config):
        import transformers

        sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
        positions = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
        made = getattr(transformers, f"{kind}Config")(**{**sizes, **positions, "conv_dim": [8] * 7, **config})
        torch.manual_seed(0)
        folder = tmp_path_factory.mktemp(kind)
        getattr(transformers, f"{kind}Model")(made).save_pretrained(folder)
        return folder

    return build


@pytest.fixture
def arguments(tiny_corpus, tiny_speech_model, tmp_path):
    """Arguments of a tiny run into a folder: arguments("hparams/stl.yaml", "--key=value", folder=...)."""

    def build(yaml, *more, folder=tmp_path / "run"):
        given = [a.partition("=")[0] for a in more]
        defaults = [f"--data_folder={tiny_corpus}", *TINY]
        text = (ROOT / yaml).read_text()
        if "\nencoder_source:" in text:
            defaults.append(f"--encoder_source={tiny_speech_model()}")
        if "\nunlabelled_corpus: synthetic_unlabelled" in text:
            defaults += [
                f"--unlabelled_folder={tmp_path / 'unlabelled'}",
                "--unlabelled_options={n_speakers: 2, n_utterances: 1}",
            ]
        if "\nmaps:" in text:  # the sizes of the paper take a minute
            defaults += ["--maps=[4, 8]", "--linear=16"]
        if "\nfront_end:" in text or "\nbase: mtl_aug_pretrained.yaml" in text:
            defaults += [f"--front_end={Onnx.example()['path']}", "--front_end_layers=[0, 1]"]
        defaults = [a for a in defaults if a.partition("=")[0] not in given]
        return [str(ROOT / yaml), *defaults, f"--output_folder={folder}", *more]

    return build


@pytest.fixture
def train(arguments):
    """Run recipes/train.py in this process: train("hparams/stl.yaml", "--key=value", folder=...) -> results."""
    import train

    before = os.getcwd()
    os.chdir(ROOT)
    yield lambda yaml, *more, **options: train.main(arguments(yaml, *more, **options))
    os.chdir(before)


@pytest.fixture
def script(arguments):
    """Run a recipe as a process of its own: script("hparams/stl.yaml", ..., launcher=[...]) -> finished process."""

    def run(yaml, *more, recipe="recipes/train.py", launcher=(sys.executable,), timeout=300, **options):
        command = [*launcher, str(recipe), *arguments(yaml, *more, **options)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout)

    return run
