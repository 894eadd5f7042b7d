"""The main job from end to end, on a tiny synthetic corpus."""

import csv
import json
import pathlib

import pytest
import soundfile
import torch

from mtlaug_sb import load_plugins  # noqa: F401 (the YAML below uses it)
from mtlaug_sb.brain import MultiTaskBrain
from mtlaug_sb.corpora.synthetic import Synthetic
from mtlaug_sb.dataio.audio import AudioReader
from mtlaug_sb.dataio.corpus_manifest import build_manifest
from mtlaug_sb.dataio.datasets import UtteranceDataset
from mtlaug_sb.discriminant import DiscriminantAnalysis
from mtlaug_sb.inference import EmotionRecognizer

ROOT = pathlib.Path(__file__).parents[1]
YAMLS = sorted(p.relative_to(ROOT) for p in (ROOT / "hparams").glob("*.yaml"))


def table(path):
    """Rows of a CSV."""
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


@pytest.mark.parametrize("yaml", YAMLS, ids=lambda p: p.stem)
def test_every_yaml_trains_and_leaves_its_results(train, yaml, tmp_path):
    results = train(yaml)
    folder = tmp_path / "run"
    assert results == json.loads((folder / "results.json").read_text())
    assert 0 <= results["test"]["UAR"] <= 1
    assert results["synthetic"]
    assert results["versions"]["speechbrain"] == "1.1.2"
    assert {"train", "valid", "test"} <= set(results["speakers"])
    for name in ("hyperparams.yaml", "log.txt", "train_log.csv", "confusion.png", "learning_curves.png"):
        assert (folder / name).stat().st_size > 0, name
    rows = table(folder / "predictions.csv")
    assert len(rows) == results["utterances"]["test"] == 8
    assert list(rows[0]) == ["id", "speaker", "truth", "prediction", "p_anger", "p_happiness", "p_neutral", "p_sadness"]
    for row in rows:
        probabilities = [float(v) for k, v in row.items() if k.startswith("p_")]
        assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    log = table(folder / "train_log.csv")
    assert [r["epoch"] for r in log] == ["1", "2"]
    if not (folder / "model").exists():
        assert yaml.stem == "mtl_aug_huggingface"  # a pretrained model somewhere else is no plain data
        return
    records = json.loads((folder / "save" / "test.json").read_text())
    model = EmotionRecognizer.from_hparams(folder)
    normalization, pretrained = model.network.normalization, yaml.stem.startswith("mtl_aug_pretrained")
    assert (normalization.groups is not None, normalization.center) == (pretrained, not pretrained)
    answers = model.classify_files([r["path"] for r in records.values()])
    said = {utterance: answer.label for utterance, answer in zip(records, answers, strict=True)}
    assert said == {r["id"]: r["prediction"] for r in rows}


def test_a_class_is_trained_whichever_way_its_accent_is_written(train, tiny_corpus, tmp_path):
    rows = ["path,speaker,emotion"]
    for file in sorted(tiny_corpus.rglob("*.wav")):
        speaker, emotion, _ = file.stem.split("_")
        rows.append(f"{file},{speaker}," + emotion.replace("anger", "Cole\u0300re"))
    (tmp_path / "list.csv").write_text("\n".join(rows), encoding="utf-8")
    said = []
    for name in ("Cole\u0300re", "Col\u00e8re"):  # the accent as a letter of its own, and not
        folder = tmp_path / str(len(name))
        given = [
            "--corpus=folder",
            f"--data_folder={tmp_path / 'list.csv'}",
            "--corpus_options={}",
            f"--classes=[{name}, sadness]",
        ]
        assert train("hparams/stl.yaml", *given, folder=folder)["classes"] == ["Col\u00e8re", "sadness"]
        model = json.loads((folder / "model" / "model.json").read_text(encoding="utf-8"))
        assert model["tasks"]["emotion"]["classes"] == ["Col\u00e8re", "sadness"]
        said.append((folder / "predictions.csv").read_text(encoding="utf-8"))
    assert said[0] == said[1]


