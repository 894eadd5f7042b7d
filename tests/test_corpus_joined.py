"""Several corpora as one: names in front, mapped labels, and records that say where they are from."""

import csv

import pytest

from mtlaug_sb import make
from mtlaug_sb.corpora.synthetic import Synthetic
from mtlaug_sb.dataio.audio import AudioReader
from mtlaug_sb.dataio.corpus_manifest import build_manifest
from mtlaug_sb.dataio.splits import SpeakerLeak, check_splits
from mtlaug_sb.testing import check_plugin


@pytest.fixture(scope="module")
def table(tiny_corpus, tmp_path_factory):
    """A CSV without speakers, with other names of the emotions."""
    path = tmp_path_factory.mktemp("table") / "list.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "id", "emotion"])
        for u in Synthetic(n_speakers=4, n_utterances=2).read(tiny_corpus):
            if u.speaker == "s01":
                writer.writerow([u.path, u.id, {"happiness": "joy"}.get(u.labels["emotion"], u.labels["emotion"])])
    return path


def corpora(tiny_corpus, table, **more):
    synthetic = {"corpus": "synthetic", "folder": str(tiny_corpus), "options": {"n_speakers": 4, "n_utterances": 2}}
    return {
        "voice": {**synthetic, **more},
        "mine": {"corpus": "folder", "folder": str(table), "map": {"emotion": {"joy": "happiness"}}},
    }


def test_it_keeps_the_contract_of_corpora():
    check_plugin("corpus/joined")


def test_speakers_ids_labels_and_corpora(tiny_corpus, table):
    joined = make("corpus/joined", corpora=corpora(tiny_corpus, table))
    records = build_manifest(joined, "anywhere", AudioReader())
    assert len(records) == 32 + 8
    assert {r["speaker"] for r in records.values()} == {*(f"voice/s0{i}" for i in range(1, 5)), "mine/unknown"}
    assert {r["corpus"] for r in records.values()} == {"voice", "mine"}
    mine = [r for k, r in records.items() if k.startswith("mine/")]
    assert sorted({r["emotion"] for r in mine}) == ["anger", "happiness", "neutral", "sadness"]
    # the same recordings under another corpus' name are found out
    splits = {s: {k: r for k, r in records.items() if r["corpus"] == c} for s, c in (("train", "voice"), ("test", "mine"))}
    with pytest.raises(SpeakerLeak, match="recording"):
        check_splits(splits, "emotion", [])


def test_some_speakers_only(tiny_corpus, table):
    utterances = list(make("corpus/joined", corpora=corpora(tiny_corpus, table, speakers=["s03"])).read("."))
    assert {u.speaker for u in utterances} == {"voice/s03", "mine/unknown"}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"speakers": ["s9"]}, "corpus 'voice' has no speaker 's9'; it has s01, s02"),
        ({"map": {"emotion": {"calm": "neutral"}}}, "no emotion 'calm' to map; it has anger, happiness, neutral, sadness"),
        ({"map": {"emotion": "calm"}}, "map must be {label: {value there: value here}}, has emotion: 'calm'"),
        ({"labelz": {}}, "has no key 'labelz'; the keys are corpus, folder, options, map, speakers"),
        ({"corpus": "folder", "options": {}, "folder": None}, "corpus 'voice' needs its folder"),
    ],
)
def test_wrong_statements(tiny_corpus, table, more, says):
    with pytest.raises(ValueError, match=says):
        list(make("corpus/joined", corpora=corpora(tiny_corpus, table, **more)).read("."))


def test_speakers_and_labels_with_accents_are_found(tmp_path):
    apart, one = "Rene\u0301", "Ren\u00e9"
    (tmp_path / "list.csv").write_text(f"path,speaker,emotion\na.wav,{apart},{apart}\nb.wav,x,y\n", encoding="utf-8")
    stated = {"corpus": "folder", "folder": "list.csv", "speakers": [apart], "map": {"emotion": {apart: apart.lower()}}}
    (found,) = make("corpus/joined", corpora={"a": stated}).read(tmp_path)
    assert (found.speaker, found.labels["emotion"]) == (f"a/{one}", one.lower())


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "corpora must be"),
        (["emodb"], "corpora must be"),
        ({"a/b": "x"}, "must have none"),
        ({"my": "x.csv"}, "no reader is called 'my': say which one reads it, {my: {corpus: folder"),
    ],
)
def test_wrong_corpora(given, says):
    with pytest.raises(ValueError, match=says):
        make("corpus/joined", corpora=given)


def test_one_corpus_under_two_names_is_refused(tiny_corpus):
    here = {"corpus": "synthetic", "folder": str(tiny_corpus), "options": {"n_speakers": 4, "n_utterances": 2}}
    with pytest.raises(ValueError, match="corpora 'a' and 'b' are one, and speaker 's01' is in both"):
        list(make("corpus/joined", corpora={"a": here, "b": here}).read("."))
    apart = {"a": {**here, "speakers": ["s01", "s02"]}, "b": {**here, "speakers": ["s03"]}}
    assert {u.speaker for u in make("corpus/joined", corpora=apart).read(".")} == {"a/s01", "a/s02", "b/s03"}


def test_a_test_speaker_does_not_train_under_the_name_that_joining_gives():
    def records(speaker, path):
        return {path: {"path": path, "corpus": "iemocap", "speaker": speaker, "recording": path, "emotion": "anger"}}

    splits = {"train": records("iemocap/2F", "a"), "test": records("iemocap/1F", "b"), "unlabelled": records("1F", "c")}
    with pytest.raises(SpeakerLeak, match=r"speaker \('iemocap', '1F'\)"):
        check_splits(splits, "emotion", ["anger"])
