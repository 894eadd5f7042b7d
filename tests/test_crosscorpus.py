"""Train here, test there: the target is used for the test alone, and adaptation hears others than it is tested on."""

import csv
import json
import os

import numpy as np
import pytest
import soundfile
from conftest import ROOT

from mtlaug_sb.corpora.synthetic import Synthetic
from mtlaug_sb.dataio.preparation import prepare

OPTIONS = {"a": {"n_speakers": 4, "n_utterances": 2}, "b": {"n_speakers": 3, "n_utterances": 1, "seed": 5},
           "c": {"n_speakers": 2, "n_utterances": 1, "seed": 9}}  # fmt: skip


@pytest.fixture(scope="module")
def statements(tiny_corpus, tmp_path_factory):
    """{name: statement on the command line} of a source and two targets; b has other names for its classes."""
    folders = {"a": tiny_corpus}
    for name in "bc":
        folders[name] = tmp_path_factory.mktemp(name)
        list(Synthetic(**OPTIONS[name]).read(folders[name]))
    table = folders["b"] / "list.csv"
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "speaker", "emotion"])
        for u in Synthetic(**OPTIONS["b"]).read(folders["b"]):
            writer.writerow([u.path, u.speaker, {"happiness": "joy"}.get(u.labels["emotion"], u.labels["emotion"])])
        soundfile.write(folders["b"] / "x.wav", np.random.default_rng(0).normal(size=8000) * 0.1, 16000)
        writer.writerow(["x.wav", "s99", "boredom"])
        soundfile.write(folders["b"] / "y.wav", np.random.default_rng(1).normal(size=8000) * 0.1, 16000)
        writer.writerow(["y.wav", "", "anger"])  # nobody knows whose it is
    stated = {
        name: f"{{corpus: synthetic, folder: {folders[name]}, options: {json.dumps(OPTIONS[name])}}}" for name in OPTIONS
    }
    stated["b"] = f"{{corpus: folder, folder: {table}, map: {{emotion: {{joy: happiness}}}}}}"
    return {name: f"{name}: {statement}" for name, statement in stated.items()}


@pytest.fixture
def crosscorpus(arguments, statements):
    """Run the recipe in this process: crosscorpus("a", "b", ...) -> summary."""
    import crosscorpus

    before = os.getcwd()
    os.chdir(ROOT)

    def run(sources, targets, *more, yaml="hparams/stl.yaml", **options):
        dropped = ("--data_folder", "--corpus_options", "--noprogressbar")
        given = [a for a in arguments(yaml, "--number_of_epochs=1", **options) if not a.startswith(dropped)]
        said = [f"--{k}={{{', '.join(statements[n] for n in v)}}}" for k, v in (("sources", sources), ("targets", targets))]
        return crosscorpus.main([*given, *said, "--jobs=1", "--noprogressbar", *more])

    yield run
    os.chdir(before)


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_targets_are_tested_and_nothing_else(crosscorpus, tmp_path):
    import compare

    summary = crosscorpus("a", "bc")
    folder = tmp_path / "run"
    cell = folder / "seed_0" / "fold_b+c"
    results = json.loads((cell / "results.json").read_text())
    assert results["speakers"]["test"] == ["b/s01", "b/s02", "b/s03", "c/s01", "c/s02"]
    assert {s.partition("/")[0] for split in ("train", "valid") for s in results["speakers"][split]} == {"a"}
    assert len(results["speakers"]["train"] + results["speakers"]["valid"]) == 4
    assert not (cell / "save" / "unlabelled.json").exists()  # the target's boredom, above all, does not train
    rows = rows_of(folder / "predictions_seed_0.csv")
    assert len(rows) == summary["utterances"] == 12 + 8
    assert {r["truth"] for r in rows if r["id"].startswith("b/")} == {"anger", "happiness", "neutral", "sadness"}
    of_b = json.loads((folder / "b" / "summary.json").read_text())
    assert of_b["utterances"] == 12
    assert (of_b["sources"], of_b["target"]) == (["a"], ["b"])
    assert len(compare.main([str(folder / "b")])["systems"]) == 1
    # called again, nothing is trained again
    stamp = (cell / "results.json").stat().st_mtime_ns
    assert crosscorpus("a", "bc") == summary
    assert (cell / "results.json").stat().st_mtime_ns == stamp


