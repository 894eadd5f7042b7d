"""A trained model in use."""

import json
import random

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
import torchmetrics
from scipy.optimize import minimize
from small_model import write_small_model, write_voices
from speechbrain.utils.run_opts import RunOptions

from mtlaug_sb.evaluation.results import read_predictions
from mtlaug_sb.inference import AudioError, EmotionRecognizer, ModelError
from mtlaug_sb.inference.augmentation_effect import apply_augmentation
from mtlaug_sb.inference.calibration import calibrate, expected_calibration_error
from mtlaug_sb.inference.hub import fetch_model
from mtlaug_sb.inference.model_folder import read_model
from mtlaug_sb.temperature import fit_temperature


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_small_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="module")
def model(folder):
    return EmotionRecognizer.from_hparams(source=folder, run_opts={"device": "cpu"})


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    return write_voices(tmp_path_factory.mktemp("voices"))


def test_three_lines_and_speechbrains_shapes(model, voices):
    scores, score, index, labels = model.classify_file(voices[0])
    assert scores.shape == (1, 4)
    assert score.shape == index.shape == (1,)
    assert labels == [model.labels[index[0]]]
    assert scores.sum().item() == pytest.approx(1, abs=1e-6)
    assert score[0] == scores.max()
    wavs = torch.rand(3, 20000) - 0.5
    assert model.encode_batch(wavs, torch.tensor([1.0, 0.5, 0.3])).shape == (3, 1, 64)
    assert model(wavs).scores.shape == (3, 4)


def test_some_of_the_labels_share_all_of_the_probability(folder, model, voices):
    among = ["happiness", "anger"]
    asked = EmotionRecognizer.from_hparams(folder, overrides={"among": among}, run_opts={"device": "cpu"})
    assert asked.labels == model.labels
    whole = model.classify_files(voices)
    for before, after in zip(whole, asked.classify_files(voices), strict=True):
        kept = sum(before.probabilities[name] for name in among)
        for name, p in after.probabilities.items():
            assert p == pytest.approx(before.probabilities[name] / kept if name in among else 0.0, rel=1e-4)
        assert after.label == max(among, key=before.probabilities.__getitem__)
    assert {answer.label for answer in whole} - set(among)  # so that something was left out
    assert set(asked.classify_file(voices[0]).labels) <= set(among)
    assert {segment.label for segment in asked.timeline(voices[0], window_s=0.5, hop_s=0.5)} <= set(among)
    assert apply_augmentation(asked, asked.load_audio(voices[0]), "speed").probabilities["neutral"] == 0.0
    for wrong, says in (
        (["joy", "anger"], "no label 'joy'; it has anger, "),
        ("anger", "at least two labels"),
        (["anger"], "at least two labels"),
        (5, "at least two labels"),
        ([["anger"], ["neutral"]], "at least two labels"),
    ):
        with pytest.raises(ValueError, match=f"among.*{says}"):
            EmotionRecognizer.from_hparams(folder, overrides={"among": wrong}, run_opts={"device": "cpu"})


def test_an_answer_over_several_speeds_is_the_mean_of_the_log_probabilities(folder, model, voices):
    over = EmotionRecognizer.from_hparams(folder, overrides={"speeds": [70, 80]}, run_opts={"device": "cpu"})
    wav = model.load_audio(voices[1])
    views = [wav, *(torchaudio.functional.resample(wav, percent, 100) for percent in (70, 80))]
    expected = torch.stack([model.classify_batch(view).scores[0].log() for view in views]).mean(0).softmax(0)
    assert (expected - model.classify_batch(wav).scores[0]).abs().max() > 1e-3  # so that there is something to see
    torch.testing.assert_close(over.classify_file(voices[1]).scores[0], expected, atol=1e-5, rtol=0)
    _check_alone_as_in_any_batch(over, voices)
    loud = torch.cat([wav, 0.5 * torch.ones(8000)]).unsqueeze(0)  # what follows an utterance in its row is not heard
    inside = over.classify_batch(loud, torch.tensor([len(wav) / loud.shape[1]])).scores[0]
    torch.testing.assert_close(inside, expected, atol=1e-5, rtol=0)
    # which augmentation was applied is asked of the utterance as it is, and so is its embedding
    asked, before = (m.classify_files(voices[:3], tasks=["augmentation"]) for m in (over, model))
    assert [answer.tasks for answer in asked] == [answer.tasks for answer in before]
    assert [answer.probabilities for answer in asked] != [answer.probabilities for answer in before]
    torch.testing.assert_close(over.encode_batch(wav), model.encode_batch(wav))
    segments = list(over.timeline(voices[1], window_s=0.5, hop_s=0.5))
    assert [s.probabilities for s in segments] != [s.probabilities for s in model.timeline(voices[1], 0.5, 0.5)]
    for wrong in ([], 90, [100], [90, 90], [49], [201], [90.0], ["90"], [True]):
        with pytest.raises(ValueError, match="speeds must be a list of whole percents from 50 to 200"):
            EmotionRecognizer.from_hparams(folder, overrides={"speeds": wrong}, run_opts={"device": "cpu"})


