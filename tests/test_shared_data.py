"""What is read and computed once for all cells is, to the bit, what each would have read and computed."""

import numpy as np
import pytest
import soundfile
import torch

from mtlaug_sb.dataio.audio import AudioError, AudioReader
from mtlaug_sb.dataio.shared_data import SharedData, corpus_key, write_shared
from mtlaug_sb.feature_cache import FeatureCache


@pytest.fixture
def files(tmp_path):
    generator = np.random.default_rng(0)
    paths = [str(tmp_path / f"{name}.wav") for name in "abc"]
    for path in paths:
        soundfile.write(path, generator.uniform(-0.5, 0.5, (900, 2)), 8000)
    return paths


def share(folder, files, megabytes=1.0):
    records = {path[-5]: {"path": path, "speaker": None, "valence": 0.1 + 0.2} for path in files}
    write_shared(folder, {"key": records}, AudioReader(16000), megabytes)
    return records, SharedData(folder)


def test_samples_and_manifests_are_the_same(tmp_path, files):
    records, shared = share(tmp_path / "shared", files)
    for path in files:
        assert torch.equal(shared(path), AudioReader(16000)(path))
    assert shared.manifests == {"key": records}
    soundfile.write(files[0], np.zeros(10), 8000)
    assert len(shared(files[0])) == 1800  # the file itself is not read again
    shared(files[0]).zero_()
    assert SharedData(tmp_path / "shared")(files[0]).abs().max() > 0  # what one process writes no other sees


def test_audio_beyond_the_bound_is_read_where_it_lies(tmp_path, files):
    _, shared = share(tmp_path / "shared", files, megabytes=0.008)  # room for one file of 1800 samples
    assert (tmp_path / "shared" / "audio.f32").stat().st_size == 7200
    for path in files:
        assert torch.equal(shared(path), AudioReader(16000)(path))
    _, nothing = share(tmp_path / "none", files, megabytes=0)
    assert torch.equal(nothing(files[0]), AudioReader(16000)(files[0]))
    with pytest.raises(AudioError, match="no such file"):
        shared("nowhere.wav")


def test_a_corpus_read_otherwise_is_another():
    keys = {corpus_key("a", o, f) for o in (None, {"splits": ["x"]}) for f in ("here", "there")}
    assert len(keys) == 4
    assert corpus_key("a", {}, "here") == corpus_key("a", None, "here")


def test_features_of_another_process_are_taken(tmp_path):
    asked = []

    def compute(rows):
        asked.append(list(rows))
        generator = torch.Generator().manual_seed(rows[0])
        return torch.rand(len(rows), 5, 2, generator=generator), torch.full((len(rows),), 0.8), torch.ones(len(rows)).bool()

    keys = [("u1", "original"), ("u2", (1, 3)), None]
    first = FeatureCache(1, tmp_path)(keys, compute)
    assert asked == [[0], [1], [2]]
    again = FeatureCache(1, tmp_path)(keys, compute)
    assert asked[3:] == [[2]]  # chance comes in: never kept
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(p.stat().st_size < 4000 for p in tmp_path.glob("*.pt"))
    assert len(list(tmp_path.iterdir())) == 2
    features, lengths, _ = FeatureCache(0, tmp_path)(keys, compute)
    assert features.shape == (3, 4, 2)  # without the padding that all rows have
    assert lengths.tolist() == [1, 1, 1]
    assert asked[4:] == [[0, 1, 2]]  # a bound of 0 keeps nothing, and takes nothing