def cells_of(crosscorpus, monkeypatch, *given):
    """The splits of each cell of a grid, of which nothing is trained."""
    import crosscorpus as recipe

    found = {}

    def look(folder, hparams_file, run_opts, overrides, cells, manifests, read_audio, own):
        for path, cell in cells.items():
            hparams = recipe.read_settings(hparams_file, cell)
            hparams["save_folder"] = str(path)
            path.mkdir(parents=True)
            # without a reader of audio: all manifests must be there
            found[path.name] = prepare(hparams, None, manifests)
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe, "run_grid", look)
    with pytest.raises(KeyboardInterrupt):
        crosscorpus(*given)
    return found


def test_excluded_speakers_are_neither_tested_nor_trained_on(crosscorpus, monkeypatch):
    (splits,) = cells_of(crosscorpus, monkeypatch, "a", "b", "--excluded_speakers=[a/s02, b/s01]").values()
    assert set(splits["test"].counts("speaker")) == {"b/s02", "b/s03"}
    assert {s for split in ("train", "valid") for s in splits[split].counts("speaker")} == {"a/s01", "a/s03", "a/s04"}


def test_adaptation_hears_others_than_it_is_tested_on(crosscorpus, monkeypatch):
    cells = cells_of(crosscorpus, monkeypatch, "a", "bc", "--unlabelled_target")
    assert sorted(cells) == ["fold_1of2", "fold_2of2"]
    tested = [{r["speaker"] for r in splits["test"].values()} for splits in cells.values()]
    assert not tested[0] & tested[1]
    assert tested[0] | tested[1] == {"b/s01", "b/s02", "b/s03", "c/s01", "c/s02"}
    for splits, own, other in zip(cells.values(), tested, tested[::-1], strict=True):
        heard = {r["speaker"] for r in splits["unlabelled"].values()}
        assert not heard & own
        assert heard == other | {"b/s99"}  # a speaker of the target without one of the classes
        assert not any("emotion" in r for r in splits["unlabelled"].values())
        assert {r["corpus"] for r in splits["train"].values()} == {"a"}


def test_adaptation_beside_other_unlabelled_speech(crosscorpus, statements, monkeypatch, tiny_corpus):
    more = statements["c"].partition(": ")[2]
    folder, options = more.split("folder: ")[1].split(",")[0], json.dumps(OPTIONS["c"])
    given = ["--unlabelled_corpus=synthetic", f"--unlabelled_folder={folder}", f"--unlabelled_options={options}"]
    cells = cells_of(crosscorpus, monkeypatch, "a", "b", "--unlabelled_target", "--target_parts=3", *given)
    assert len(cells) == 3
    for splits in cells.values():
        assert {r["corpus"] for r in splits["unlabelled"].values()} == {"b", "synthetic"}


def test_the_svm_on_the_same_targets(arguments, statements, spectra, monkeypatch, tmp_path):
    import svm_baseline

    monkeypatch.chdir(ROOT)
    given = [a for a in arguments("hparams/stl.yaml") if not a.startswith(("--data_folder", "--corpus_options"))]
    said = [f"--sources={{{statements['a']}}}", f"--targets={{{statements['b']}}}"]
    summary = svm_baseline.main([*given, *said])
    assert summary["folds"] == [["b/s01", "b/s02", "b/s03"]]
    trained = json.loads((tmp_path / "run" / "seed_0" / "fold_b" / "results.json").read_text())["speakers"]["train"]
    assert trained == ["a/s01", "a/s02", "a/s03", "a/s04"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["a", "a"], "'a' is among the sources and the targets"),
        (["a", "b", "--test_speaker=s01"], "--test_speaker is for recipes/train.py"),
        (["a", "b", "--target_parts=2"], "--target_parts is for --unlabelled_target"),
        (["a", "", "--jobs=1"], "--targets must be {NAME: FOLDER, ...}"),
        (["a", "b", "--sources={a: [1"], r"--sources=\{a: \[1 is not YAML"),
        (["a", "c", "--unlabelled_target", "--target_parts=3"], "3 folds need at least as many speakers"),
        (
            ["a", "b", "--classes=[anger, boredom]"],
            "corpus 'a' has no emotion 'boredom'.*; map, in --sources",
        ),
    ],
)
def test_what_cannot_be(crosscorpus, given, says):
    with pytest.raises(ValueError, match=says):
        crosscorpus(*given)
