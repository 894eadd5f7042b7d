"""The sheet of augmentations: what it says was done is what was done, and what is masked is heard as masked."""

import html
import os
import re
import shutil

import pytest
import soundfile
import torch
from conftest import ROOT
from small_model import write_voices

from mtlaug_sb import make
from mtlaug_sb.evaluation.augmentation_sheet import augment
from mtlaug_sb.resynthesis import resynthesise

pytest.importorskip("jinja2", reason="jinja2 (extra [report]) is not installed")


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    return write_voices(tmp_path_factory.mktemp("voices"), n=2)


@pytest.fixture(scope="module")
def sheet(voices, tmp_path_factory):
    """The folder that the recipe writes, and what it made."""
    import show_augmentations

    folder = tmp_path_factory.mktemp("sheet")
    before = os.getcwd()
    os.chdir(ROOT)
    try:
        made = show_augmentations.main([str(voices[0]), "-o", str(folder), "--seed=1"])
    finally:
        os.chdir(before)
    return folder, made


def test_a_front_end_that_trims_and_has_deltas(voices, tmp_path, monkeypatch):
    import show_augmentations

    monkeypatch.chdir(ROOT)
    near = shutil.copy(voices[0], tmp_path / "a.wav")
    (tmp_path / "b.wav").write_bytes(b"broken")
    call = [str(near), "-o", str(tmp_path / "out"), "--hparams=hparams/mtl_aug_robust.yaml", "--modules.features.deltas=1"]
    made = show_augmentations.main(call)
    assert {e.features.shape[1] for e in made.values()} == {64}
    assert len(made["specaugment"].wav) == len(made["none"].wav)


def test_a_page_a_picture_and_sound(sheet):
    folder, made = sheet
    assert list(made) == ["none", "speed", "specaugment", "mixup"]
    assert sorted(p.name for p in folder.iterdir()) == [
        "mixup.wav", "none.wav", "sheet.html", "sheet.png", "specaugment.wav", "speed.wav",
    ]  # fmt: skip
    text = html.unescape((folder / "sheet.html").read_text())
    assert text.count("<audio") == 4
    assert not re.search(r"""(src|href)=["'](?!data:|\#)""", text)
    for example in made.values():
        assert example.done in text
    percent = int(re.match(r"(\d+)% of the speed", made["speed"].done)[1])
    assert percent in (80, 85, 90, 95, 105, 110, 115, 120)
    assert len(made["none"].wav) / len(made["speed"].wav) == pytest.approx(percent / 100, rel=1e-3)
    assert soundfile.info(folder / "speed.wav").frames == len(made["speed"].wav)


def test_the_share_of_a_mixture(sheet):
    own, other = map(float, re.findall(r"([\d.]+)%", sheet[1]["mixup"].done))
    assert own + other == pytest.approx(100, abs=0.2)
    assert own >= 50


@pytest.fixture
def wav(voices):
    return torch.from_numpy(soundfile.read(voices[0], dtype="float32")[0])


def test_nothing_changed_is_nothing_heard(wav):
    front_end = make("features/log_mel", n_mels=80, n_fft=1024, high_hz=4000.0)
    features, _ = front_end(wav.unsqueeze(0), torch.ones(1))
    assert torch.allclose(resynthesise(wav, features[0], front_end), wav, atol=1e-4)
    with pytest.raises(ValueError, match="the goal has"):
        resynthesise(wav, features[0, 1:], front_end)


def test_what_is_heard_has_the_features_that_were_wanted(wav):
    front_end = make("features/log_mel", n_mels=40, n_fft=512)
    features, _ = front_end(wav.unsqueeze(0), torch.ones(1))
    goal = features[0].clone()
    loud = goal > goal.mean()  # where there is something to take away from
    goal[:, 10:20] -= 3.0
    heard, _ = front_end(resynthesise(wav, goal, front_end).unsqueeze(0), torch.ones(1))
    inside = torch.zeros_like(loud)
    inside[:, 12:18] = True
    missed = (heard[0] - goal)[loud & inside].abs()
    assert missed.median() < 0.3
    assert (heard[0] - features[0])[loud & inside].median() == pytest.approx(-3.0, abs=0.3)


def test_masks_are_told_where_they_are(wav):
    class Mask(torch.nn.Module):
        domain = "features"

        def forward(self, inputs, lengths, targets, generator):
            inputs[:, 10:20] = -9.0
            inputs[:, :, 5:8] = -9.0
            return inputs, lengths, targets

    front_end = make("features/log_mel")
    example = augment(Mask(), front_end, wav, wav.flip(0), torch.Generator(), 16000)
    assert re.search(r"time 0\.10-0\.20 s; mel bands 5-7$", example.done)
    assert example.resynthesised
    with pytest.raises(ValueError, match="Waveform cannot be heard"):
        augment(Mask(), make("features/waveform"), wav, wav, torch.Generator(), 16000)


def test_noise_is_told_in_decibels(wav):
    class Hiss(torch.nn.Module):
        domain = "waveform"

        def forward(self, inputs, lengths, targets, generator):
            noise = torch.randn(inputs.shape, generator=generator)
            return inputs + noise * (wav.square().mean() / 10).sqrt(), lengths, targets

    done = augment(Hiss(), make("features/log_mel"), wav, wav, torch.Generator(), 16000).done
    assert float(re.search(r"is (.*) dB", done)[1]) == pytest.approx(-10, abs=0.5)


def test_in_a_browser(sheet, tmp_path, chromium):
    outside, errors = [], []
    view = chromium.new_page(viewport={"width": 1200, "height": 900})
    view.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else outside.append(r.url))
    view.on("pageerror", lambda e: errors.append(str(e)))
    view.goto(f"file://{sheet[0]}/sheet.html")
    view.wait_for_function("Array.from(document.querySelectorAll('audio')).every(a => a.readyState > 0)", timeout=60_000)
    durations = view.evaluate("Array.from(document.querySelectorAll('audio'), a => a.duration)")
    view.screenshot(path=os.environ.get("MTLAUG_SCREENSHOT", str(tmp_path / "page.png")), full_page=True)
    assert not outside
    assert not errors
    assert durations == pytest.approx([len(e.wav) / 16000 for e in sheet[1].values()], abs=0.01)
