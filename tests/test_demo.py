"""The page to try a model on: what it shows, and a real browser looking at it."""

import os
import re
import select
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
import torch
from conftest import ROOT
from small_model import write_small_model, write_voices

from mtlaug_sb.inference import AudioError, EmotionRecognizer
from mtlaug_sb.inference.augmentation_effect import apply_augmentation
from mtlaug_sb.inference.demo_page import examine, make_page


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="module")
def model(folder):
    return EmotionRecognizer.from_hparams(folder, run_opts={"device": "cpu"})


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    return write_voices(tmp_path_factory.mktemp("voices"), n=1)[0]


def test_what_the_page_shows(model, voice, tmp_path):
    probabilities, recording, augmentations = examine(model, voice)
    assert list(probabilities.values()) == pytest.approx(model.classify_file(voice).scores[0].tolist(), abs=1e-5)
    assert len(recording.axes) == 4  # waveform, features, attention over them, probabilities
    assert len(augmentations.axes) == 2 * 3  # as it is, speed, mixup
    recording.savefig(tmp_path / "a.png")
    augmentations.savefig(tmp_path / "b.png")


def test_each_augmentation_changes_the_input(model, voice):
    wav = model.load_audio(voice)
    plain = apply_augmentation(model, wav)
    faster = apply_augmentation(model, wav, "speed")
    mixed = apply_augmentation(model, wav, "mixup")
    assert min(abs(len(faster.features) / len(plain.features) - 100 / p) for p in (90, 110)) < 0.02
    assert mixed.features.shape == plain.features.shape
    assert not torch.equal(mixed.features, plain.features)
    for effect in (faster, mixed):
        assert sum(effect.probabilities.values()) == pytest.approx(1)
        assert effect.probabilities != plain.probabilities
    with pytest.raises(ValueError, match="no augmentation 'reverb'; there are speed, mixup"):
        apply_augmentation(model, wav, "reverb")


def test_too_long_is_refused(model, tmp_path):
    soundfile.write(tmp_path / "long.wav", np.random.default_rng(0).normal(size=16000 * 4) * 0.1, 16000)
    with pytest.raises(AudioError, match="longer than 3 s"):
        examine(model, tmp_path / "long.wav", max_seconds=3)


def test_a_page_for_one_speaker(folder, voice, tmp_path, monkeypatch):
    import demo

    voices, served = write_voices(tmp_path / "voices", n=4), []
    monkeypatch.setattr(demo, "serve", lambda *given: served.append(given))
    demo.main([str(folder), "--device=cpu", "--among=anger,sadness", "--speaker", str(tmp_path / "voices")])
    [(served_model, _, _, one_speaker)] = served
    assert one_speaker
    here = EmotionRecognizer.from_hparams(folder, overrides={"among": ["anger", "sadness"]}, run_opts={"device": "cpu"})
    assert not torch.allclose(served_model.classify_file(voice).scores, here.classify_file(voice).scores)
    here.adapt_to_speaker(voices)
    assert torch.equal(served_model.classify_file(voice).scores, here.classify_file(voice).scores)
    assert examine(served_model, voice)[0]["happiness"] == 0
    demo.main([str(folder), "--device=cpu"])
    assert not served[1][3]
    with pytest.raises(FileNotFoundError, match="--speaker: no audio file none"):
        demo.main([str(folder), "--speaker", "none"])


@pytest.mark.parametrize("one_speaker", [False, True])
def test_the_page_says_that_it_is_for_one_speaker(model, one_speaker):
    pytest.importorskip("gradio", reason="gradio (extra 'demo') is not installed")
    texts = str(make_page(model, one_speaker=one_speaker).get_config_file())
    assert ("for nobody else" in texts) == one_speaker


@pytest.fixture
def page(folder):
    """The address of the page, served as a user serves it."""
    pytest.importorskip("gradio", reason="gradio (extra 'demo') is not installed")
    command = [
        sys.executable,
        str(ROOT / "recipes" / "demo.py"),
        str(folder),
        "--port",
        str(_free_port()),
        "--device",
        "cpu",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
    process = subprocess.Popen([*command, "--max_seconds", "5"], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        ready, _, _ = select.select([process.stdout], [], [], 120)
        address = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline() if ready else "")
        assert address, "the page was not served within two minutes"
        yield address[0]
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_in_a_browser(page, voice, model, tmp_path, chromium):
    soundfile.write(tmp_path / "long.wav", np.random.default_rng(0).normal(size=16000 * 6) * 0.1, 16000)
    outside, errors = [], []
    view = chromium.new_page(viewport={"width": 1200, "height": 1700})
    view.on("request", lambda r: None if r.url.startswith((page, "data:", "blob:")) else outside.append(r.url))
    view.on("pageerror", lambda e: errors.append(str(e)))
    view.goto(page, wait_until="domcontentloaded", timeout=60_000)
    view.locator("#speech input[type=file]").set_input_files(str(voice), timeout=60_000)
    best = model.classify_file(voice).labels[0]
    view.locator("#emotion h2", has_text=best).wait_for(timeout=60_000)
    view.locator("#augmentations img").wait_for(timeout=60_000)
    view.locator("#recording img").wait_for(timeout=60_000)
    time.sleep(1)
    shot = os.environ.get("MTLAUG_SCREENSHOT", str(tmp_path / "page.png"))
    view.screenshot(path=shot, full_page=True)
    shown = view.locator("#emotion").inner_text()
    # a second user, who uploads too much
    other = chromium.new_page()
    other.goto(page, wait_until="domcontentloaded", timeout=60_000)
    other.locator("#speech input[type=file]").set_input_files(str(tmp_path / "long.wav"), timeout=60_000)
    other.get_by_text("longer than 5 s").first.wait_for(timeout=60_000)
    assert all(label in shown for label in model.labels)
    assert not outside
    assert not errors


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
