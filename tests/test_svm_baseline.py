"""The SVM against scikit-learn's own grid search, and its recipe on the folds of the grid."""

import csv
import json
import pathlib

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mtlaug_sb.baselines.functionals import Functionals
from mtlaug_sb.baselines.linear_svm import CHOICES, LinearSVM

ROOT = pathlib.Path(__file__).parents[1]


def problem(seed, classes=3):
    """Features [160, 12] with a constant and a large one, truths, and eight speakers with levels of their own."""
    generator = np.random.default_rng(seed)
    truths = generator.integers(classes, size=160)
    speakers = np.repeat(np.arange(8), 20)
    features = generator.normal(size=(160, 12)) + generator.normal(size=(classes, 12))[truths] * 0.5
    features += generator.normal(size=(8, 12))[speakers]
    features[:, 0], features[:, 1] = 1.0, 1e4 * features[:, 1]
    return features, truths, [f"s{s}" for s in speakers]


@pytest.mark.parametrize("classes", [2, 3])
def test_the_same_as_a_grid_search_over_speakers(classes):
    features, truths, speakers = problem(0, classes)
    test = problem(1, classes)[0]
    svm = LinearSVM().fit(features, truths, speakers)
    pipeline = make_pipeline(StandardScaler(), SVC(kernel="linear", class_weight="balanced"))
    search = GridSearchCV(pipeline, {"svc__C": [svm.c]}, cv=GroupKFold(5), scoring="balanced_accuracy")
    search.fit(features, truths, groups=speakers)
    probabilities = svm.probabilities(test)
    assert probabilities.sum(1) == pytest.approx(np.ones(len(test)))
    assert np.mean(probabilities.argmax(1) == search.predict(test)) > 0.98  # votes that tie are broken by confidence
    # pooled over the folds, no other C is better
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import cross_val_predict

    def score(c):
        pipeline.set_params(svc__C=c, svc__break_ties=classes > 2)
        said = cross_val_predict(pipeline, features, truths, groups=speakers, cv=GroupKFold(5))
        return balanced_accuracy_score(truths, said)

    scores = [score(c) for c in CHOICES]
    assert CHOICES.index(svm.c) == int(np.argmax(scores))


def test_probabilities_are_calibrated_on_other_speakers():
    features, truths, speakers = problem(2)
    svm = LinearSVM().fit(features, truths, speakers)
    cross_entropy = -np.log(svm.probabilities(features)[np.arange(160), truths]).mean()
    assert 0 < cross_entropy < np.log(3)
    nothing = LinearSVM().fit(np.random.default_rng(0).normal(size=(160, 4)), truths, speakers)
    assert nothing.probabilities(np.zeros((1, 4))).max() < 0.6


def test_where_speakers_are_too_few_c_is_chosen_over_utterances(caplog):
    features, truths, _ = problem(0)
    alone = LinearSVM().fit(features, truths, ["only"] * len(truths))
    assert "it is chosen over utterances" in caplog.text
    surprises = [surprise(features, truths, alone.c, f * alone.sharpness) for f in (1, 0.5, 2)]
    assert surprises[0] == min(surprises)


def surprise(features, truths, c, sharpness):
    """Cross entropy of utterances that are left out in turn."""
    from sklearn.model_selection import StratifiedKFold

    found = []
    for train, test in StratifiedKFold(5).split(features, truths):
        said = LinearSVM().refit(features[train], truths[train], c, sharpness).probabilities(features[test])
        found += (-np.log(said[np.arange(len(test)), truths[test]])).tolist()
    return np.mean(found)


@pytest.mark.parametrize("alone", [1, 2])
def test_classes_of_few_speakers(caplog, alone):
    features, truths, speakers = problem(0)
    # the last class is of one speaker, or of two: it is tested where one of the two is left out
    rare = np.where(np.isin(speakers, ["s0", "s1"][:alone]), truths, np.minimum(truths, 1))
    svm = LinearSVM().fit(features, rare, speakers)
    assert ("chosen over utterances" in caplog.text) == (alone == 1)
    assert svm.probabilities(features).shape == (len(rare), 3)