def test_every_term_of_the_loss_is_logged_by_name(train, tmp_path):
    train("hparams/mtl_aug.yaml", "--tensorboard=True")
    header = (tmp_path / "run" / "train_log.csv").read_text().splitlines()[0].split(",")
    terms = {"emotion/cross_entropy", "emotion/center", "reconstruction/mse", "augmentation/cross_entropy", "loss"}
    assert {f"train/{t}" for t in terms} <= set(header)
    assert {"train/augmentation/UAR", "valid/emotion/UAR", "valid/emotion/recall/anger", "lr"} <= set(header)
    assert any((tmp_path / "run" / "tensorboard").iterdir())


def test_the_loss_falls(train, tmp_path):
    train("hparams/mtl_aug.yaml", "--number_of_epochs=30")
    log = table(tmp_path / "run" / "train_log.csv")
    for term in ("emotion/cross_entropy", "reconstruction/mse"):
        values = [float(r[f"train/{term}"]) for r in log]
        assert values[-1] < 0.9 * values[0], term


def test_predictions_do_not_depend_on_the_batch(train, tmp_path):
    runs = [train("hparams/stl.yaml", f"--eval_batch_size={n}", folder=tmp_path / str(n)) for n in (1, 64)]
    assert runs[0]["test"] == runs[1]["test"]
    tables = [table(tmp_path / n / "predictions.csv") for n in ("1", "64")]
    for alone, together in zip(*tables, strict=True):
        for column in alone:
            if column.startswith("p_"):
                assert float(alone[column]) == pytest.approx(float(together[column]), abs=1e-5)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(train, tmp_path):
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        train("hparams/mtl_aug.yaml", f"--seed={seed}", folder=tmp_path / folder)
    texts = [(tmp_path / f / "predictions.csv").read_text() for f in "abc"]
    assert texts[0] == texts[1] != texts[2]


def test_normalisation_sees_training_speakers_only(train, tmp_path):
    train("hparams/stl.yaml")
    save = tmp_path / "run" / "save"
    stored = torch.load(next(save.glob("CKPT*/normalization.ckpt")))
    from mtlaug_sb.dataio.audio import AudioReader
    from mtlaug_sb.features.log_mel import LogMel

    hparams = (tmp_path / "run" / "hyperparams.yaml").read_text()
    read = AudioReader()
    records = json.loads((save / "train.json").read_text())
    settings = {"n_mels": len(stored["mean"])}
    for key in ("n_fft", "window_ms", "hop_ms", "high_hz", "low_hz", "floor"):
        line = [x for x in hparams.splitlines() if x.strip().startswith(f"{key}:")]
        settings |= {key: float(line[0].split(":")[1].split("#")[0])} if line else {}
    settings = {k: int(v) if k == "n_fft" else v for k, v in settings.items()}
    log_mel = LogMel(**settings)
    frames = torch.cat([log_mel(read(r["path"]).unsqueeze(0), torch.ones(1))[0][0] for r in records.values()])
    assert torch.allclose(stored["mean"], frames.mean(0), atol=1e-3)
    assert torch.allclose(stored["std"], frames.std(0), atol=1e-2)


def test_the_discriminant_analysis_sees_training_speakers_only_and_the_training_does_not_see_it(
    train, tmp_path, monkeypatch
):
    shown, fit = [], DiscriminantAnalysis.fit
    monkeypatch.setattr(
        DiscriminantAnalysis,
        "fit",
        lambda self, x, y, groups: (shown.append((len(x), set(groups))), fit(self, x, y, groups)),
    )
    runs = {
        gain: train("hparams/mtl_aug.yaml", f"--tasks.emotion.head.gain={gain}", folder=tmp_path / str(gain))
        for gain in (0, 1)
    }
    # the training utterances as they are, at 90 and at 110 %, and no others; muted, it need not know how sure it may be
    speakers = {r["speaker"] for r in json.loads((tmp_path / "1" / "save" / "train.json").read_text()).values()}
    assert len(speakers) > 1
    assert shown == [(3 * runs[0]["utterances"]["train"], groups) for groups in (set(), speakers)]
    logs = [table(tmp_path / gain / "train_log.csv") for gain in ("0", "1")]
    for alone, together in zip(*logs, strict=True):
        assert {k: v for k, v in alone.items() if k.startswith("train/")} == {
            k: v for k, v in together.items() if k.startswith("train/")
        }
    assert table(tmp_path / "0" / "predictions.csv") != table(tmp_path / "1" / "predictions.csv")


