"""recipes/evaluate.py on a finished grid: every condition, the same noise for all, continued where it stopped."""

import csv
import json
import shutil

import numpy as np
import pytest
import soundfile
import torch
from conftest import ROOT
from safetensors.torch import load_file, save_file
from small_grid import write_small_grid

from mtlaug_sb.acoustics import put_into_room
from mtlaug_sb.dataio.audio import AudioError, AudioReader
from mtlaug_sb.inference.adaptation import RELEVANCE
from mtlaug_sb.robustness.surroundings import samples_hash


@pytest.fixture(scope="module")
def grid(tiny_corpus, tmp_path_factory):
    """The folder of a grid of two folds and two repeats."""
    return write_small_grid(tmp_path_factory.mktemp("grid") / "stl", tiny_corpus)


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """Two environments."""
    folder = tmp_path_factory.mktemp("noise")
    for k, name in enumerate(("hiss", "hum")):
        (folder / name).mkdir()
        samples = np.random.default_rng(k).normal(size=20000) if k == 0 else np.sin(np.arange(20000) / 20)
        soundfile.write(folder / name / "a.wav", 0.1 * samples, 16000)
    return folder


def evaluate(*arguments):
    import evaluate

    return evaluate.main(list(map(str, arguments)))


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_noise_on_every_cell_as_the_comparison_reads_it(grid, noise, tmp_path, capsys):
    import compare

    rows = evaluate(grid, f"--noise={noise}", "--snr_db=20,0", f"--output_folder={tmp_path}/out")
    assert [(r["condition"], r["level"]) for r in rows] == [
        ("clean", None), ("noise_hiss", 20), ("noise_hiss", 0), ("noise_hum", 20), ("noise_hum", 0),
    ]  # fmt: skip
    clean = rows_of(tmp_path / "out" / "clean" / "predictions_seed_1.csv")
    before = rows_of(grid / "predictions_seed_1.csv")
    assert [r["prediction"] for r in clean] == [r["prediction"] for r in before]
    out, err = capsys.readouterr()
    assert "warning" not in err
    assert "| mean over 2 environments | 0 dB |" in out
    hiss = tmp_path / "out" / "noise_hiss" / "0dB"
    summary = json.loads((hiss / "summary.json").read_text())
    assert (summary["condition"], summary["level"], summary["utterances"]) == ("noise_hiss", 0.0, 32)
    assert compare.main([str(tmp_path / "out" / "clean"), str(hiss)])["systems"][1]["UAR"] == rows[2]["UAR"]
    # both repeats, which are other systems, heard the same
    heard = [{r["id"]: r["heard"] for r in rows_of(hiss / f"predictions_seed_{s}.csv")} for s in (0, 1)]
    assert heard[0] == heard[1]
    assert len(set(heard[0].values())) == 32


def test_what_is_there_is_not_computed_again_and_other_settings_are_refused(grid, noise, tmp_path):
    call = [grid, f"--noise={noise}/hum", "--snr_db=0", "--seeds=0", f"--output_folder={tmp_path}"]
    first = evaluate(*call)
    lost, *kept = sorted(tmp_path.rglob("seed_*/*/predictions.csv"))
    before = lost.read_text()
    stamps = [p.stat().st_mtime_ns for p in kept]
    lost.unlink()
    assert evaluate(*call) == first
    assert lost.read_text() == before
    assert [p.stat().st_mtime_ns for p in kept] == stamps
    more = evaluate(*call[:2], "--snr_db=10", *call[3:])
    assert len(more) == len(first) + 1  # further ratios join those that are there
    with pytest.raises(FileExistsError, match=r"other settings \(seed\)"):
        evaluate(*call, "--seed=1")


def test_the_mean_is_over_the_environments_that_are_asked_for(grid, noise, tmp_path, capsys):
    call = [grid, "--snr_db=0", "--seeds=0", f"--output_folder={tmp_path}"]
    evaluate(*call, f"--noise={noise}/hum")
    assert "mean over" not in capsys.readouterr().out
    evaluate(*call, f"--noise={noise}/hiss")
    said = capsys.readouterr().out
    assert "noise_hum" in said
    assert "mean over" not in said
    evaluate(*call, f"--noise={noise}")
    assert "mean over 2 environments | 0 dB" in capsys.readouterr().out


