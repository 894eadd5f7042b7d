"""The report: complete, self-contained, and looked at by a real browser."""

import json
import os
import re
import shutil

import numpy as np
import pytest
import soundfile
from conftest import ROOT
from small_grid import write_small_grid

pytest.importorskip("jinja2", reason="jinja2 (extra [report]) is not installed")


@pytest.fixture(scope="module")
def page(tiny_corpus, tmp_path_factory):
    """A page over two grids, one tested in noise and under attack, and the rows behind it."""
    import evaluate
    import report

    folder = tmp_path_factory.mktemp("report")
    first = write_small_grid(folder / "st<l", tiny_corpus)
    second = shutil.copytree(first, folder / "mtl_aug")
    (folder / "noise" / "hiss").mkdir(parents=True)
    (folder / "noise" / "hum").mkdir(parents=True)
    for k, name in enumerate(("hiss", "hum")):
        soundfile.write(folder / "noise" / name / "a.wav", 0.1 * np.random.default_rng(k).normal(size=9000), 16000)
    rows = evaluate.main([str(first), f"--noise={folder}/noise", "--snr_db=10,0"])
    text = report.main([str(first), str(second), "-o", str(folder / "report.html"), "--embeddings=pca", "--resamples=100"])
    return folder / "report.html", text, rows


def test_everything_is_in_the_file(page):
    path, text, rows = page
    assert path.read_text() == text
    assert not re.search(r"""(src|href)=["'](?!data:|\#)""", text)
    assert "<script" not in text
    for title in ("Systems", "Robustness", "Confusions", "Speakers", "Embeddings", "Learning curves"):
        assert f"<h2>{title}</h2>" in text
    assert "st&lt;l" in text
    assert "st<l" not in text
    for row in rows:
        assert f"<td>{row['UAR']:.3f} ± {row['UAR_std']:.3f}</td>" in text
    # per system a confusion matrix, embeddings and curves; one picture of the speakers; one of the ratios
    assert text.count("<figure>") == 3 * 2 + 1 + 1
    assert "difference in UAR" in text


def test_in_a_browser(page, tmp_path, chromium):
    outside, errors = [], []
    view = chromium.new_page(viewport={"width": 1200, "height": 900})
    view.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else outside.append(r.url))
    view.on("pageerror", lambda e: errors.append(str(e)))
    view.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
    view.goto(f"file://{page[0]}")
    sizes = view.evaluate("Array.from(document.images, i => [i.complete, i.naturalWidth, i.naturalHeight])")
    wide = view.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    view.screenshot(path=os.environ.get("MTLAUG_SCREENSHOT", str(tmp_path / "page.png")), full_page=True)
    assert not outside
    assert not errors
    assert len(sizes) == 8
    assert all(complete and width > 200 and height > 150 for complete, width, height in sizes)
    assert wide


def test_published_results_and_a_single_run(page, tmp_path):
    import report

    results = ROOT / "recipes" / "results"
    published = [str(results / "emodb_network_alone" / "stl"), str(results / "emodb" / "svm_compare")]
    text = report.main([*published, "-o", str(tmp_path / "r.html"), "--resamples=100"])
    uar = json.loads((results / "emodb_network_alone" / "stl" / "summary.json").read_text())["UAR"]["mean"]
    assert f"{uar:.3f} ±" in text
    assert "Embeddings" not in text
    for section in ("Attacks", "Noise"):  # what evaluate.py left below a system, wherever it says that it was clean
        table = text.split(f"<h2>{section}</h2>")[1].split("</table>")[0]
        systems = re.findall(r"<td>(\S+)</td><td>(\w+)</td>", table)
        assert [c for i, (s, c) in enumerate(systems) if not i or s != systems[i - 1][0]] == ["clean", "clean"]
    run = page[0].parent / "mtl_aug" / "seed_0" / "fold_s01+s02"
    text = report.main([str(run), published[0], "-o", str(tmp_path / "s.html"), "--embeddings=none", "--resamples=100"])
    assert "No test between systems" in text
    assert "Learning curves" in text


def test_a_recording_that_is_gone_leaves_the_rest(page, tmp_path):
    import report

    run = shutil.copytree(page[0].parent / "mtl_aug" / "seed_0" / "fold_s01+s02", tmp_path / "run")
    test = json.loads((run / "save" / "test.json").read_text())
    next(iter(test.values()))["path"] = "/nowhere/a.wav"
    (run / "save" / "test.json").write_text(json.dumps(test))
    text = report.main([str(run), "-o", str(tmp_path / "r.html"), "--resamples=100"])
    assert "Not drawn: /nowhere/a.wav: no such file" in text
    assert "Confusions" in text


def test_other_noise_gets_a_panel_of_its_own_and_a_mean_is_over_what_all_have():
    import report_sections

    def rows(uars, seed=0):
        settings = {"kind": "noise", "seed": seed, "levels": list(uars)}
        return [{"level": k, "UAR": u, "UAR_low": u, "UAR_high": u, "settings": settings} for k, u in uars.items()]

    panels = {"noise_rain": {"a": rows({10: 0.8, 0: 0.4}), "b": rows({10: 0.6})}}
    assert report_sections.apart(panels) == panels
    assert set(report_sections.apart({"noise_rain": {**panels["noise_rain"], "c": rows({10: 0.5}, seed=1)}})) == {
        "noise_rain of a, b", "noise_rain of c",
    }  # fmt: skip
    panels["noise_wind"] = {"a": rows({10: 0.6}), "b": rows({10: 0.4})}
    means = {system: [(r["level"], r["UAR"]) for r in some] for system, some in report_sections.mean_of(panels).items()}
    assert means == {"a": [(10, pytest.approx(0.7))], "b": [(10, pytest.approx(0.5))]}


def test_a_model_without_manifests_leaves_the_rest(page, tmp_path):
    import report

    run = shutil.copytree(page[0].parent / "mtl_aug" / "seed_0" / "fold_s01+s02", tmp_path / "run")
    shutil.rmtree(run / "save")
    assert "it has no manifests" in report.main([str(run), "-o", str(tmp_path / "r.html"), "--resamples=100"])


def test_loss_terms_are_told_from_metrics(tmp_path):
    from mtlaug_sb.evaluation.report_figures import figure_of_loss_terms

    columns = ["epoch", "lr", "train/loss", "valid/loss", "train/dim/mse", "valid/dim/CCC/arousal", "valid/emotion/UAR",
               "valid/emotion/recall/anger", "train/skipped_steps"]  # fmt: skip
    (tmp_path / "log.csv").write_text(",".join(columns) + "\n1" + ",0.5" * 8 + "\n2" + ",0.4" * 8 + "\n")
    figure = figure_of_loss_terms([tmp_path / "log.csv"] * 2)
    assert [ax.get_title() for ax in figure.axes] == ["dim/mse", "loss"]
    assert [list(line.get_ydata()) for line in figure.axes[1].lines] == [[0.5, 0.4], [0.5, 0.4]]


def test_wrong_options(tmp_path):
    import report

    with pytest.raises(ValueError, match="no option '--nothing'"):
        report.main([str(tmp_path), "--nothing"])
    with pytest.raises(FileNotFoundError, match="neither a run nor a grid"):
        report.main([str(tmp_path)])
