"""From files to batches: audio that is bad, manifests, splits that never leak, batches that come again."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch
from speechbrain.dataio.batch import PaddedBatch

from mtlaug_sb.corpora.folder import Folder
from mtlaug_sb.dataio.audio import AudioError, AudioReader
from mtlaug_sb.dataio.corpus_manifest import build_manifest
from mtlaug_sb.dataio.datasets import UtteranceDataset, collate
from mtlaug_sb.dataio.manifest import read_manifest, write_manifest
from mtlaug_sb.dataio.sampler import MixedBatchSampler
from mtlaug_sb.dataio.splits import (
    SpeakerLeak,
    check_splits,
    find_speaker,
    keep_classes,
    split_by_speaker,
    without_strangers,
)

TONE = 0.1 * np.sin(np.arange(8000) / 5).astype("float32")


def write(path, samples=TONE, rate=16000):
    soundfile.write(path, samples, rate)
    return str(path)


# ---------------------------------------------------------------------- audio


def test_read_as_soundfile_does(tmp_path):
    path = write(tmp_path / "a.flac")
    assert torch.equal(AudioReader()(path), torch.from_numpy(soundfile.read(path, dtype="float32")[0]))


def test_resampled_and_mixed_down_said_once_each(tmp_path, caplog):
    reader = AudioReader(16000)
    for name in "ab":
        wav = reader(write(tmp_path / f"{name}.wav", np.stack([TONE, TONE], axis=1), 8000))
    assert len(wav) == 16000
    assert torch.allclose(wav[200:-200:2], torch.from_numpy(TONE)[100:-100], atol=0.01)
    assert [r.message.split(":")[1] for r in caplog.records] == [
        " such files are mixed down to mono",
        " such files are resampled to 16000 Hz, and have nothing above 4000 Hz",
    ]


def test_mp3_under_another_name_is_said(tmp_path, caplog):
    soundfile.write(tmp_path / "a.mp3", TONE, 16000)
    for name in "bc":
        AudioReader()(str(tmp_path / "a.mp3"))
        (tmp_path / f"{name}.wav").write_bytes((tmp_path / "a.mp3").read_bytes())
    assert caplog.text == ""
    reader = AudioReader()
    for name in "bc":
        reader(str(tmp_path / f"{name}.wav"))
    assert [r.message.partition("b.wav")[2][:10] for r in caplog.records] == [" holds MP3"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p.write_bytes(b""), "empty file"),
        (lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"), "git lfs pull"),
        (lambda p: p.write_bytes(b"this is no audio at all"), "not readable as audio"),
        (lambda p: write(p, TONE[:0]), "no samples"),
        (lambda p: write(p, 0 * TONE), "is silent"),
        (lambda p: soundfile.write(p, np.where(TONE > 0.05, np.nan, TONE), 16000, "FLOAT"), "NaN"),
        (lambda p: None, "no such file"),
    ],
)
def test_bad_audio_is_named_with_its_reason(tmp_path, make, says):
    path = tmp_path / "bad.wav"
    make(path)
    with pytest.raises(AudioError, match=f"bad.wav: .*{says}"):
        AudioReader()(str(path))


def test_opposite_channels_are_silence(tmp_path):
    with pytest.raises(AudioError, match="is silent"):
        AudioReader()(write(tmp_path / "a.wav", np.stack([TONE, -TONE], axis=1)))


def test_cache_stays_within_its_bound(tmp_path):
    reader = AudioReader(cache_mb=0.04)  # room for one file of 8000 samples
    for name in "ab":
        reader(write(tmp_path / f"{name}.wav"))
    assert len(reader._cache) == 1
    assert reader(str(tmp_path / "a.wav")) is reader(str(tmp_path / "a.wav"))


# ---------------------------------------------------------------------- manifests


def test_manifest_of_a_folder_and_back(tmp_path):
    for speaker in ("anna", "ben"):
        (tmp_path / speaker).mkdir()
        write(tmp_path / speaker / "x.wav")
    records = dict(build_manifest(Folder(label_from_folder="speaker"), tmp_path, AudioReader()))
    assert len(records["anna/x"].pop("recording")) == 16
    assert records["anna/x"] == {
        "path": str(tmp_path / "anna" / "x.wav"), "duration_s": 0.5, "speaker": "anna", "corpus": "folder",
    }  # fmt: skip
    write_manifest(records, tmp_path / "m.json")
    assert read_manifest(tmp_path / "m.json") == records


def test_bad_files_are_all_told_or_left_out(tmp_path, caplog):
    write(tmp_path / "good.wav")
    (tmp_path / "bad.wav").write_bytes(b"")
    with pytest.raises(AudioError, match=r"1 of 2 files .*--skip_bad_audio=True.*bad\.wav: empty file"):
        build_manifest(Folder(), tmp_path, AudioReader())
    assert list(build_manifest(Folder(), tmp_path, AudioReader(), skip_bad_audio=True)) == ["good"]
    assert "Left out 1 of 2" in caplog.text
    for i in range(6):
        (tmp_path / f"bad_{i}.wav").touch()
    build_manifest(Folder(), tmp_path, AudioReader(), skip_bad_audio=True)
    assert "Left out 7 of 8" in caplog.text
    assert "bad_3.wav: empty file; and 2 more" in caplog.text


def test_utterances_that_are_no_more_than_the_contract_asks_for(tmp_path):
    write(tmp_path / "x.wav")

    class Corpus:
        plugin = "corpus/own"

        def read(self, data_folder):
            labels = {"id": "7", "emotion": None}
            yield SimpleNamespace(id="u", path=f"{data_folder}/x.wav", speaker=None, labels=labels)

    (record,) = build_manifest(Corpus(), tmp_path, AudioReader()).values()
    assert {key: record[key] for key in record if key != "recording"} == {
        "path": str(tmp_path / "x.wav"), "duration_s": 0.5, "speaker": None, "corpus": "own", "id": "7",
    }  # fmt: skip


def test_empty_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no utterance of corpus 'folder'"):
        build_manifest(Folder(), tmp_path, AudioReader())


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("nonsense", "not JSON"),
        ("[1]", "this is a list"),
        (
            json.dumps({"u1": {"path": "a.wav", "duration_s": "long", "speaker": "a", "corpus": "c"}}),
            "'u1' needs 'duration_s'",
        ),
        (json.dumps({"u1": {"path": "a.wav", "duration_s": 1.0, "corpus": "c"}}), "'u1' needs 'speaker'"),
    ],
)
def test_manifest_is_validated(tmp_path, content, says):
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(ValueError, match=says):
        read_manifest(tmp_path / "m.json")


# ---------------------------------------------------------------------- splits


def records_of(speakers, emotions=("anger", "sadness"), corpus="c"):
    return {
        f"{s}_{e}": {
            "path": f"{corpus}/{s}_{e}.wav", "duration_s": 1.0, "speaker": s, "corpus": corpus, "emotion": e,
            "gender": "female" if int(s) % 2 else "male",
        }
        for s in speakers for e in emotions
    }  # fmt: skip


SPEAKERS = [f"{i:02}" for i in range(1, 9)]


def speakers_of(split):
    return {r["speaker"] for r in split.values()}


def test_splits_never_share_a_speaker_and_lose_nobody():
    records = records_of(SPEAKERS)
    for test in SPEAKERS:
        for seed in range(5):
            splits = split_by_speaker(records, [test], 2, seed)
            parts = [speakers_of(splits[s]) for s in ("train", "valid", "test")]
            assert [len(p) for p in parts] == [5, 2, 1]
            assert set().union(*parts) == set(SPEAKERS)
            assert parts[2] == {test}
            assert {r["gender"] for r in splits["valid"].values()} == {"female", "male"}
            check_splits(splits, "emotion", ["anger", "sadness"])


def test_validation_speakers_follow_the_seed():
    records = records_of(SPEAKERS)
    draws = {tuple(sorted(speakers_of(split_by_speaker(records, ["01"], 2, seed)["valid"]))) for seed in range(20)}
    assert len(draws) > 5
    again = [split_by_speaker(records, ["01"], 2, 3) for _ in range(2)]
    assert again[0] == again[1]


@pytest.mark.parametrize(("into", "where"), [("train", "train"), ("valid", "valid"), ("unlabelled", "unlabelled")])
def test_a_leaked_test_speaker_is_refused(into, where):
    splits = split_by_speaker(records_of(SPEAKERS), ["01"], 2, 0) | {"unlabelled": {}}
    leaked = next(iter(splits["test"].items()))
    splits[into] = {**splits[into], "leak": {**leaked[1], "path": "elsewhere.wav"}}
    with pytest.raises(SpeakerLeak, match=f"'01'.*{where}"):
        check_splits(splits, "emotion", ["anger", "sadness"])


def test_the_same_recording_under_another_name_is_refused(tmp_path):
    for speaker in "abcd":
        (tmp_path / speaker).mkdir()
        write(tmp_path / speaker / "x.wav", TONE * (1 + ord(speaker) / 1000))
    (tmp_path / "elsewhere").mkdir()
    write(tmp_path / "elsewhere" / "copy.wav", TONE * (1 + ord("a") / 1000))
    records = dict(build_manifest(Folder(label_from_folder="speaker"), tmp_path, AudioReader()))
    copy = {"copy": {**records.pop("elsewhere/copy"), "speaker": None}}
    splits = split_by_speaker({k: {**r, "emotion": "anger"} for k, r in records.items()}, ["a"], 1, 0)
    with pytest.raises(SpeakerLeak, match="recording"):
        check_splits({**splits, "unlabelled": copy}, "emotion", ["anger"])


def test_unlabelled_speech_of_training_speakers_is_allowed():
    splits = split_by_speaker(records_of(SPEAKERS), ["01"], 2, 0)
    splits["unlabelled"] = {f"u{k}": r for k, r in splits["train"].items()}
    check_splits(splits, "emotion", ["anger", "sadness"])


def test_what_is_missing_is_said():
    records = records_of(SPEAKERS)
    with pytest.raises(ValueError, match="no speaker '99'; the speakers are 01, 02"):
        split_by_speaker(records, ["99"], 2, 0)
    with pytest.raises(ValueError, match="3 speakers are too few"):
        split_by_speaker(records_of(SPEAKERS[:3]), ["01"], 2, 0)
    with pytest.raises(ValueError, match="no emotion 'joy'; it has anger, sadness"):
        keep_classes(records, "emotion", ["joy"], "c")
    only_tested = {k: r for k, r in records.items() if r["emotion"] == "anger" or r["speaker"] == "01"}
    with pytest.raises(ValueError, match=r"class 'sadness' has no training utterance where 01 is tested.*--folds_file"):
        check_splits(split_by_speaker(only_tested, ["01"], 2, 0), "emotion", ["anger", "sadness"])


def test_what_is_left_out_is_counted_and_a_slip_of_the_pen_is_named(caplog):
    labels = ["anger", "Anger ", "anger", "joy", None, "fear"]
    records = {str(i): {"path": str(i), "speaker": "s", "corpus": "c", "emotion": e} for i, e in enumerate(labels)}
    assert len(keep_classes(records, "emotion", ["anger", "joy"], "c")) == 3
    first, second = (r.message for r in caplog.records)
    assert first == "Of 6 utterances, 3 are not of the classes: 1 Anger , 1 fear, 1 without emotion"
    assert "'Anger ' is not 'anger', and is left out" in second
    assert "rename among a CSV's corpus_options, map in a statement" in second
    caplog.clear()
    keep_classes({k: r for k, r in records.items() if r["emotion"] in ("anger", "joy")}, "emotion", ["anger", "joy"], "c")
    assert not caplog.text


def test_another_label_is_offered_where_there_is_none():
    records = {"a": {"path": "a", "speaker": "s", "corpus": "c", "duration_s": 1.0, "label": "anger", "gender": "female"}}
    with pytest.raises(ValueError, match=r"it has none, but gender, label \(--class_label names the one that is meant\)"):
        keep_classes(records, "emotion", ["anger"], "c")


def test_strangers_are_left_out_and_counted(caplog):
    records = records_of(SPEAKERS)
    one = next(iter(records))
    some = {**records, one: {**records[one], "speaker": None}}
    assert set(without_strangers(some)) == set(records) - {one}
    assert "Left out 1 utterances of unknown speakers" in caplog.text
    caplog.clear()
    assert without_strangers(records) == records
    assert not caplog.text


def test_speakers_are_found_by_number():
    assert find_speaker(3, ["03", "13"]) == "03"
    assert find_speaker("03", ["03", "3"]) == "03"
    assert find_speaker("Rene\u0301", ["Ren\u00e9", "x"]) == "Ren\u00e9"  # an accent as a letter of its own
    with pytest.raises(ValueError, match="no speaker"):
        find_speaker(3, ["03", "003"])


# ---------------------------------------------------------------------- batches


def test_every_utterance_once_an_epoch_and_epochs_differ():
    sampler = MixedBatchSampler([1.0] * 50, batch_size=8, bucket_batches=3)
    epochs = []
    for epoch in (1, 2):
        sampler.set_epoch(epoch)
        epochs.append(list(sampler))
        assert len(epochs[-1]) == len(sampler) == 7
        assert sorted(i for batch in epochs[-1] for i in batch) == list(range(50))
    assert epochs[0] != epochs[1]
    sampler.set_epoch(1)
    assert list(sampler) == epochs[0]


def test_buckets_hold_similar_lengths():
    durations = torch.rand(512, generator=torch.Generator().manual_seed(0)).tolist()

    def padding(bucket_batches):
        sampler = MixedBatchSampler(durations, batch_size=16, bucket_batches=bucket_batches)
        return sum(max(durations[i] for i in batch) * len(batch) for batch in sampler) / sum(durations) - 1

    assert padding(4) < 0.5 * padding(1)


def test_processes_share_an_epoch():
    whole = MixedBatchSampler([1.0] * 36, unlabelled=5, batch_size=8)
    parts = [MixedBatchSampler([1.0] * 36, unlabelled=5, batch_size=8) for _ in range(2)]
    for rank, part in enumerate(parts):
        part.shard(rank, 2)
    batches = [list(p) for p in parts]
    assert [len(p) for p in parts] == [len(b) for b in batches] == [3, 3]
    assert [*batches[0], *batches[1][:2]] == [list(whole)[k] for k in (0, 2, 4, 1, 3)]
    assert batches[1][2] == next(iter(whole))


def test_a_share_below_one_a_batch_is_used_all_the_same():
    sampler = MixedBatchSampler([1.0] * 800, unlabelled=20, batch_size=16)
    drawn = [i for batch in sampler for i in batch if i >= 800]
    assert len(drawn) == len(set(drawn)) == 19  # of 20: the last batch's share is rounded
    sampler = MixedBatchSampler([1.0] * 1000, unlabelled=32, batch_size=16)
    drawn = [i for batch in sampler for i in batch if i >= 1000]
    assert len(drawn) == len(set(drawn)) >= 31
    streamed = MixedBatchSampler([1.0] * 160, unlabelled=1000, batch_size=16, unlabelled_ratio=0.04, readers=2)
    places = [i for batch in streamed for i in batch if isinstance(i, tuple)]
    assert len(places) == len(set(places)) == 6
    assert {p for p, reader, _ in places if reader == 1} == {0, 1, 2}


def test_a_class_called_none_is_no_missing_label():
    records = {
        k: {"path": k, "speaker": k, "corpus": "c", "emotion": e} for k, e in (("a", "None"), ("b", None), ("c", "x"))
    }
    assert set(keep_classes(records, "emotion", ["None", "x"], "c")) == {"a", "c"}


def test_a_batch_is_padded_as_by_speechbrain():
    examples = [{"id": str(n), "wav": torch.randn(n), "emotion": torch.eye(4)[n % 4]} for n in (7, 12, 3)]
    ours, theirs = collate(examples), PaddedBatch(examples, padded_keys=["wav"])
    assert ours.id == theirs.id
    for a, b in zip((*ours.wav, ours.emotion), (*theirs.wav, theirs.emotion), strict=True):
        assert torch.equal(a, b)
        assert a.dtype == b.dtype


def test_a_cut_utterance_has_another_name_than_the_whole(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).uniform(-0.5, 0.5, 16000), 16000)
    records = {"a": {"path": str(tmp_path / "a.wav"), "speaker": "s", "corpus": "c", "duration_s": 1.0}}
    whole, cut, long = (UtteranceDataset(records, {}, AudioReader(), longest_s=s)[0] for s in (None, 0.25, 2.0))
    assert (len(whole["wav"]), len(cut["wav"]), len(long["wav"])) == (16000, 4000, 16000)
    assert whole["id"] == long["id"] == "a" != cut["id"]  # features are kept by name


def test_unlabelled_ratio_and_every_unlabelled_utterance_in_turn():
    sampler = MixedBatchSampler([1.0] * 10, unlabelled=7, batch_size=4, unlabelled_ratio=0.5)
    seen = []
    for epoch in range(7):
        sampler.set_epoch(epoch)
        for batch in sampler:
            extra = [i for i in batch if i >= 10]
            assert len(extra) == round(0.5 * (len(batch) - len(extra)))
            seen += extra
    assert len(seen) == 35
    assert {seen.count(i) for i in range(10, 17)} == {5}