def test_training_data_that_is_not_enough():
    features, _, speakers = problem(0)
    with pytest.raises(ValueError, match="of one class"):
        LinearSVM().fit(features, [0] * 160, speakers)
    with pytest.raises(ValueError, match="a single training utterance"):
        LinearSVM().fit(features, [0] * 159 + [1], ["only"] * 160)


def test_feature_sets_are_named(tmp_path):
    with pytest.raises(ValueError, match="feature_set must be one of ComParE_2016, eGeMAPSv02, is 'x'"):
        Functionals("x", tmp_path)


@pytest.mark.parametrize(("feature_set", "size"), [("ComParE_2016", 6373), ("eGeMAPSv02", 88)])
def test_functionals_are_computed_once_per_recording(tmp_path, feature_set, size):
    opensmile = pytest.importorskip("opensmile", reason="openSMILE is not installed (extra [baselines])")
    tone = 0.1 * np.sin(np.arange(16000) / 10).astype("float32")
    functionals = Functionals(feature_set, tmp_path)
    first = functionals("a", lambda: tone, 16000)
    again = functionals("a", lambda: pytest.fail("computed twice"), 16000)
    assert first.shape == (size,)
    assert np.array_equal(first, again)
    smile = opensmile.Smile(opensmile.FeatureSet[feature_set], opensmile.FeatureLevel.Functionals)
    assert np.array_equal(first, np.nan_to_num(smile.process_signal(tone, 16000).to_numpy(float)[0]))


@pytest.fixture
def svm(arguments, spectra, monkeypatch, tmp_path):
    """Run recipes/svm_baseline.py in this process, on spectra instead of openSMILE's functionals."""
    import svm_baseline

    monkeypatch.chdir(ROOT)
    return lambda *more, folder=tmp_path / "svm": svm_baseline.main(arguments("hparams/stl.yaml", *more, folder=folder))


def test_recipe_writes_what_the_comparison_reads(svm, tmp_path):
    import compare

    summary = svm("--folds=2")
    assert summary == json.loads((tmp_path / "svm" / "summary.json").read_text())
    assert summary["folds"] == [["s01", "s02"], ["s03", "s04"]]
    rows = list(csv.DictReader((tmp_path / "svm" / "predictions_seed_0.csv").open(newline="")))
    assert len(rows) == len({r["id"] for r in rows}) == 32
    assert list(rows[0]) == ["id", "speaker", "truth", "prediction", "p_anger", "p_happiness", "p_neutral", "p_sadness"]
    assert compare.main([str(tmp_path / "svm")])["systems"][0]["UAR"] == summary["UAR"]["mean"]
    with pytest.raises(FileExistsError, match="finished"):
        svm("--folds=2")


def test_validation_speakers_are_those_of_the_networks(svm, train, tmp_path):
    svm("--leave_out_validation", "--repeats=2")
    network = train("hparams/stl.yaml", "--number_of_epochs=1", "--test_speaker=s02", "--seed=1")
    cell = json.loads((tmp_path / "svm" / "seed_1" / "fold_s02" / "results.json").read_text())
    assert cell["speakers"] == network["speakers"]
    everybody = svm(folder=tmp_path / "everybody")
    speakers = json.loads((tmp_path / "everybody" / "seed_0" / "fold_s01" / "results.json").read_text())["speakers"]
    assert speakers == {"train": ["s02", "s03", "s04"], "test": ["s01"]}
    assert everybody["UAR"]["n"] == 1
    with pytest.raises(ValueError, match="--leave_out_validation"):
        svm("--repeats=2", folder=tmp_path / "x")


@pytest.mark.parametrize("corpus", ["emodb", "ravdess"])
def test_committed_baselines_are_as_good_as_such_baselines_are(corpus):
    """Within 0.03 of what was measured elsewhere for the same features and folds."""
    elsewhere = {"emodb": (0.862, 0.778), "ravdess": (0.681, 0.650)}[corpus]
    for name, uar in zip(("svm_compare", "svm_egemaps"), elsewhere, strict=True):
        summary = json.loads((ROOT / "recipes" / "results" / corpus / name / "summary.json").read_text())
        assert summary["UAR"]["mean"] == pytest.approx(uar, abs=0.03)
