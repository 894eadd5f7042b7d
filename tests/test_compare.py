"""The comparison of systems, against scikit-learn and scipy on the committed prediction files, and its refusals."""

import csv
import json
import pathlib
import statistics

import compare
import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from mtlaug_sb.evaluation.results import read_predictions
from mtlaug_sb.evaluation.significance import holm, wilcoxon_p
from mtlaug_sb.evaluation.summary import summarise_rows

RESULTS = pathlib.Path(__file__).parents[1] / "recipes" / "results"
EMODB = RESULTS / "emodb"


def rows_of(folder):
    """{seed: rows} of the prediction files in a folder."""
    files = sorted(folder.glob("predictions_seed_*.csv"))
    return {f.stem.removeprefix("predictions_seed_"): list(csv.DictReader(f.open(newline=""))) for f in files}


def uar(rows):
    """By scikit-learn, over the classes that occur."""
    truth = [r["truth"] for r in rows]
    return recall_score(truth, [r["prediction"] for r in rows], average="macro", labels=sorted(set(truth)))


def of_speaker(rows, speaker):
    return [r for r in rows if r["speaker"] == speaker]


@pytest.fixture(scope="module")
def emodb():
    return compare.main([str(EMODB / "stl"), str(EMODB / "stl_aug"), "--resamples=2000"])


def test_table_is_what_scikit_learn_says_of_the_files(emodb):
    for system in emodb["systems"]:
        repeats = rows_of(EMODB / system["system"])
        truth, said = ([[r[k] for r in rows] for rows in repeats.values()] for k in ("truth", "prediction"))
        uars = [uar(rows) for rows in repeats.values()]
        assert system["UAR"] == pytest.approx(statistics.mean(uars))
        assert system["UAR_std"] == pytest.approx(statistics.stdev(uars))
        assert system["WA"] == pytest.approx(statistics.mean(map(accuracy_score, truth, said)))
        f1 = [f1_score(t, p, average="macro") for t, p in zip(truth, said, strict=True)]
        assert system["macro_F1"] == pytest.approx(statistics.mean(f1))
        recalls = np.mean([recall_score(t, p, average=None) for t, p in zip(truth, said, strict=True)], axis=0)
        assert [system[f"recall/{c}"] for c in sorted(emodb["classes"])] == pytest.approx(recalls)
        labels = emodb["classes"]
        assert np.array_equal(system["confusion"], sum(map(lambda t, p: confusion_matrix(t, p, labels=labels), truth, said)))
        speakers = sorted({r["speaker"] for rows in repeats.values() for r in rows})
        folds = [uar(of_speaker(rows, s)) for rows in repeats.values() for s in speakers]
        assert system["mean_of_folds_UAR"] == pytest.approx(statistics.mean(folds))


def test_tests_are_what_scipy_says_of_the_files(emodb):
    (test,) = emodb["tests"]
    a, b = rows_of(EMODB / "stl"), rows_of(EMODB / "stl_aug")
    speakers = sorted({r["speaker"] for r in a["0"]})
    differences = [uar(of_speaker(a[k], s)) - uar(of_speaker(b[k], s)) for k in a for s in speakers]
    expected = scipy.stats.wilcoxon(np.round(differences, 9), zero_method="pratt", method="asymptotic").pvalue
    assert test["pairs"] == len(differences) == 10 * len(a)
    assert test["p"] == pytest.approx(expected)
    assert test["p_holm"] == test["p"]
    assert test["difference"] == pytest.approx(np.mean([uar(a[k]) - uar(b[k]) for k in a]))