def test_a_model_trained_anew_is_tested_anew(grid, noise, tmp_path):
    mine = shutil.copytree(grid, tmp_path / "stl")
    call = [mine, f"--noise={noise}/hum", "--snr_db=0", "--seeds=0"]
    evaluate(*call)
    table = mine / "robustness" / "noise_hum" / "0dB" / "predictions_seed_0.csv"
    first = rows_of(table)
    for weights in (mine / "seed_0").rglob("*.safetensors"):
        save_file(
            {name: 1.1 * value if value.is_floating_point() else value for name, value in load_file(weights).items()},
            weights,
        )
    evaluate(*call)
    assert {r["p_anger"] for r in rows_of(table)}.isdisjoint(r["p_anger"] for r in first)


def test_a_repeat_in_the_making_is_passed_over(grid, noise, tmp_path):
    mine = shutil.copytree(grid, tmp_path / "stl")
    summary = json.loads((mine / "summary.json").read_text())
    del summary["repeats"]["1"]
    (mine / "summary.json").write_text(json.dumps(summary))
    cell = next((mine / "seed_0").iterdir())
    shutil.copytree(cell, cell.with_name(f"{cell.name}.replaced"))
    assert {r["repeats"] for r in evaluate(mine)} == {1}


def test_a_run_under_babble_in_a_room_and_under_attack(grid, noise, tiny_corpus, tmp_path):
    pytest.importorskip("art", reason="the Adversarial Robustness Toolbox (extra [attacks]) is not installed")
    run = grid / "seed_0" / "fold_s01+s02"
    voices = f"{{synthetic: {{folder: {tiny_corpus}, options: {{n_speakers: 4, n_utterances: 2}}}}}}"
    rows = evaluate(
        run, f"--babble={voices}", "--talkers=3", "--snr_db=0", f"--rooms={noise}", "--attack=fgsm", "--strengths=0,0.5",
        "--on=features", f"--transfer_from={grid}", f"--output_folder={tmp_path}",
    )  # fmt: skip
    uars = {(r["condition"], r["level"]): r["UAR"] for r in rows}
    assert set(uars) == {
        ("clean", None), ("babble", 0.0), ("room_hiss", None), ("room_hum", None),
        ("fgsm_features_from_stl", 0.0), ("fgsm_features_from_stl", 0.5),
    }  # fmt: skip
    assert uars["fgsm_features_from_stl", 0.0] == uars["clean", None]
    assert uars["fgsm_features_from_stl", 0.5] <= uars["clean", None]


def test_a_rooms_response_is_heard_as_it_is(grid, tmp_path):
    response = np.exp(-np.arange(400) / 50).astype("float32")  # whose mean is a part of it
    (tmp_path / "rooms" / "hall").mkdir(parents=True)
    soundfile.write(tmp_path / "rooms" / "hall" / "a.wav", response, 16000, "FLOAT")
    run = grid / "seed_0" / "fold_s01+s02"
    evaluate(run, f"--rooms={tmp_path / 'rooms'}", f"--output_folder={tmp_path / 'out'}")
    row, *_ = rows_of(next((tmp_path / "out" / "room_hall").rglob("predictions.csv")))
    wav = AudioReader()(json.loads((run / "save" / "test.json").read_text())[row["id"]]["path"])
    assert row["heard"] == samples_hash(put_into_room(wav, torch.from_numpy(response)))


