"""Manifests kept by column are, record for record, what dictionaries would be, and take far less room."""

import itertools
import json
import pickle

import numpy as np
import pytest
import soundfile
import torch

from mtlaug_sb.corpora.folder import Folder
from mtlaug_sb.dataio import corpus_manifest
from mtlaug_sb.dataio.audio import AudioError, AudioReader
from mtlaug_sb.dataio.corpus_manifest import build_manifest
from mtlaug_sb.dataio.datasets import UtteranceDataset, collate
from mtlaug_sb.dataio.manifest import read_manifest, write_manifest
from mtlaug_sb.dataio.records import Records
from mtlaug_sb.dataio.sampler import MixedBatchSampler
from mtlaug_sb.dataio.splits import SpeakerLeak, check_splits, split_by_speaker
from mtlaug_sb.targets.categories import Categories


def made(n):
    """Records of every kind of value: shared, all different, missing, numbers that are equal and not the same."""
    odd = [1, 1.0, True, None, [1, 2.5], {"a": "ä"}, 'a"b\n', "", "日本"]
    records = {}
    for i in range(n):
        record = {"path": f"/ü/{i}.wav", "duration_s": 0.1 * (i % 977 + 1), "speaker": f"s{i % 50}" if i % 7 else None}
        record |= {"corpus": "c", "text": f"number {i}"} | ({"odd": odd[i % len(odd)]} if i % 3 else {})
        records[f"u{i}"] = record | ({"late": i} if i > n // 2 else {})
    return records


@pytest.mark.parametrize("n", [0, 1, 30, 250])
def test_the_same_as_dictionaries_in_memory_and_on_disk(tmp_path, monkeypatch, n):
    monkeypatch.setattr("mtlaug_sb.dataio.records.CHUNK", 100)
    monkeypatch.setattr("mtlaug_sb.dataio.manifest.CHUNK", 100)
    monkeypatch.setattr("mtlaug_sb.dataio.columns._FEW", 20)
    plain = made(n)
    records = Records.of(plain)
    assert (len(records), list(records), list(records.values())) == (n, list(plain), list(plain.values()))
    assert json.dumps(dict(records), sort_keys=True) == json.dumps(plain, sort_keys=True)
    assert records == plain
    assert pickle.loads(pickle.dumps(records)) == records
    write_manifest(records, tmp_path / "m.json")
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8")) == plain
    assert read_manifest(tmp_path / "m.json") == records
    (tmp_path / "indented.json").write_text(json.dumps(plain, indent=1))
    assert read_manifest(tmp_path / "indented.json") == records
    chosen = records.where("speaker", lambda s: s is None).renamed("x/").without("text")
    wanted = {f"x/{k}": {a: b for a, b in r.items() if a != "text"} for k, r in plain.items() if r["speaker"] is None}
    assert dict(chosen) == wanted
    write_manifest(chosen, tmp_path / "m.json")
    assert read_manifest(tmp_path / "m.json") == wanted
    assert Records.joined(records, chosen) == plain | wanted
    shortest = sorted(plain, key=lambda k: plain[k]["duration_s"])
    assert list(records.sorted_by_duration()) == shortest
    assert records.latest("speaker", "odd") == {r["speaker"]: r.get("odd") for r in plain.values()}


def test_texts_of_rows_in_any_order_near_and_far():
    plain = {
        f"u{i}": {"path": f"{i}.wav", "text": f"{chr(233 if i == 7 else 101)}{i}"} for i in range(6000)
    }  # one is no ASCII
    records = Records.of(plain)
    for places in ([], [4321], range(100, 200), range(199, 100, -1), [7, 8], [5999, 3, 3000]):
        chosen = records.select(np.array(places, dtype=np.int64))
        lines = itertools.chain.from_iterable(chosen.json_lines())
        assert [json.loads(f"{{{line}}}") for line in lines] == [{f"u{i}": plain[f"u{i}"]} for i in places]


def test_records_differ_where_they_do():
    plain = made(30)
    for key, value in {"text": "another", "duration_s": 9.0, "odd": 1}.items():
        assert Records.of(plain) != plain | {"u4": plain["u4"] | {key: value}}
    assert Records.of(plain) != {k: r for k, r in plain.items() if k != "u4"}
    assert Records.of({"u": {"duration_s": 1.0, "a": 1}})["u"]["a"] is not True


def test_a_record_takes_few_bytes():
    plain = {
        f"u{i:06}": {"path": f"/data/s{i % 50}/u{i:06}.wav", "duration_s": 1.0 + i, "speaker": f"s{i % 50}"}
        for i in range(9000)
    }
    columns = Records.of(plain)._columns
    assert sum(c.n_bytes for c in columns.values() if hasattr(c, "n_bytes")) < 60 * len(plain)


def test_a_manifest_that_was_cut_off_is_refused(tmp_path):
    write_manifest(made(30), tmp_path / "m.json")
    lines = (tmp_path / "m.json").read_text().splitlines(keepends=True)
    for end in (-1, -2):
        (tmp_path / "m.json").write_text("".join(lines[:end]))
        with pytest.raises(ValueError, match="not JSON"):
            read_manifest(tmp_path / "m.json")


def test_splits_of_tables_are_those_of_dictionaries():
    plain = {k: r | {"gender": "fm"[int(k[1:]) % 2], "emotion": "anger"} for k, r in made(500).items()}
    for seed in range(3):
        splits, same = (split_by_speaker(r, ["s3"], 4, seed) for r in (plain, Records.of(plain)))
        assert type(splits["train"]) is dict
        assert splits == same
        assert {r["speaker"] for r in splits["test"].values()} == {"s3"}
    check_splits(same, "emotion", ["anger"])
    check_splits(same | {"valid": Records()}, "emotion", ["anger"])
    for copied in itertools.islice(same["test"].values(), 5):
        more = {f"new {i}": copied | {"speaker": None, "path": f"{i}.wav"} for i in range(20)}
        more["copy"] = copied | {"speaker": None}
        with pytest.raises(SpeakerLeak, match=rf"recording {copied['path']}"):
            check_splits(same | {"unlabelled": Records.of(more)}, "emotion", ["anger"])


# ---------------------------------------------------------------------- very large corpora


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A CSV of ten files with durations, which counts as very large; the last file is no audio."""
    monkeypatch.setattr(corpus_manifest, "MANY", 5)
    lines = ["id,path,speaker,duration_s,emotion"]
    for i in range(10):
        soundfile.write(tmp_path / f"{i}.wav", np.random.default_rng(i).normal(size=1600 * (i + 1)) * 0.1, 16000)
        lines.append(f"u{i},{i}.wav,s{i},{0.1 * (i + 1):.1f},anger")
    (tmp_path / "9.wav").write_bytes(b"no audio")

    def write(change=lambda lines: lines):
        (tmp_path / "table.csv").write_text("\n".join(change(lines)))
        return tmp_path / "table.csv"

    return write


def test_files_of_known_duration_are_not_opened(table, monkeypatch, caplog):
    monkeypatch.setattr(corpus_manifest, "SAMPLE", 3)  # the first, one in the middle, the last
    opened = []

    class Reader(AudioReader):
        def __call__(self, path):
            opened.append(path[-5])
            return super().__call__(path)

    with pytest.raises(AudioError, match=r"1 of 3 files of corpus 'folder \(a sample\)'.*9\.wav: not readable"):
        build_manifest(Folder(), table(), Reader())
    assert opened == ["0", "4", "9"]
    with caplog.at_level("INFO"):
        records = build_manifest(Folder(), table(), Reader(), skip_bad_audio=True)
    assert "10 utterances of corpus 'folder' come with their durations, and 3 of them were opened" in caplog.text
    folder = table().parent
    assert records["u3"] == {
        "path": str(folder / "3.wav"), "duration_s": 0.4, "speaker": "s3", "corpus": "folder", "emotion": "anger",
    }  # fmt: skip
    mixed = build_manifest(
        Folder(), table(lambda lines: [*lines[:5], lines[5].replace("0.5", ""), *lines[6:-1]]), AudioReader()
    )
    assert [k for k, r in mixed.items() if "recording" in r] == ["u4"]
    unlabelled = build_manifest(Folder(), table(lambda lines: [*lines[:5], lines[5][:-5], *lines[6:-1]]), AudioReader())
    assert [k for k, r in unlabelled.items() if "emotion" not in r] == ["u4"]
    assert mixed["u4"]["duration_s"] == 0.5


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda lines: [*lines[:1], lines[1].replace("0.1", "100"), *lines[2:-1]],
            "says that .*0.wav lasts 100 s, and it lasts 0.10",
        ),
        (
            lambda lines: [*lines[:3], lines[3].replace("0.3", "3 s"), *lines[4:]],
            "line 4: duration_s must be a number.*'3 s'",
        ),
        (lambda lines: [*lines[:3], lines[3].replace("0.3", "-1"), *lines[4:]], "line 4: duration_s must be a number"),
        (lambda lines: [*lines[:3], lines[3].replace("u2", "u1"), *lines[4:]], "two utterances .* are called 'u1'"),
    ],
)
def test_tables_that_are_wrong(table, change, says):
    with pytest.raises(ValueError, match=says):
        build_manifest(Folder(), table(change), AudioReader())


def test_a_small_table_is_opened_whatever_it_says(table, monkeypatch):
    monkeypatch.setattr(corpus_manifest, "MANY", 10)
    with pytest.raises(AudioError, match=r"1 of 10 files .*9\.wav"):
        build_manifest(Folder(), table(lambda lines: [line.replace("0.4", "77") for line in lines]), AudioReader())


def test_a_file_that_cannot_be_read_in_its_turn_is_named_or_left_out(table, caplog):
    records = build_manifest(Folder(), table(), AudioReader(), skip_bad_audio=True)
    targets = {"emotion": Categories("emotion", ["anger"])}
    with pytest.raises(AudioError, match=r"9\.wav: not readable"):
        UtteranceDataset(records, targets, AudioReader())[9]
    dataset = UtteranceDataset(records, targets, AudioReader(), skip_bad_audio=True)
    batch = collate([dataset[i] for i in (0, 9, 3)])
    assert batch.id == ["u0", "u3"]
    assert batch.emotion.tolist() == [[1.0], [1.0]]
    assert "Left out" in caplog.text
    with pytest.raises(AudioError, match="not one of the 1 files"):
        collate([dataset[9]])


def test_rows_that_come_later_are_there_too():
    plain = made(30)
    records, names = Records(), list(plain)
    for some in (names[:10], names[10:]):
        records.extend(some, [plain[name] for name in some])
        assert (len(records), list(records)) == (len(list(records)), names[: len(records)])
    assert records == plain


def test_parts_are_all_rows_or_drawn_and_different():
    records = Records.of(made(30))
    assert [list(part) for part in records.parts(30, 3)] == [list(records)]
    parts = records.parts(8, 3)
    assert [len(set(part)) for part in parts] == [8, 8, 8]
    assert len({name for part in parts for name in part}) == 24
    assert [list(part) for part in parts] == [list(part) for part in records.parts(8, 3)]
    assert {name for part in records.parts(20, 3) for name in part} == set(records)


def test_parts_have_all_classes_though_these_take_turns():
    records = Records.of({str(i): {"duration_s": 1.0, "emotion": "abcd"[i % 4]} for i in range(800)})
    for part in records.parts(400, 3):
        assert 70 < min(part.counts("emotion").values()) < max(part.counts("emotion").values()) < 130


# ---------------------------------------------------------------------- batches


def all_at_once(sampler):
    """Batches as a list of lists, made one after the other in the order of the permutation, then shuffled."""
    generator = torch.Generator().manual_seed(sampler.seed * 1_000_003 + sampler.epoch)
    batches = []
    for group in torch.randperm(len(sampler.durations), generator=generator).split(sampler.bucket):
        if sampler.bucket > sampler.batch_size:
            group = group[sampler.durations[group].argsort(stable=True)]
        batches += [b.tolist() for b in group.split(sampler.batch_size)]
    full = [int(k * sampler.batch_size * sampler.unlabelled_ratio + 1e-6) for k in range(len(batches))]
    wanted = [after - before for before, after in itertools.pairwise(full)]
    wanted.append(round(len(batches[-1]) * sampler.unlabelled_ratio))
    position, stream = sampler.epoch * sum(wanted), []
    lap = position // max(sampler.unlabelled, 1)
    while len(stream) < sum(wanted) + position % sampler.unlabelled if sampler.unlabelled else False:
        laps = torch.Generator().manual_seed(sampler.seed * 1_000_003 + 500_009 + lap)
        stream += torch.randperm(sampler.unlabelled, generator=laps).tolist()
        lap += 1
    stream = iter(stream[position % max(sampler.unlabelled, 1) :])
    for batch, n in zip(batches, wanted, strict=True):
        batch += [len(sampler.durations) + next(stream) for _ in range(n)]
    order = torch.randperm(len(batches), generator=generator).tolist()
    order = [order[i % len(order)] for i in range(len(sampler) * sampler.world_size)]
    return [batches[k] for k in order[sampler.rank :: sampler.world_size]]


@pytest.mark.parametrize("n", [1, 16, 50, 129])
@pytest.mark.parametrize("unlabelled", [0, 3, 40, 1000])
def test_batches_made_one_by_one_are_those_made_at_once(n, unlabelled):
    durations = torch.rand(n, generator=torch.Generator().manual_seed(0)).tolist()
    for bucket, ratio, world in ((1, 1.0, 1), (3, 0.5, 1), (3, 1.7, 2)):
        sampler = MixedBatchSampler(durations, unlabelled, 8, ratio, bucket, seed=5)
        sampler.shard(world - 1, world)
        for epoch in (0, 1, 4):
            sampler.set_epoch(epoch)
            batches = list(sampler)
            assert batches == all_at_once(sampler)
            assert len(batches) == len(sampler)