@pytest.mark.parametrize(
    ("limits", "sizes"),
    [
        ({"FOR_FITTING": 12, "IN_AN_OUTCOME": 2}, {"mtl_aug": [4, 4, 4], "stl": [12]}),
        ({"FOR_FITTING": 12, "IN_AN_OUTCOME": 5}, {"mtl_aug": [5, 5, 5], "stl": [12]}),
        ({"MANY": 15, "FOR_FITTING_OF_MANY": 6, "IN_AN_OUTCOME": 1}, {"mtl_aug": [2, 2, 2], "stl": [6]}),
        ({"FOR_FITTING": 48, "IN_AN_OUTCOME": 1}, {"mtl_aug": [16], "stl": [16]}),
    ],
)
def test_of_many_utterances_heads_that_are_solved_for_are_shown_others_in_every_outcome(train, monkeypatch, limits, sizes):
    shown, fit_heads = [], MultiTaskBrain.fit_heads

    def remember(brain, parts, speakers):
        shown.extend((outcomes, [i for batch in loader for i in batch.id]) for loader, outcomes in parts)
        assert set(speakers) == {utterance for _, ids in shown for utterance in ids}
        fit_heads(brain, parts, speakers)

    monkeypatch.setattr(MultiTaskBrain, "fit_heads", remember)
    for name, limit in limits.items():
        monkeypatch.setattr(f"train.{name}", limit)
    for system, n_shown in sizes.items():
        shown.clear()
        assert train(f"hparams/{system}.yaml", "--overwrite=True")["utterances"]["train"] == 16
        assert [len(ids) for _, ids in shown] == n_shown
        assert sum(len(outcomes) for outcomes, _ in shown) == (3 if system == "mtl_aug" else 1)
        assert len({utterance for _, ids in shown for utterance in ids}) == min(sum(n_shown), 16)


def test_unlabelled_speech_joins(train, tiny_corpus):
    results = train(
        "hparams/mtl_aug.yaml",
        "--unlabelled_corpus=folder",
        f"--unlabelled_folder={tiny_corpus / 's04'}",
        "--batches={batch_size: 8, unlabelled_ratio: 0.5}",
        "--unlabelled_max_s=0.5",
        "--test_speaker=s01",
        "--seed=3",
    )
    assert results["utterances"]["unlabelled"] == 8


def test_of_long_unlabelled_speech_the_beginning_is_heard(tiny_corpus):
    records = build_manifest(Synthetic(n_speakers=4, n_utterances=2), tiny_corpus, AudioReader(16000))
    whole, cut = (UtteranceDataset(records, {}, AudioReader(16000), longest_s=s)[0]["wav"] for s in (None, 0.5))
    assert len(whole) > 8000
    assert torch.equal(cut, whole[:8000])


def test_unlabelled_speech_of_the_test_speaker_is_refused(train, tiny_corpus):
    with pytest.raises(ValueError, match=r"is in the test split, and as .* in the unlabelled split"):
        train("hparams/mtl_aug.yaml", "--unlabelled_corpus=folder", f"--unlabelled_folder={tiny_corpus / 's01'}")


def test_bf16_and_gradient_accumulation_learn(train, tmp_path):
    train("hparams/mtl_aug.yaml", "--precision=bf16", "--grad_accumulation_factor=2", "--number_of_epochs=20")
    log = table(tmp_path / "run" / "train_log.csv")
    assert float(log[-1]["train/reconstruction/mse"]) < 0.95 * float(log[0]["train/reconstruction/mse"])