@pytest.mark.parametrize("head", ["head/blstm_attention", "head/attentive"])
def test_alone_as_in_any_batch_in_any_order(tmp_path, voices, head):
    model = EmotionRecognizer.from_hparams(write_small_model(tmp_path / "m", head), run_opts={"device": "cpu"})
    _check_alone_as_in_any_batch(model, voices)


@pytest.mark.real_data
def test_alone_as_in_any_batch_on_real_speech(model, real_data):
    _check_alone_as_in_any_batch(model, sorted(real_data.glob("emodb/wav/*"))[::20])


def _check_alone_as_in_any_batch(model, paths):
    alone = [model.classify_file(p).scores[0] for p in paths]
    assert torch.stack(alone).std(0).max() > 1e-3, "the answers should differ"
    for batch_size in (1, 3, 16):
        order = random.Random(batch_size).sample(range(len(paths)), len(paths))
        answers = model.classify_files([paths[i] for i in order], batch_size=batch_size)
        assert [a.path for a in answers] == [str(paths[i]) for i in order]
        for i, answer in zip(order, answers, strict=True):
            torch.testing.assert_close(torch.tensor(list(answer.probabilities.values())), alone[i], atol=1e-5, rtol=0)


def test_probabilities_are_the_calibrated_softmax_of_the_network(model, voices):
    wav = torch.from_numpy(soundfile.read(voices[0], dtype="float32")[0])
    logits = model.network(wav.unsqueeze(0), torch.ones(1), ["emotion"])["emotion"]["logits"]
    torch.testing.assert_close(model.classify_file(voices[0]).scores, (logits / 1.7).softmax(1))


def test_one_speaker_at_a_time(tmp_path, voices, monkeypatch):
    folder = write_small_model(tmp_path / "m", functionals=True)
    model = EmotionRecognizer.from_hparams(folder, run_opts={"device": "cpu"})
    anybody = model.classify_file(voices[0]).scores
    model.adapt_to_speaker(voices[:2])
    first = model.classify_file(voices[0]).scores
    assert not torch.allclose(first, anybody, atol=1e-3)
    assert torch.allclose(torch.tensor(model.answer_alone(model.load_audio(voices[0]).numpy())), first[0], atol=1e-5)
    with pytest.raises(AudioError):
        model.adapt_to_speaker([voices[1], tmp_path / "none.wav"])
    with pytest.raises(ValueError, match="the speaker: there is no utterance"):
        model.adapt_to_speaker([])
    assert torch.equal(model.classify_file(voices[0]).scores, first)
    model.adapt_to_speaker(voices[2:])
    assert not torch.allclose(model.classify_file(voices[0]).scores, first, atol=1e-3)
    told = []
    model.adapt_to_speaker([tmp_path / "none.wav", *voices[:2]], on_error=lambda path, error: told.append(path.name))
    assert told == ["none.wav"]
    assert torch.equal(model.classify_file(voices[0]).scores, first)
    monkeypatch.setattr(model.network, "answer", lambda *_: (_ for _ in ()).throw(RuntimeError("full")))
    with pytest.raises(RuntimeError, match="full"):
        model.adapt_to_speaker(voices[2:])
    monkeypatch.undo()
    assert torch.equal(model.classify_file(voices[0]).scores, first)
    model.forget_speaker()
    assert torch.equal(model.classify_file(voices[0]).scores, anybody)


def test_other_tasks_on_request(model, voices):
    by_task = model.classify_file(voices[0], tasks=("emotion", "augmentation"))
    assert set(by_task) == {"emotion", "augmentation"}
    (answer,) = model.classify_files(voices[:1], tasks=["augmentation"])
    assert answer.tasks["augmentation"] == pytest.approx(
        dict(zip(["none", "speed", "mixup"], by_task["augmentation"].scores[0].tolist(), strict=True))
    )
    with pytest.raises(ValueError, match="no task 'age'; it has emotion, augmentation"):
        model.classify_file(voices[0], tasks=["age"])


def test_unsure(model, voices):
    best = model.classify_file(voices[0]).score.item()
    assert model.classify_file(voices[0], unsure_below=best + 0.01).labels == ["unsure"]
    assert model.classify_file(voices[0], unsure_below=best - 0.01).labels != ["unsure"]
    with pytest.raises(ValueError, match="unsure_below must be a number from 0 to 1"):
        model.classify_file(voices[0], unsure_below=60)