def test_interval_is_that_of_another_bootstrap(emodb):
    repeats = rows_of(EMODB / "stl")
    speakers = sorted({r["speaker"] for r in repeats["0"]})
    parts = [{s: of_speaker(rows, s) for s in speakers} for rows in repeats.values()]

    def statistic(drawn):
        uars = []
        for part in parts:
            rows = [r for s in drawn for r in part[speakers[s]]]
            hits = {c: [r["prediction"] == c for r in rows if r["truth"] == c] for c in emodb["classes"]}
            uars.append(statistics.mean(sum(h) / len(h) for h in hits.values() if h))
        return statistics.mean(uars)

    found = scipy.stats.bootstrap(
        [range(10)], statistic, n_resamples=1000, vectorized=False, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    row = emodb["systems"][0]
    assert (row["UAR_low"], row["UAR_high"]) == pytest.approx((found.low, found.high), abs=0.012)


def test_committed_results_are_all_readable_and_true():
    folders = [p.parent for p in RESULTS.rglob("summary.json")]
    assert folders
    for folder in folders:
        (row,) = compare.main([str(folder), "--resamples=10"])["systems"]
        assert row["UAR"] == pytest.approx(statistics.mean(map(uar, rows_of(folder).values())))


def test_holm_by_hand_and_wilcoxon_without_differences():
    assert holm([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert wilcoxon_p(np.array([0.3, 0.1 + 0.2]), np.array([0.1 + 0.2, 0.3])) == 1.0


def test_of_few_pairs_wilcoxon_is_exact():
    for n in (3, 5, 8, 10):
        differences = np.random.default_rng(n).normal(0.3, 1, n)
        expected = scipy.stats.wilcoxon(differences, method="exact").pvalue
        assert wilcoxon_p(differences, np.zeros(n)) == pytest.approx(expected)
    assert wilcoxon_p(np.arange(1.0, 6.0), np.zeros(5)) == pytest.approx(2 / 2**5)
    # with zeros and ties, by counting: ranks 3, 4, 5 of Pratt's method, alike, and two ways of eight as far from the middle
    assert wilcoxon_p(np.array([0.1, 0.1, 0.0, 0.0, 0.1]), np.zeros(5)) == pytest.approx(2 / 8)


# ---------------------------------------------------------------------- made-up grids


def grid(folder, changes=(), seeds=("0",), classes=("a", "b"), folds=None, speakers=("s1", "s2", "s3"), wrong=0):
    """A finished grid: every speaker says each class twice; the first ``wrong`` utterances of "a" are taken for "b"."""
    folder.mkdir(parents=True)
    rows = [[f"{s}_{c}{k}", s, c, c] for s in speakers for c in classes for k in range(2)]
    for row in [r for r in rows if r[2] == "a"][:wrong]:
        row[3] = "b"
    for k, column, value in changes:
        rows[k][column] = value
    lines = [",".join(row) for row in rows]
    recalls = [[r[2] == r[3] for r in rows if r[2] == c] for c in ("a", "b")]
    mean = statistics.mean(sum(h) / len(h) for h in recalls if h)
    by_fold = []
    for fold in folds or [[s] for s in speakers]:
        parts = [[r[2] == r[3] for r in rows if r[2] == c and r[1] in fold] for c in ("a", "b")]
        by_fold.append(statistics.mean(sum(h) / len(h) for h in parts if h))
    repeat = {"UAR": mean, "mean_of_folds_UAR": statistics.mean(by_fold)}
    summary = {"classes": classes, "repeats": dict.fromkeys(seeds, repeat), **({"folds": folds} if folds else {})}
    for seed in seeds:
        (folder / f"predictions_seed_{seed}.csv").write_text("\n".join(["id,speaker,truth,prediction", *lines]) + "\n")
    (folder / "summary.json").write_text(json.dumps(summary))
    return str(folder)


def test_a_system_that_knows_more_classes_is_asked_among_some():
    asked = ["anger", "happiness", "neutral", "sadness"]
    eight, four = (RESULTS / name / "mtl_aug_pretrained" for name in ("ravdess_8_classes", "ravdess_6folds"))
    result = compare.main([str(eight), str(four), f"--among={','.join(asked)}", "--resamples=10"])
    repeats = [[r for r in rows if r["truth"] in asked] for rows in rows_of(eight).values()]
    answers = [[r | {"prediction": max(asked, key=lambda c: float(r[f"p_{c}"]))} for r in rows] for rows in repeats]
    wider, plain = result["systems"]
    assert (result["classes"], result["utterances"]) == (asked, 672)
    assert wider["UAR"] == pytest.approx(statistics.mean(map(uar, answers)))
    assert plain["UAR"] == pytest.approx(statistics.mean(map(uar, rows_of(four).values())))
    with pytest.raises(ValueError, match=r"6folds/mtl_aug_pretrained': no class 'calm'; there are anger"):
        compare.main([str(eight), str(four), "--among=anger,calm"])


def of_three_classes(folder, folds):
    """A finished grid in which s3 says "c" only, and everything is taken for "c", then for "b"; returns the folder."""
    rows = [(f"{s}_{c}", s, c) for s, said in (("s1", "abc"), ("s2", "ab"), ("s3", "c")) for c in said]
    folder.mkdir()
    table = folder / "predictions_seed_0.csv"
    lines = [f"{utterance},{speaker},{truth},c,0.1,0.3,0.6" for utterance, speaker, truth in rows]
    table.write_text("\n".join(["id,speaker,truth,prediction,p_a,p_b,p_c", *lines]) + "\n")
    summary = summarise_rows({"0": read_predictions([table])}, folds, ["a", "b", "c", "nobody's", "nobody's either"])
    (folder / "summary.json").write_text(json.dumps(summary))
    return str(folder)


def test_asked_among_some_of_its_classes(tmp_path, capsys):
    folder = of_three_classes(tmp_path / "x", [["s1"], ["s2"], ["s3"]])
    comparison = compare.main([folder, "--among=[b, a]", "--resamples=10"])
    (row,) = comparison["systems"]
    assert row["confusion"] == [[2, 0], [2, 0]]  # all are taken for b
    assert (comparison["classes"], comparison["utterances"], comparison["left_out"]) == (["b", "a"], 4, {"x": 2})
    assert (comparison["speakers"], row["mean_of_folds_UAR"]) == (2, 0.5)
    assert "without the utterances of others: x (2 utterances)" in capsys.readouterr().out
    other = of_three_classes(tmp_path / "y", [["s1", "s3"], ["s2"]])
    with pytest.raises(ValueError, match="tested in different folds"):
        compare.main([folder, other, "--among=a,b"])


@pytest.mark.parametrize(
    ("among", "says"),
    [
        ("a", "at least two different classes, not a"),
        ("a,a,b", "at least two different classes, not a, a, b"),
        ("[]", "at least two different classes, not none"),
        ("", "at least two different classes, not none"),
        ("a,d", "no class 'd'; there are a, b, c"),
        ("nobody's,nobody's either", "there is no utterance of nobody's, nobody's either"),
        ("[a", "among"),
    ],
)
def test_what_cannot_be_asked_for(tmp_path, among, says):
    with pytest.raises(ValueError, match=says):
        compare.main([of_three_classes(tmp_path / "x", [["s1", "s2", "s3"]]), f"--among={among}"])


def test_without_probabilities_or_utterances_nothing_can_be_asked_for(tmp_path):
    folder = of_three_classes(tmp_path / "x", [["s1", "s2", "s3"]])
    table = tmp_path / "x" / "predictions_seed_0.csv"
    table.write_text(table.read_text().replace("s2_a,s2,a,c,0.1", "s2_a,s2,a,c,"))
    with pytest.raises(ValueError, match=r"x': the probabilities of s2_a are not in its files"):
        compare.main([folder, "--among=a,b"])


def test_one_system_has_a_table_and_no_tests(tmp_path, capsys):
    assert compare.main([grid(tmp_path / "one", wrong=3)])["tests"] == []
    assert "| one | 0.750 |" in capsys.readouterr().out


def test_systems_with_other_seeds_are_paired_by_speaker(tmp_path):
    given = [grid(tmp_path / "a", seeds="012", wrong=1), grid(tmp_path / "b", seeds="0"), grid(tmp_path / "c", seeds="210")]
    pairs = {tuple(t["systems"]): (t["pairs"], t["pair"]) for t in compare.main(given)["tests"]}
    assert pairs[("a", "b")] == (3, "speaker")
    assert pairs[("a", "c")] == (9, "(speaker, seed)")


def test_classes_in_another_order_are_the_same_classes(tmp_path):
    one, other = grid(tmp_path / "a", wrong=2), grid(tmp_path / "b", classes=("b", "a"), wrong=2)
    first, second = compare.main([one, other])["systems"]
    assert first["confusion"] == second["confusion"] == [[4, 2], [0, 6]]


def test_files_and_pictures(tmp_path):
    given = [grid(tmp_path / name / "corpus" / "crossvalidation", wrong=n) for n, name in enumerate(("x", "y"))]
    comparison = compare.main([*given, "-o", str(tmp_path / "out")])
    assert [row["system"] for row in comparison["systems"]] == ["x", "y"]
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == comparison
    table = list(csv.DictReader((tmp_path / "out" / "comparison.csv").open(newline="")))
    assert [float(row["UAR"]) for row in table] == [row["UAR"] for row in comparison["systems"]]
    assert "| x - y | +0.083 |" in (tmp_path / "out" / "comparison.md").read_text()
    pictures = {p.name for p in (tmp_path / "out").glob("*.png") if p.read_bytes().startswith(b"\x89PNG")}
    assert pictures == {"recalls.png", "confusion_x.png", "confusion_y.png"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"speakers": ("s1", "s2")}, r"'a' and 'b' .*different utterances: 4 only in 'a' \(s3_a0, s3_a1, s3_b0, \.\.\.\)"),
        ({"classes": ("a", "c")}, r"'a' and 'b' .*classes are \['a', 'b'\] and \['a', 'c'\]"),
        ({"folds": [["s1", "s2"], ["s3"]]}, r"'a' and 'b' .*different folds: 3 folds \(s1, s2, s3, .*2 folds \(s1\+s2"),
        ({"changes": [(0, 2, "b")]}, r"s1_a0 is \('s1', 'a'\) in one and \('s1', 'b'\) in the other"),
        ({"changes": [(0, 1, "s2")]}, "s1_a0 is"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path, options, says):
    with pytest.raises(ValueError, match=says):
        compare.main([grid(tmp_path / "a"), grid(tmp_path / "b", **options)])


def test_folders_that_are_no_result(tmp_path):
    with pytest.raises(FileNotFoundError, match="not a cross-validation's folder"):
        compare.main([str(tmp_path)])
    (tmp_path / "seed_0" / "fold_s1").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="not finished"):
        compare.main([str(tmp_path)])
    folder = grid(tmp_path / "a", seeds="01")
    with pytest.raises(ValueError, match="is given twice"):
        compare.main([folder, folder])
    (tmp_path / "a" / "predictions_seed_1.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"predictions_seed_1\.csv' is missing"):
        compare.main([folder])
    for wrong in ("--resample=3", "--resamples=x", "--resamples=0"):
        with pytest.raises(ValueError, match=wrong.split("=")[0]):
            compare.main([folder, wrong])


def test_files_that_contradict_the_summary(tmp_path):
    folder = grid(tmp_path / "a", seeds="01")
    table = tmp_path / "a" / "predictions_seed_1.csv"
    good = table.read_text()
    for old, new, says in (
        ("s1_a0,s1,a,a", "s1_a0,s1,a,b", r"UAR is \[1.0, 1.0\] by summary.json and \[1.0, 0.9166"),
        ("s1_a0,s1,a,a", "s1_a0,s1,a,x", "the prediction of s1_a0 is 'x'"),
        ("s1_a0,s1,a,a\n", "", "other utterances"),
        ("s1_a1,s1,a,a", "s1_a0,s1,a,a", "occurs twice"),
    ):
        table.write_text(good.replace(old, new))
        with pytest.raises(ValueError, match=says):
            compare.main([folder])


def test_other_noise_under_one_name_is_refused(tmp_path):
    paths = [pathlib.Path(grid(tmp_path / name)) for name in "abcd"]
    for path, heard, level in zip(paths, "xyyx", (10, 10, 0, 0), strict=True):
        (table,) = path.glob("*.csv")
        header, *rows = table.read_text().splitlines()
        table.write_text("\n".join([f"{header},heard", *(f"{row},{heard}" for row in rows)]) + "\n")
        summary = json.loads((path / "summary.json").read_text())
        (path / "summary.json").write_text(json.dumps({**summary, "condition": "noise_rain", "level": level}))
    with pytest.raises(ValueError, match="'a' and 'b' cannot be compared: under 'noise_rain 10' they heard"):
        compare.main(list(map(str, paths[:2])))
    with pytest.raises(ValueError, match="under 'noise_rain 0' they heard"):
        compare.main(list(map(str, paths[2:])))
    assert compare.main([str(paths[0]), str(paths[2])])["tests"]  # what noise costs