@pytest.fixture
def spy(monkeypatch):
    """What went through the model: {stage: {id: whether its emotion was known}}, and the weights at the test."""
    from mtlaug_sb.brain import MultiTaskBrain

    seen = {"TRAIN": {}, "VALID": {}, "TEST": {}}
    forward = MultiTaskBrain.compute_forward

    def compute_forward(self, batch, stage):
        for name, target in zip(batch.id, batch["emotion"], strict=True):
            seen[stage.name][name] = not target.isnan().any()
        if stage.name == "TEST":
            seen["weights"] = {k: v.clone() for k, v in self.modules.encoder.state_dict().items()}
        return forward(self, batch, stage)

    monkeypatch.setattr(MultiTaskBrain, "compute_forward", compute_forward)
    return seen


def test_each_stage_meets_the_speakers_of_its_split_and_no_other(train, spy, tiny_corpus, tmp_path):
    # the unlabelled speech has labels, which must not be used
    rows = [f"{p},{p.stem.split('_')[1]}" for p in sorted((tiny_corpus / "s04").glob("*.wav"))]
    (tmp_path / "more.csv").write_text("path,emotion\n" + "\n".join(rows))
    train("hparams/mtl_aug.yaml", "--unlabelled_corpus=folder", f"--unlabelled_folder={tmp_path / 'more.csv'}", "--seed=3")
    save = tmp_path / "run" / "save"
    splits = {s: set(json.loads((save / f"{s}.json").read_text())) for s in ("train", "valid", "test", "unlabelled")}
    assert set(spy["TRAIN"]) == splits["train"] | splits["unlabelled"]
    assert set(spy["VALID"]) == splits["valid"]
    assert set(spy["TEST"]) == splits["test"]
    assert {k for k, known in spy["TRAIN"].items() if known} == splits["train"]


def test_the_best_epoch_is_what_is_tested_and_kept(train, spy, tmp_path):
    for folder, column, best in (("a", "valid/loss", max), ("b", "-valid/loss", min)):
        results = train("hparams/stl.yaml", f"--choose_epoch_by={column}", "--number_of_epochs=6", folder=tmp_path / folder)
        losses = [float(r["valid/loss"]) for r in table(tmp_path / folder / "train_log.csv")]
        assert results["best_epoch"] == 1 + losses.index(best(losses))
        (checkpoint,) = (tmp_path / folder / "save").glob("CKPT*")
        kept = torch.load(checkpoint / "encoder.ckpt")
        assert all(torch.equal(kept[k], v) for k, v in spy["weights"].items())


def test_utterances_without_emotion_train_as_unlabelled_speech(train, spy, tiny_corpus, tmp_path):
    rows = []
    for k, path in enumerate(sorted(tiny_corpus.rglob("*.wav"))):
        speaker, emotion, _ = path.stem.split("_")
        rows.append(f"{path},{speaker},{'' if k % 8 == 7 else emotion}")
    (tmp_path / "list.csv").write_text("path,speaker,emotion\n" + "\n".join(rows))
    folder = ["--corpus=folder", f"--data_folder={tmp_path / 'list.csv'}", "--corpus_options={}"]
    results = train("hparams/mtl_aug.yaml", *folder)
    assert results["utterances"] == {"train": 14, "valid": 7, "test": 7, "unlabelled": 2}
    assert sum(not known for known in spy["TRAIN"].values()) == 2


def test_a_batch_of_one_short_file_trains(train, tiny_corpus, tmp_path):
    rows = [f"{p},{p.stem.split('_')[0]},{p.stem.split('_')[1]}" for p in sorted(tiny_corpus.rglob("*.wav"))]
    wav, rate = soundfile.read(next(tiny_corpus.rglob("*.wav")))
    soundfile.write(tmp_path / "short.wav", wav[8000:8480], rate)  # 30 ms
    rows += [f"{tmp_path / 'short.wav'},{speaker},anger" for speaker in ("s03",)]
    (tmp_path / "list.csv").write_text("path,speaker,emotion\n" + "\n".join(rows))
    folder = ["--corpus=folder", f"--data_folder={tmp_path / 'list.csv'}", "--corpus_options={}"]
    train("hparams/mtl_aug.yaml", *folder, "--batches={batch_size: 1}", "--number_of_epochs=1")