@pytest.mark.parametrize(
    ("rate", "channels", "kind"), [(44100, 2, "flac"), (8000, 1, "wav"), (22050, 2, "ogg"), (16000, 3, "wav")]
)
def test_any_format_rate_and_channels(model, tmp_path, rate, channels, kind):
    tone = (
        0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate) * (1 + np.sin(2 * np.pi * 3 * np.arange(2 * rate) / rate))
    )
    soundfile.write(tmp_path / f"a.{kind}", np.stack([tone] * channels, 1), rate)
    n = np.arange(32000) / 16000
    soundfile.write(tmp_path / "b.wav", 0.3 * np.sin(2 * np.pi * 440 * n) * (1 + np.sin(2 * np.pi * 3 * n)), 16000)
    assert len(model.load_audio(tmp_path / f"a.{kind}")) == 32000
    atol = 0.05 if kind == "ogg" else 0.01  # lossy
    torch.testing.assert_close(
        model.classify_file(tmp_path / f"a.{kind}").scores, model.classify_file(tmp_path / "b.wav").scores, atol=atol, rtol=0
    )


def test_bad_files_are_reported_and_skipped(model, voices, tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    (tmp_path / "empty.wav").touch()
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "nan.wav", np.full(16000, np.nan, np.float32), 16000, "FLOAT")
    bad = [tmp_path / n for n in ("text.wav", "empty.wav", "silent.wav", "none.wav", "nan.wav", "missing.wav")]
    reported = []
    answers = model.classify_files([bad[0], voices[1], *bad[1:], voices[0]], on_error=lambda p, e: reported.append((p, e)))
    assert [a.path for a in answers] == [str(voices[1]), str(voices[0])]
    assert {p for p, _ in reported} == set(bad)
    assert all(isinstance(e, AudioError) and "\n" not in str(e) for _, e in reported)
    for path in bad:
        with pytest.raises(AudioError, match=path.name):
            model.classify_file(path)
        with pytest.raises(AudioError, match=path.name):
            model.classify_files([path])


def test_long_files_are_sent_to_timeline(folder, tmp_path):
    model = EmotionRecognizer.from_hparams(folder, overrides={"max_duration_s": 1}, run_opts={"device": "cpu"})
    soundfile.write(tmp_path / "long.wav", np.random.default_rng(0).normal(size=20000) * 0.1, 16000)
    with pytest.raises(AudioError, match="longer than 1 s; use timeline"):
        model.classify_file(tmp_path / "long.wav")


def test_attention_begins_where_the_features_do(tmp_path):
    model = EmotionRecognizer(*read_model(write_small_model(tmp_path / "m", own_scale=True)))
    sound = 0.1 * torch.randn(16000)
    starts, weights = model.attention(torch.cat([torch.zeros(8000), sound, torch.zeros(24000)]))
    assert starts[0] == pytest.approx(0.5, abs=0.03)
    assert starts[-1] == pytest.approx(1.5, abs=0.06)
    assert weights.sum() == pytest.approx(1)


def test_attention_over_time(model, voices):
    starts, weights = model.attention(voices[0])
    seconds = soundfile.info(voices[0]).duration
    assert len(starts) == len(weights) > 10
    assert weights.sum().item() == pytest.approx(1)
    assert starts[0] == 0
    assert starts[-1] < seconds
    assert (starts[1] - starts[0]).item() == pytest.approx(0.04, rel=0.05)  # 4 steps of 10 ms


def test_overrides_run_opts_and_savedir(folder, tmp_path, voices):
    other = EmotionRecognizer.from_hparams(
        folder, tmp_path / "copy", {"temperature": 1.0}, run_opts=RunOptions.from_dictionary({"device": "cpu"})
    )
    assert sorted(p.name for p in (tmp_path / "copy").iterdir()) == ["model.json", "model.safetensors"]
    assert not any(p.is_symlink() for p in (tmp_path / "copy").iterdir())
    again = EmotionRecognizer.from_hparams(tmp_path / "copy", run_opts={"device": "cpu"})
    assert other.classify_file(voices[0]).score > again.classify_file(voices[0]).score
    with pytest.raises(ValueError, match="no setting 'warmth'; there are temperature"):
        EmotionRecognizer.from_hparams(folder, overrides={"warmth": 1.0})
    with pytest.raises(ValueError, match="temperature must be a number"):
        EmotionRecognizer.from_hparams(folder, overrides={"temperature": "!apply:os.system [id]"})
    with pytest.raises(ValueError, match="'device', not speed"):
        EmotionRecognizer.from_hparams(folder, run_opts={"speed": "bf16"})
    with pytest.raises(ValueError, match="device 'nowhere' cannot be used"):
        EmotionRecognizer.from_hparams(folder, run_opts={"device": "nowhere"})


@pytest.mark.parametrize("wavs", [torch.zeros(2, 3, 4), torch.zeros(2, 0), torch.zeros(2, 8, dtype=torch.int16)])
def test_wrong_wavs_are_refused(model, wavs):
    with pytest.raises(ValueError, match="wavs must be floats"):
        model.classify_batch(wavs)


