"""Noise: DEMAND on a generated tree, and any folder of it."""

import pytest
from trees import lay_out

from mtlaug_sb.corpora.demand import DEMAND, ENVIRONMENTS
from mtlaug_sb.corpora.folder import Folder


def read(folder):
    return {u.labels["environment"]: u for u in DEMAND().read(str(folder))}


def test_first_channel_of_each_environment_whatever_the_folder_is_called(tmp_path, caplog):
    channels = [
        f"{folder}/ch{k:02}.wav" for folder in ("DKITCHEN", "TCAR_16k", "x/SCAFE_48k/SCAFE_48k") for k in range(1, 17)
    ]
    lay_out(tmp_path, [*channels, "TCAR_48k/ch01.wav", "TCAR_16k/._ch01.wav", "TCAR_16k/ch01.txt", "NPARK/ch02.wav"])
    found = read(tmp_path)
    assert {e: u.path.removeprefix(f"{tmp_path}/") for e, u in found.items()} == {
        "DKITCHEN": "DKITCHEN/ch01.wav",
        "SCAFE": "x/SCAFE_48k/SCAFE_48k/ch01.wav",
        "TCAR": "TCAR_16k/ch01.wav",
    }
    assert {u.speaker for u in found.values()} == {None}
    assert "3 of 18 recordings" in caplog.text


def test_all_environments_are_as_published(tmp_path, caplog):
    lay_out(tmp_path, [f"{e}_16k/ch01.wav" for e in ENVIRONMENTS if e != "SCAFE"] + ["SCAFE_48k/ch01.wav"])
    assert sorted(read(tmp_path)) == sorted(ENVIRONMENTS)
    assert caplog.text == ""


@pytest.mark.real_data
def test_real_noise(real_data):
    found = list(Folder(label_from_folder="environment").read(real_data / "noise"))
    assert len(found) == 39
    assert {u.labels["environment"] for u in found} == {
        "crackling_fire", "doing_the_dishes", "helicopter", "kitchen", "rain", "running_tap",
    }  # fmt: skip
