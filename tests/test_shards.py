"""Unlabelled speech as WebDataset shards: streamed by several readers, begun anywhere, refused where it leaks."""

import json
import sys

import numpy as np
import pytest
import soundfile
import torch

from mtlaug_sb.dataio.audio import AudioError, AudioReader
from mtlaug_sb.dataio.corpus_manifest import build_manifest
from mtlaug_sb.dataio.datasets import UtteranceDataset, loader_options
from mtlaug_sb.dataio.records import Records
from mtlaug_sb.dataio.sampler import MixedBatchSampler
from mtlaug_sb.dataio.shards import Shards, stream_beside
from mtlaug_sb.dataio.splits import SpeakerLeak
from mtlaug_sb.registry import make
from mtlaug_sb.targets.categories import Categories

webdataset = pytest.importorskip("webdataset", reason="webdataset is not installed (extra [shards])")
N = 30


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """A folder of noises of ten speakers: 16-bit, one of another rate, one that is no audio."""
    folder = tmp_path_factory.mktemp("speech")
    lines = ["id,path,speaker,emotion,text"]
    for i in range(N):
        wav = np.random.default_rng(i).uniform(-0.5, 0.5, 1600 + 10 * i)
        soundfile.write(folder / f"{i}.v2.wav", wav, 8000 if i == 7 else 16000, "PCM_16")
        lines.append(f"u.{i},{i}.v2.wav,s{i % 10},anger,ä {i}")
    (folder / "bad.wav").write_bytes(b"no audio")
    (folder / "table.csv").write_text("\n".join([*lines, "bad,bad.wav,s1,anger,"]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def folder(speech, tmp_path_factory):
    """Its shards, written in two parts."""
    import write_shards

    out = tmp_path_factory.mktemp("shards")
    for part in ("1/2", "2/2"):
        write_shards.main(["folder", str(speech / "table.csv"), str(out), "--shard_mb=0.012", f"--part={part}"])
    return out


def shards_of(folder, **options):
    return Shards(folder, {"emotion": Categories("emotion", ["anger"])}, 16000, "emotion", **options)


def ids(shards, reader=0, n_readers=1, start=0, n=N):
    return [shards[p, reader, n_readers]["id"] for p in range(start, start + n)]


def test_samples_and_records_are_those_of_the_corpus(speech, folder, capsys):
    shards = shards_of(folder)
    assert len(shards) == N
    assert len(shards.shards) > 4
    plain = build_manifest(make("corpus/folder"), speech / "table.csv", AudioReader(), skip_bad_audio=True)
    found = {}
    for p in range(N):
        example = shards[p, 0, 1]
        assert example["emotion"].isnan().all()  # whatever it knows of the classes
        found[example["id"]] = example["wav"]
    for utterance, record in plain.items():
        wav = AudioReader()(record["path"])
        exact = utterance != "u.7"  # resampled, and so rounded
        assert torch.allclose(found[f"unlabelled/{utterance}"], wav, atol=0 if exact else 2e-5)
    (record, *_) = shards.records()
    assert record["text"].startswith("ä")
    assert "emotion" not in record
    assert {k: v for k, v in record.items() if k not in ("id", "path")}.items() <= plain[record["id"]].items()


def test_every_utterance_once_a_lap_in_another_order(folder):
    shards = shards_of(folder, mixed=2)
    laps = [ids(shards, start=lap * N) for lap in range(3)]
    assert all(len(set(lap)) == N for lap in laps)
    assert laps[0] != laps[1] != laps[2]
    assert ids(shards_of(folder, mixed=2, seed=1)) != laps[0]
    assert ids(shards_of(folder, mixed=2)) == laps[0]
    assert len({shards._find(lap * N, 0, 1)[0] for lap in range(6)}) > 1  # the shards, too, are dealt anew
    # shards are mixed with one another
    reader = shards_of(folder, mixed=2)
    first = set(reader._find(0, 0, 1)[0])
    sizes = [shard["utterances"] for shard in reader.shards]
    assert len(first) == 2
    assert set(laps[0][: sum(sizes[k] for k in first)]) >= {
        f"unlabelled/{json.loads(r)['id']}" for k in first for r, _ in reader._read(k)
    }


def test_readers_share_a_lap_and_a_stream_begins_anywhere(folder):
    shards = shards_of(folder, mixed=2)
    seen = []
    for reader in range(3):
        mine = np.random.default_rng([0, 0]).permutation(len(shards.shards))[reader::3]
        seen += ids(shards_of(folder, mixed=2), reader, 3, n=int(shards.sizes[mine].sum()))
        later = ids(shards_of(folder, mixed=2), reader, 3, n=50)
        assert [shards_of(folder, mixed=2)[p, reader, 3]["id"] for p in (49, 17, 0)] == [later[49], later[17], later[0]]
    assert sorted(seen) == sorted(ids(shards))


def test_no_more_than_some_shards_are_in_memory(folder):
    shards = shards_of(folder, mixed=2)
    read, kept = shards._read, []
    shards._read = lambda k: kept.append(k) or read(k)
    ids(shards, n=2 * N)
    assert len(kept) == 2 * len(shards.shards)  # each once a lap
    assert len(shards._group[1]) <= 2 * shards.sizes.max()


def test_batches_name_places_in_turn():
    def epoch(number, rank, readers):
        sampler = MixedBatchSampler([1.0] * 10, unlabelled=100, batch_size=4, unlabelled_ratio=0.5, readers=readers)
        sampler.shard(rank, 2)
        sampler.set_epoch(number)
        return [[i for i in batch if isinstance(i, tuple)] for batch in sampler]

    places = [p for n in range(4) for rank in (0, 1) for batch in epoch(n, rank, 1) for p in batch]
    assert len(set(places)) == len(places)
    assert {p[1:] for p in places} == {(0, 2), (1, 2)}
    assert [{p[1] for p in batch} for batch in epoch(1, 1, 2)] == [{2}, {3}]  # batch i is loaded by worker i of two
    assert epoch(2, 0, 1)[0] == [(8, 0, 2), (9, 0, 2)]


def test_held_out_speakers_and_recordings_are_refused(speech, folder, tmp_path):
    records = build_manifest(make("corpus/folder"), speech / "table.csv", AudioReader(), skip_bad_audio=True)
    nothing = records.where("speaker", lambda s: False)
    with pytest.raises(SpeakerLeak, match=r"speaker \('folder', 's1'\) is in the test split and in the shards"):
        shards_of(folder).check_splits({"valid": nothing, "test": records.where("speaker", lambda s: s == "s1")})
    copy = type(records).of({"c": records["u.3"] | {"corpus": "another"}})
    with pytest.raises(SpeakerLeak, match=rf"recording {copy['c']['recording']} is in the valid split"):
        shards_of(folder).check_splits({"valid": copy, "test": nothing})
    fine = type(records).of({"c": records["u.3"] | {"corpus": "another", "recording": "00" * 8}})
    shards_of(folder).check_splits({"valid": nothing, "test": fine})


def test_what_is_wrong_is_said(folder, tmp_path):
    with pytest.raises(ValueError, match="has 16000 Hz, and the experiment has 8000 Hz"):
        Shards(folder, {}, 8000)
    with pytest.raises(FileNotFoundError, match=r"write_shards\.py writes it last"):
        Shards(tmp_path, {}, 16000)
    with pytest.raises(ValueError, match=r"shards, too few for 64 readers \(4 processes with 16 each\)"):
        shards_of(folder, workers=16).check_readers(4)
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    cut = tmp_path / Shards(folder, {}, 16000).shards[0]["file"]
    cut.write_bytes(cut.read_bytes()[:5000])
    with pytest.raises(AudioError, match=rf"{cut.name}: "):
        shards_of(tmp_path).records()
    cut.unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of .* shards are not there"):
        shards_of(tmp_path)
    (tmp_path / "index_00002.json").unlink()
    with pytest.raises(FileNotFoundError, match="the index of 1 of 2 parts"):
        shards_of(tmp_path)


def test_workers_share_the_stream(folder):
    records = {f"l{i}": {"path": str(i), "duration_s": 1.0} for i in range(9)}
    labelled = UtteranceDataset(records, {}, lambda path: torch.ones(10))
    shards = Shards(folder, {}, 16000, workers=2)
    dataset, options = stream_beside(labelled, shards, [1.0] * 9, {"batch_size": 2})
    loader = torch.utils.data.DataLoader(dataset, **loader_options(**options))
    batches = []
    for epoch in (1, 2):
        options["batch_sampler"].set_epoch(epoch)
        places = list(options["batch_sampler"])
        batches += [batch.id for batch in loader]
        assert batches[-5:] == [[dataset[i]["id"] for i in batch] for batch in places]
    assert sorted(i for batch in batches for i in batch if i[0] == "l") == sorted(2 * [f"l{i}" for i in range(9)])
    assert sum(i[0] == "u" for batch in batches for i in batch) == 18


def test_a_training_streams_and_resumes(train, folder, tmp_path, monkeypatch):
    """Two epochs; killed after the first and called again, the same bits."""
    more = ["--unlabelled_corpus=shards", f"--unlabelled_folder={folder}", "--unlabelled_options={mixed: 2}"]
    from mtlaug_sb.brain import MultiTaskBrain

    seen = []
    step = MultiTaskBrain.fit_batch
    monkeypatch.setattr(MultiTaskBrain, "fit_batch", lambda self, batch: seen.append(batch.id) or step(self, batch))
    train("hparams/mtl_aug.yaml", *more, folder=tmp_path / "whole")
    assert sum(i.startswith("unlabelled/") for batch in seen for i in batch) == 32  # one each of 16 utterances, twice
    whole, seen[:] = list(seen), []

    def killed(self, batch):
        if len(seen) == len(whole) // 2:
            raise KeyboardInterrupt
        return seen.append(batch.id) or step(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(MultiTaskBrain, "fit_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            train("hparams/mtl_aug.yaml", *more, folder=tmp_path / "killed")
    train("hparams/mtl_aug.yaml", *more, folder=tmp_path / "killed")
    assert seen == whole
    for name in ("predictions.csv", "train_log.csv"):
        assert (tmp_path / "killed" / name).read_text() == (tmp_path / "whole" / name).read_text()


def test_command_line(speech, tmp_path, monkeypatch):
    import write_shards

    with pytest.raises(ValueError, match=r"--part must be K/N .* is '3/2'"):
        write_shards.main(["folder", str(speech), str(tmp_path), "--part=3/2"])
    monkeypatch.setattr(sys, "argv", ["x"])
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.wav").write_bytes(b"")
    with pytest.raises(ValueError, match="not one utterance of corpus 'folder' can be used \\(1 tried\\)"):
        write_shards.main(["folder", str(tmp_path / "one"), str(tmp_path / "out")])
    (tmp_path / "out" / "index_00001.json").write_text("{}")
    with pytest.raises(FileExistsError, match="has part 1 already"):
        write_shards.main(["folder", str(speech), str(tmp_path / "out")])


def test_a_copy_of_a_test_recording_is_found_whatever_its_rate(tmp_path):
    import write_shards

    (tmp_path / "there").mkdir()
    wav = np.random.default_rng(0).uniform(-0.5, 0.5, 24000)
    soundfile.write(tmp_path / "there" / "a.wav", wav, 48000, "PCM_24")
    write_shards.main(["folder", str(tmp_path / "there"), str(tmp_path / "shards")])
    test = build_manifest(make("corpus/folder"), tmp_path / "there", AudioReader())
    with pytest.raises(SpeakerLeak, match="is in the test split and in the shards"):
        shards_of(tmp_path / "shards").check_splits({"valid": Records(), "test": test})


def test_of_a_long_utterance_the_beginning_is_heard(folder):
    whole, cut = shards_of(folder)[0, 0, 1], shards_of(folder, longest_s=0.05)[0, 0, 1]
    assert torch.equal(cut["wav"], whole["wav"][:800])
    assert cut["id"] != whole["id"]