def test_another_corpus_as_a_whole_by_every_cell(grid, tmp_path, tiny_corpus):
    from mtlaug_sb.corpora.synthetic import Synthetic

    list(Synthetic(n_speakers=2, n_utterances=1, seed=7).read(tmp_path / "other"))
    other = (
        f"{{other: {{corpus: synthetic, folder: {tmp_path}/other, options: {{n_speakers: 2, n_utterances: 1, seed: 7}}}}}}"
    )
    rows = evaluate(grid, f"--corpus={other}", "--seeds=0", f"--output_folder={tmp_path}/a")
    assert rows[0]["repeats"] == 2  # every cell tests all of it
    adapted = evaluate(
        grid / "seed_0" / "fold_s01+s02", f"--corpus={other}", f"--output_folder={tmp_path}/b", "--target_statistics"
    )
    settings = json.loads((tmp_path / "b" / "clean" / "summary.json").read_text())["settings"]
    assert "unlabelled clean test utterances" in settings["normalization"]
    tables = [rows_of(next((tmp_path / x / "clean").glob("predictions_seed_0*.csv"))) for x in ("a", "b")]
    assert [r["id"] for r in tables[0]] == [r["id"] for r in tables[1]]
    assert [r["p_anger"] for r in tables[0]] != [r["p_anger"] for r in tables[1]]
    assert adapted[0]["condition"] == "clean"
    with pytest.raises(ValueError, match="self-training is for heads that can adapt"):
        evaluate(grid / "seed_0" / "fold_s01+s02", f"--corpus={other}", f"--output_folder={tmp_path}/d", "--self_training")
    by_speaker = ("--target_statistics", "--by_speaker", f"--output_folder={tmp_path}/e")
    evaluate(grid / "seed_0" / "fold_s01+s02", f"--corpus={other}", *by_speaker)
    path = tmp_path / "e" / "clean"
    assert json.loads((path / "summary.json").read_text())["settings"]["normalization"].endswith(
        "test utterances of each speaker, relevance 8"
    )
    table = rows_of(next(path.glob("predictions_seed_0*.csv")))
    assert [r["id"] for r in table] == [r["id"] for r in tables[0]]
    with pytest.raises(ValueError, match="--by_speaker says whose statistics: give --target_statistics"):
        evaluate(grid, "--by_speaker")
    with pytest.raises(ValueError, match="--by_speaker does not go with --attack"):
        evaluate(grid, "--target_statistics", "--by_speaker", "--attack=fgsm")
    with pytest.raises(ValueError, match="--enrolment says how many utterances of each speaker: give --by_speaker"):
        evaluate(grid, "--target_statistics", "--enrolment=2")
    own = f"{{synthetic: {{folder: {tiny_corpus}, options: {{n_speakers: 4, n_utterances: 2}}}}}}"
    with pytest.raises(ValueError, match=r"speaker synthetic/s0[13] is in the train split"):
        evaluate(grid, f"--corpus={own}", f"--output_folder={tmp_path}/c")


def test_answers_over_several_speeds(grid, tmp_path, capsys):
    from mtlaug_sb.inference import EmotionRecognizer

    evaluate(grid, "--seeds=0", "--speeds=60,70")
    assert "warning" not in capsys.readouterr().err  # that they are not those of the training
    out = grid / "robustness_speeds_60_70" / "clean"
    assert json.loads((out / "summary.json").read_text())["settings"]["speeds"] == [60, 70]
    answered = {r["id"]: r for r in rows_of(out / "predictions_seed_0.csv")}
    cell = grid / "seed_0" / "fold_s01+s02"
    model = EmotionRecognizer.from_hparams(
        cell, overrides={"speeds": [60, 70], "temperature": 1.0}, run_opts={"device": "cpu"}
    )
    records = json.loads((cell / "save" / "test.json").read_text())
    assert len(records) == 16
    for id_, record in records.items():
        scores = model.classify_file(record["path"]).scores[0].tolist()
        assert [float(answered[id_][f"p_{name}"]) for name in model.labels] == pytest.approx(scores, abs=1e-4)
    with pytest.raises(ValueError, match="--speeds does not go with --attack"):
        evaluate(grid, "--speeds=90", "--attack=fgsm")
    for wrong in ("100", "fast", "90,90", "-5"):
        with pytest.raises(ValueError, match="speeds must be a list of whole percents"):
            evaluate(grid, f"--speeds={wrong}")


def test_the_help_lists_every_option():
    import evaluate

    options = vars(evaluate.read_options(["result"])).keys() - {"result", "adaptation"}
    assert [name for name in options if f"--{name}" not in evaluate.__doc__] == []


def test_who_is_enrolled_is_not_tested(grid, tmp_path, monkeypatch):
    from mtlaug_sb.robustness.systems import TrainedNetwork

    given, adapt_to = [], TrainedNetwork.adapt_to
    monkeypatch.setattr(TrainedNetwork, "adapt_to", lambda self, *a: given.append(a) or adapt_to(self, *a))
    asked = ("--target_statistics", "--by_speaker", "--seeds=0", f"--output_folder={tmp_path}")
    evaluate(grid, *asked, "--enrolment=5")
    table = rows_of(tmp_path / "clean" / "predictions_seed_0.csv")
    for wavs_of, self_training, relevance in given:
        assert [len(wavs) for wavs in wavs_of.values()] == [5, 5]
        assert (self_training, relevance) == (False, RELEVANCE)
    evaluate(grid, "--seeds=0", f"--output_folder={tmp_path}/plain", "--enrolment=5")
    plain = rows_of(tmp_path / "plain" / "clean" / "predictions_seed_0.csv")
    assert [r["id"] for r in plain] == [r["id"] for r in table]
    assert [r["p_anger"] for r in plain] != [r["p_anger"] for r in table]
    whole = rows_of(grid / "predictions_seed_0.csv")
    of_speaker = {s: sum(r["speaker"] == s for r in whole) for s in {r["speaker"] for r in whole}}
    assert {s: sum(r["speaker"] == s for r in table) for s in of_speaker} == {s: n - 5 for s, n in of_speaker.items()}
    assert len({r["id"] for r in table}) == len(table)
    settings = json.loads((tmp_path / "clean" / "summary.json").read_text())["settings"]
    assert settings["normalization"] == "statistics of 5 unlabelled clean utterances of each speaker, relevance 8"
    assert (settings["enrolment"], settings["enrolment_seed"]) == (5, 0)
    with pytest.raises(ValueError, match=r"enrolment of 8: speaker .* has 8 utterances, and none is left to test"):
        evaluate(grid, *asked[:-1], f"--output_folder={tmp_path}/b", "--enrolment=8")