NEW_PLUGINS = '''
import torch
from torch import nn
from mtlaug_sb import register


@register("head", "unseen_head")
class UnseenHead(nn.Module):
    """Mean over the valid frames, one layer."""

    def __init__(self, input_size, n_outputs):
        super().__init__()
        self.output = nn.Linear(input_size, n_outputs)

    def forward(self, frames, lengths):
        return {"answer": self.output(frames.sum(1) / (lengths * frames.shape[1]).unsqueeze(1))}


@register("loss", "unseen_loss")
class UnseenLoss(nn.Module):
    """Squared error against probabilities."""

    reads = "answer"

    def forward(self, predictions, targets, lengths):
        return (predictions - targets).square().mean(1)


@register("augmentation", "unseen_effect")
class UnseenEffect(nn.Module):
    """Half the level."""

    domain = "waveform"

    def forward(self, inputs, lengths, targets, generator):
        return inputs / 2, lengths, targets
'''


NEW_YAML = """
base: {base}
plugins: !apply:mtlaug_sb.load_plugins [{plugins}]
augmentation:
    effects:
        quiet: !apply:mtlaug_sb.make {{plugin: augmentation/unseen_effect}}
    probabilities: {{none: 0.2, quiet: 0.2, speed: 0.2, specaugment: 0.2, mixup: 0.2}}
targets:
    gender: !apply:mtlaug_sb.make {{plugin: target/categories, label: gender, names: [female, male]}}
tasks:
    unseen: !new:mtlaug_sb.task.Task
        target: gender
        head: !apply:mtlaug_sb.make {{plugin: head/unseen_head, input_size: !ref <top_size>, n_outputs: 2}}
        losses:
            squared: !apply:mtlaug_sb.make {{plugin: loss/unseen_loss}}
"""


def test_a_task_head_loss_and_effect_the_library_has_never_seen(train, tmp_path):
    (tmp_path / "unseen.py").write_text(NEW_PLUGINS)
    yaml = tmp_path / "unseen.yaml"
    yaml.write_text(NEW_YAML.format(base=ROOT / "hparams" / "stl_aug.yaml", plugins=tmp_path / "unseen.py"))
    train(yaml, "--number_of_epochs=8")
    log = table(tmp_path / "run" / "train_log.csv")
    assert float(log[-1]["train/unseen/squared"]) < float(log[0]["train/unseen/squared"])
    assert "valid/unseen/squared" in log[0]
    # its head calls its prediction otherwise than an exported model can tell: the others are there
    model = EmotionRecognizer.from_hparams(tmp_path / "run")
    assert list(model.description["tasks"]) == ["emotion"]
    assert "'unseen' is not in model/: its head gives no 'logits' [batch, 2]" in (tmp_path / "run" / "log.txt").read_text()


# ---------------------------------------------------------------------- folders and errors


def test_a_finished_folder_is_kept_and_overwritten_on_request(train):
    train("hparams/stl.yaml")
    with pytest.raises(FileExistsError, match="holds a finished run"):
        train("hparams/stl.yaml")
    train("hparams/stl.yaml", "--overwrite=True", "--seed=1")


def test_without_validation_speakers_all_others_train_and_the_last_epoch_is_taken(train, tmp_path):
    results = train("hparams/stl.yaml", "--n_valid_speakers=0")
    assert results["utterances"] == {"train": 24, "valid": 0, "test": 8}
    assert (results["best_epoch"], results["valid_score"]) == (2, 2)
    assert not any(
        c.startswith("valid/") for c in (tmp_path / "run" / "train_log.csv").read_text().split("\n")[0].split(",")
    )
    assert json.loads((tmp_path / "run" / "model" / "model.json").read_text())["calibration"]["temperature"] == 1.0


