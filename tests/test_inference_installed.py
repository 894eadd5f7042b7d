"""The built wheel, without the repository."""

import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from small_model import write_small_model, write_voices


def test_the_wheel_gives_recognizer_and_plugins(tmp_path):
    pytest.importorskip("setuptools", minversion="77", reason="building a wheel needs setuptools 77")
    source = tmp_path / "source"  # a copy: building leaves files behind
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "mtlaug_sb", source / "mtlaug_sb", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels, installed = tmp_path / "wheels", tmp_path / "installed"
    _run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", wheels, source], tmp_path)
    (wheel,) = wheels.glob("*.whl")
    _run([*pip, "install", "--no-deps", "--no-index", "--target", installed, wheel], tmp_path)
    folder, (voice,) = write_small_model(tmp_path / "m"), write_voices(tmp_path / "v", n=1)
    code = (
        "import mtlaug_sb\nfrom mtlaug_sb.inference import EmotionRecognizer\n"
        f"assert mtlaug_sb.__file__.startswith({str(installed)!r}), mtlaug_sb.__file__\n"
        "names = {'/'.join(p) for p in mtlaug_sb.plugins()}\n"
        "wanted = {'features/log_mel', 'encoder/cnn', 'head/blstm_attention', 'head/attentive', 'augmentation/speed'}\n"
        "assert wanted <= names, names\n"
        f"model = EmotionRecognizer.from_hparams(source={str(folder)!r}, run_opts={{'device': 'cpu'}})\n"
        f"print(model.classify_file({str(voice)!r}).labels)\n"
    )
    assert _run([sys.executable, "-c", code], tmp_path, PYTHONPATH=str(installed)).startswith("['")


def _run(command, folder, **environment):
    environment = {**os.environ, "PYTHONPATH": "", "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run([str(c) for c in command], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