def test_self_training_speaker_by_speaker_in_noise(tiny_corpus, noise, tmp_path, monkeypatch):
    from mtlaug_sb.robustness.systems import TrainedNetwork

    turned, turn_to = [], TrainedNetwork.turn_to
    monkeypatch.setattr(TrainedNetwork, "turn_to", lambda self, whose: turned.append(whose) or turn_to(self, whose))
    solved = write_small_grid(tmp_path / "solved", tiny_corpus, seeds=(0,), functionals=True)
    asked = ("--by_speaker", f"--noise={noise}/hum", "--snr_db=10,0")
    evaluate(solved, *asked, "--self_training")
    # each cell's two speakers, in silence and in noise, of which both levels are answered in one go
    assert turned == [("synthetic", s) for pair in (("s01", "s02"), ("s03", "s04")) for _ in range(2) for s in pair]
    out = solved / "robustness_self_training_by_speaker"
    answered = {}
    for condition in ("clean", "noise_hum/10dB", "noise_hum/0dB"):
        settings = json.loads((out / condition / "summary.json").read_text())["settings"]
        assert settings["normalization"].endswith("of each speaker, relevance 8")
        assert settings["self_training"] is True
        answered[condition] = rows_of(out / condition / "predictions_seed_0.csv")
    assert [r["id"] for r in answered["noise_hum/0dB"]] == [r["id"] for r in answered["clean"]]
    assert all(r["heard"] for r in answered["noise_hum/0dB"])
    assert len({tuple(r["p_anger"] for r in rows) for rows in answered.values()}) == 3
    # each utterance hears what it hears when nobody is adapted to
    evaluate(solved, *asked[1:], f"--output_folder={tmp_path}/plain")
    plain = rows_of(tmp_path / "plain" / "noise_hum" / "0dB" / "predictions_seed_0.csv")
    assert {r["id"]: r["heard"] for r in plain} == {r["id"]: r["heard"] for r in answered["noise_hum/0dB"]}
    evaluate(solved, *asked, "--target_statistics")
    statistics_alone = rows_of(solved / "robustness_target_statistics_by_speaker" / "clean" / "predictions_seed_0.csv")
    assert [r["p_anger"] for r in statistics_alone] != [r["p_anger"] for r in answered["clean"]]


@pytest.fixture
def foreign(tmp_path):
    """A CSV of another corpus: its own names of the classes, an utterance of nobody, a broken file."""
    from mtlaug_sb.corpora.synthetic import Synthetic

    names = {"anger": "rabbia", "happiness": "gioia", "neutral": "neutrale", "sadness": "tristezza"}
    found = list(Synthetic(n_speakers=2, n_utterances=2, seed=7).read(tmp_path / "audio"))
    rows = [(u.path, u.speaker if k else "", names[u.labels["emotion"]]) for k, u in enumerate(found)]
    (tmp_path / "broken.wav").write_bytes(b"")
    rows.append((tmp_path / "broken.wav", found[0].speaker, "rabbia"))
    table = tmp_path / "italian.csv"
    table.write_text("\n".join(["path,speaker,emotion", *(f"{p},{s},{e}" for p, s, e in rows)]) + "\n")
    back = ", ".join(f"{there}: {here}" for here, there in names.items())
    return f"corpus: folder, folder: {table}", f"map: {{emotion: {{{back}}}}}", len(found)