@pytest.mark.parametrize("lengths", [[1.0], [1.0, 0.0], [1.0, 1.2], [1.0, float("nan")], [1.0, 1e-6]])
def test_wrong_lengths_are_refused(model, lengths):
    with pytest.raises(ValueError, match="wav_lens"):
        model.classify_batch(torch.rand(2, 16000), torch.tensor(lengths))


def test_a_model_in_use_multiplies_32_bits_as_they_are(folder):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True  # as SpeechBrain leaves them
    EmotionRecognizer.from_hparams(folder)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


def test_loading_leaves_the_random_state_alone(folder):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    EmotionRecognizer.from_hparams(folder, run_opts={"device": "cpu"})
    assert torch.equal(torch.rand(3), expected)


def test_hub_ids_fetch_two_files_and_no_more(folder, tmp_path, monkeypatch):
    import huggingface_hub

    asked = {}

    def download(hub_id, revision, local_dir, allow_patterns):
        asked.update(id=hub_id, revision=revision, files=allow_patterns)
        local_dir.mkdir(parents=True)
        for name in allow_patterns:
            (local_dir / name).write_bytes((folder / name).read_bytes())

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    EmotionRecognizer.from_hparams("someone/model", revision="v1", run_opts={"device": "cpu"})
    assert asked == {"id": "someone/model", "revision": "v1", "files": ["model.json", "model.safetensors"]}
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert fetch_model("someone/model", revision="v1") == tmp_path / "mtlaug_sb" / "someone--model--v1"
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        fetch_model("someone/other")


def test_a_folder_wins_over_a_hub_id(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_small_model(tmp_path / "someone" / "model")
    monkeypatch.setattr("mtlaug_sb.inference.recognizer.fetch_model", lambda *a: pytest.fail("asked the hub"))
    EmotionRecognizer.from_hparams("someone/model", run_opts={"device": "cpu"})


# ---------------------------------------------------------------------- calibration


def test_temperature_is_where_scipy_finds_it():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(4, (400,), generator=generator)
    logits = 3 * (torch.eye(4)[truth] + torch.randn(400, 4, generator=generator))
    # an independent implementation, without Platt's smoothing, which is small for 400 utterances
    found = minimize(
        lambda x: torch.nn.functional.cross_entropy(logits.double() * float(np.exp(-x[0])), truth).item(),
        [0.0],
        method="BFGS",
    )
    assert fit_temperature(logits, truth) == pytest.approx(np.exp(found.x[0]), rel=0.05)


def test_a_set_without_an_error_does_not_ask_for_certainty():
    assert fit_temperature(torch.eye(3) * 5, torch.arange(3)) > 1


def test_calibration_error_is_that_of_torchmetrics_and_falls():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randint(3, (600,), generator=generator)
    logits = 6 * (torch.eye(3)[truth] + torch.randn(600, 3, generator=generator))
    speakers = ["a", "b", "c"] * 200
    result = calibrate(logits, truth, speakers)
    metric = torchmetrics.classification.MulticlassCalibrationError(3, n_bins=15, norm="l1")
    assert result["ece_before"] == pytest.approx(metric(logits.softmax(1), truth).item())
    assert result["ece_after"] < 0.5 * result["ece_before"]
    assert result["ece_after_other_speakers"] < 0.6 * result["ece_before"]
    assert result["cross_entropy_after"] < result["cross_entropy_before"]
    assert expected_calibration_error(torch.tensor([[0.8, 0.2]]), torch.tensor([0])) == pytest.approx(0.2)


# ---------------------------------------------------------------------- a run's own model


def test_a_run_leaves_a_model_that_answers_as_it_was_tested(train, tmp_path):
    results = train("hparams/mtl_aug.yaml", folder=tmp_path / "run")
    model = EmotionRecognizer.from_hparams(
        source=tmp_path / "run", overrides={"temperature": 1.0}, run_opts={"device": "cpu"}
    )
    rows = read_predictions([tmp_path / "run" / "predictions.csv"])
    paths = json.loads((tmp_path / "run" / "save" / "test.json").read_text())
    answers = model.classify_files([paths[row["id"]]["path"] for row in rows])
    for row, answer in zip(rows, answers, strict=True):
        assert answer.probabilities == pytest.approx({n: float(row[f"p_{n}"]) for n in model.labels}, abs=2e-6)
    description, _ = read_model(tmp_path / "run")
    assert description["calibration"] == results["calibration"]
    assert description["calibration"]["utterances"] == results["utterances"]["valid"]
    assert description["tasks"]["augmentation"]["classes"] == ["none", "speed", "specaugment", "mixup"]
    assert set(model.augmentations()) == {"speed", "specaugment", "mixup"}