def test_an_overwritten_run_is_kept_until_the_new_one_is_finished(train, tmp_path):
    train("hparams/stl.yaml")
    results = (tmp_path / "run" / "results.json").read_text()
    with pytest.raises(FileNotFoundError):
        train("hparams/stl.yaml", "--overwrite=True", "--corpus=emodb", "--data_folder=/typo")
    assert (tmp_path / "run.replaced" / "results.json").read_text() == results
    with pytest.raises(FileNotFoundError):  # and once more
        train("hparams/stl.yaml", "--overwrite=True", "--corpus=emodb", "--data_folder=/typo")
    assert (tmp_path / "run.replaced" / "results.json").read_text() == results
    train("hparams/stl.yaml")
    assert not (tmp_path / "run.replaced").exists()


def test_a_run_killed_as_it_began_is_no_foreign_folder(train, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "hyperparams.yaml.part").write_text("half")

    def kill(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("speechbrain.utils.logger.setup_logging", kill)
        with pytest.raises(KeyboardInterrupt):
            train("hparams/stl.yaml")
    assert (tmp_path / "run" / "train.py").exists()
    train("hparams/stl.yaml", "--number_of_epochs=1")


def test_a_foreign_folder_is_left_alone(train, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("dear")
    for more in ([], ["--overwrite=True"]):
        with pytest.raises(FileExistsError, match="holds something that is no run"):
            train("hparams/stl.yaml", *more)
    assert (tmp_path / "run" / "thesis.tex").exists()


def test_an_unfinished_run_with_other_settings_is_refused(train, tmp_path):
    train("hparams/stl.yaml")
    (tmp_path / "run" / "results.json").unlink()
    train_json = tmp_path / "run" / "save" / "train.json"
    text = train_json.read_text()
    train_json.write_text(text.replace('"anger"', '"sadness"'))
    with pytest.raises(FileExistsError, match=r"was another \(train: 4 utterances"):
        train("hparams/stl.yaml")
    train_json.write_text(text)
    with pytest.raises(FileExistsError, match=r"other settings \(lr, opt_class\)"):
        train("hparams/stl.yaml", "--lr=0.1")


def test_a_main_task_without_classes_is_refused_before_training(train):
    with pytest.raises(ValueError, match="'reconstruction' has no classes"):
        train("hparams/mtl_aug.yaml", "--main_task=reconstruction")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--corpus=emodb", "--data_folder=null"], "corpus 'emodb' needs its folder"),
        (["--corpus=emodb", "--data_folder=/nowhere"], "no data folder '/nowhere' for corpus 'emodb'"),
        (["--corpus=emodbb"], "did you mean corpus/emodb"),
        (["--classes=[anger, joy]"], "has no emotion 'joy'; it has anger, happiness, neutral, sadness"),
        (["--test_speaker=s99"], "no speaker 's99'; the speakers are s01, s02, s03, s04"),
        (["--n_valid_speakers=3"], "4 speakers are too few"),
        (["--choose_epoch_by=valid/emotion/uar"], "no column 'valid/emotion/uar'"),
        (["--tasks.emotion.target=emotoin"], "needs the target 'emotoin', which nobody provides; did you mean 'emotion'"),
        (["--main_task=emotoin"], "main_task: no task is called 'emotoin'; the tasks are emotion"),
        (["--number_of_epochs=0"], "number_of_epochs must be a whole number of at least 1, is 0"),
        (["--batches={batch_sise: 4}"], "batches: no key 'batch_sise'"),
        (["--save_folder=/tmp/elsewhere"], "save_folder must be inside the output folder"),
        (["--test_only"], "there is no checkpoint"),
    ],
)
def test_bad_settings_get_one_clear_line(script, more, says):
    process = script("hparams/stl.yaml", *more)
    assert process.returncode != 0
    last = process.stderr.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert says in last
    assert "Traceback (most" not in process.stderr + process.stdout