def test_a_foreign_corpus_is_mapped_step_by_step(grid, foreign, tmp_path, capsys):
    where, mapping, n = foreign
    run, out = grid / "seed_0" / "fold_s01+s02", f"--output_folder={tmp_path}/out"
    with pytest.raises(AudioError, match="--skip_bad_audio"):
        evaluate(run, f"--corpus={{it: {{{where}}}}}", out)
    with pytest.raises(ValueError, match=r"no emotion 'anger'; it has gioia, .*rabbia.* by map"):
        evaluate(run, f"--corpus={{it: {{{where}}}}}", out, "--skip_bad_audio")
    evaluate(run, f"--corpus={{it: {{{where}, {mapping}}}}}", out, "--skip_bad_audio")
    assert "1 of 16 utterances have no speaker and are left out" in capsys.readouterr().err
    assert len(rows_of(next((tmp_path / "out" / "clean").glob("predictions_seed_0*.csv")))) == n - 1
    with pytest.raises(FileExistsError, match=r"other settings \(test_set\)"):  # the same name, and other classes
        evaluate(
            run,
            f"--corpus={{it: {{{where}, {mapping.replace('rabbia: anger', 'rabbia: sadness')}}}}}".replace(
                "tristezza: sadness", "tristezza: anger"
            ),
            out,
            "--skip_bad_audio",
        )


def test_a_model_that_answers_otherwise_than_its_predictions_is_told_of(grid, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(grid / "seed_0" / "fold_s01+s02", run)
    table = (run / "predictions.csv").read_text().splitlines()
    first = table[1].split(",")
    first[4] = "0.999999"
    (run / "predictions.csv").write_text("\n".join([table[0], ",".join(first), *table[2:], ""]))
    evaluate(run)
    assert "warning" in capsys.readouterr().err


def test_the_svm_in_the_same_noise(grid, noise, arguments, spectra, monkeypatch, tmp_path):
    import svm_baseline

    import mtlaug_sb.robustness.systems

    monkeypatch.setattr(mtlaug_sb.robustness.systems, "Functionals", spectra)
    monkeypatch.chdir(ROOT)
    svm_baseline.main(arguments("hparams/stl.yaml", "--folds=2", folder=tmp_path / "svm"))
    evaluate(tmp_path / "svm", f"--noise={noise}", "--snr_db=0")
    out = tmp_path / "svm" / "robustness"
    again = {r["id"]: r["p_anger"] for r in rows_of(out / "clean" / "predictions_seed_0.csv")}
    assert again == {r["id"]: r["p_anger"] for r in rows_of(tmp_path / "svm" / "predictions_seed_0.csv")}
    evaluate(tmp_path / "svm", "--target_statistics", "--by_speaker")
    own = rows_of(tmp_path / "svm" / "robustness_target_statistics_by_speaker" / "clean" / "predictions_seed_0.csv")
    assert [r["id"] for r in own] == list(again)
    assert {r["id"]: r["p_anger"] for r in own} != again
    with pytest.raises(ValueError, match="an SVM is none"):
        evaluate(tmp_path / "svm", "--self_training")
    with pytest.raises(ValueError, match="is an SVM: --speeds is for networks"):
        evaluate(tmp_path / "svm", "--speeds=90")
    evaluate(grid, f"--noise={noise}", "--snr_db=0", "--seeds=0", f"--output_folder={tmp_path}/net")
    heard = [
        {r["id"]: r["heard"] for r in rows_of(folder / "noise_hum" / "0dB" / "predictions_seed_0.csv")}
        for folder in (out, tmp_path / "net")
    ]
    assert heard[0] == heard[1]
    if pytest.importorskip("art"):
        transferred = evaluate(
            tmp_path / "svm", "--attack=fgsm", "--on=waveform", "--attack_snr_db=20", f"--transfer_from={grid}"
        )
        assert "fgsm_waveform_from_stl" in {r["condition"] for r in transferred}
        with pytest.raises(ValueError, match="no gradients"):
            evaluate(tmp_path / "svm", "--attack=fgsm")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--nois=x"], "no option '--nois=x'"),
        (["--corpus=emodb"], "must be {NAME: FOLDER}"),
        (["--corpus={emodb: [1"], "must be {NAME: FOLDER}"),
        (["--transfer_from=x"], "give --attack"),
        (["--seeds=9"], "no such repeat"),
        (["--talkers=0"], "--talkers must be at least 1, is 0"),
    ],
)
def test_wrong_options(grid, arguments, says):
    with pytest.raises(ValueError, match=says):
        evaluate(grid, *arguments)


def test_a_folder_without_results(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither a run nor a grid"):
        evaluate(tmp_path)
    (tmp_path / "seed_0").mkdir()
    with pytest.raises(FileNotFoundError, match="not finished"):
        evaluate(tmp_path)
