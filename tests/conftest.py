"""What the tests share: a tiny synthetic corpus, real data where it is, and recipes run as a user runs them."""

import os
import pathlib
import subprocess
import sys

import pytest
import torch

from mtlaug_sb.corpora.synthetic import Synthetic

ROOT = pathlib.Path(__file__).parents[1]
# a training that takes seconds: 4 speakers x 4 emotions x 2 utterances, a small network
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


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


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


@pytest.fixture
def train(tiny_corpus):
    """Run recipes/train.py on the tiny corpus: train("hparams/stl.yaml", "--key=value") -> finished process."""

    def run(yaml, *arguments, recipe="train.py", launcher=(sys.executable,), check=True, timeout=240):
        command = [*launcher, ROOT / "recipes" / recipe, yaml, f"--data_folder={tiny_corpus}", *TINY, *arguments]
        process = subprocess.run(
            [str(c) for c in command],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert not check or process.returncode == 0, process.stdout + process.stderr
        return process

    return run
