"""An exported folder: complete, and the same model in stock SpeechBrain and in ONNX without torch."""

import json
import os
import pathlib
import subprocess
import sys

import export
import numpy as np
import onnx
import pytest
import soundfile
import torch
from conftest import ROOT
from small_model import write_small_model, write_voices
from speechbrain.inference.classifiers import EncoderClassifier

from mtlaug_sb.inference import EmotionRecognizer, ModelError, OnnxModel
from mtlaug_sb.inference.model_card import bootstrap_uar
from mtlaug_sb.inference.model_folder import read_model
from mtlaug_sb.inference.onnx_export import write_onnx


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("voices")
    paths = write_voices(folder, n=5)
    wav, _ = soundfile.read(paths[0])
    soundfile.write(folder / "stereo.flac", np.stack([wav, wav[::-1]], 1), 22050)
    return [*paths, folder / "stereo.flac"]


def write_run(folder):
    """A finished run's folder, as recipes/train.py leaves it, without the training."""
    write_small_model(folder / "model", functionals=True)
    names = ["anger", "happiness", "neutral", "sadness"]
    rows = ["id,speaker,truth,prediction," + ",".join(f"p_{n}" for n in names)]
    for i in range(40):
        truth, guess = names[i % 4], names[(i % 4 + (i % 5 == 0)) % 4]
        p = [0.7 if n == guess else 0.1 for n in names]
        rows.append(f"u{i},s{i % 2},{truth},{guess}," + ",".join(map(str, p)))
    (folder / "predictions.csv").write_text("\n".join(rows) + "\n")
    results = {
        "corpus": "synthetic", "synthetic": True, "seed": 0, "classes": names, "yaml": "mtl_aug.yaml", "best_epoch": 3,
        "test": {"UAR": 0.8, **{f"recall/{n}": 0.8 for n in names}},
        "utterances": {"train": 100, "valid": 20, "test": 40},
        "speakers": {"train": ["a", "b"], "valid": ["c"], "test": ["s0", "s1"]},
        "versions": {"python": "3.11"},
    }  # fmt: skip
    (folder / "results.json").write_text(json.dumps(results))
    return folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    summary = {"UAR": {"mean": 0.79, "std": 0.01, "n": 3}, "utterances": 339}
    (folder / "summary.json").write_text(json.dumps(summary))
    run = write_run(folder / "run")
    return export.main([str(run), str(folder / "out"), "--onnx", "--summary", str(folder / "summary.json")])


@pytest.fixture(scope="module")
def ours(exported):
    return EmotionRecognizer.from_hparams(exported, run_opts={"device": "cpu"})


def test_the_folder_is_complete(exported):
    assert sorted(p.name for p in exported.iterdir()) == [
        "README.md", "hyperparams.yaml", "label_encoder.ckpt", "model.ckpt", "model.json", "model.onnx", "model.safetensors"
    ]  # fmt: skip
    assert not any(p.is_symlink() for p in exported.iterdir())
    assert not list(exported.parent.glob("*.part"))


def test_stock_speechbrain_gives_the_same_scores(exported, ours, voices, tmp_path):
    stock = EncoderClassifier.from_hparams(source=str(exported), savedir=str(tmp_path), run_opts={"device": "cpu"})
    for path in voices:
        theirs, mine = stock.classify_file(str(path)), ours.classify_file(path)
        torch.testing.assert_close(theirs[0], mine.scores, atol=1e-6, rtol=0)
        assert torch.equal(theirs[2], mine.index)
        assert theirs[3] == mine.labels
    wavs, lengths = torch.rand(3, 30_001) - 0.5, torch.tensor([1.0, 0.71, 0.33])
    for theirs, mine in zip(stock.classify_batch(wavs, lengths), ours.classify_batch(wavs, lengths), strict=True):
        if torch.is_tensor(theirs):
            torch.testing.assert_close(theirs, mine, atol=1e-6, rtol=0)
        else:
            assert theirs == mine
    embedding = ours.encode_batch(wavs, lengths)
    # behind it the scores of the discriminant analysis, which the stock classifier needs
    torch.testing.assert_close(stock.encode_batch(wavs, lengths)[..., : embedding.shape[2]], embedding, atol=1e-5, rtol=0)


def test_stock_speechbrain_in_a_process_of_its_own(exported, ours, voices, tmp_path):
    """Nothing that a test has imported helps."""
    code = (
        "import json, sys\nfrom speechbrain.inference.classifiers import EncoderClassifier\n"
        f"m = EncoderClassifier.from_hparams(source={str(exported)!r}, savedir={str(tmp_path / 's')!r})\n"
        f"print(json.dumps(m.classify_file({str(voices[0])!r})[0].tolist()))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])[0] == pytest.approx(
        ours.classify_file(voices[0]).scores[0].tolist(), abs=1e-5
    )


def test_a_hostile_ckpt_is_refused_by_the_stock_route_too(exported, tmp_path):
    from mtlaug_sb.inference.stock_speechbrain import Model

    torch.save({"a": torch.zeros(1)}, tmp_path / "model.ckpt")
    with pytest.raises(ModelError, match="is not a safetensors file"):
        Model().load(tmp_path / "model.ckpt")


# ---------------------------------------------------------------------- ONNX


@pytest.mark.parametrize(
    ("head", "more"),
    [
        ("head/blstm_attention", {}),
        ("head/attentive", {}),
        ("head/blstm_attention", {"functionals": True}),
        ("head/blstm_attention", {"own_scale": True}),
    ],
)
def test_onnx_equals_ours_at_any_batch_and_length(tmp_path, head, more, voices):
    description, network = read_model(write_small_model(tmp_path / "m", head, **more))
    write_onnx(tmp_path / "m.onnx", description, network)
    ours, theirs = EmotionRecognizer(description, network), OnnxModel(tmp_path / "m.onnx")
    _check_onnx(ours, theirs, voices)


@pytest.mark.real_data
def test_onnx_equals_ours_on_real_speech(exported, ours, real_data):
    _check_onnx(ours, OnnxModel(exported / "model.onnx"), sorted(real_data.glob("emodb/wav/*"))[::60])


def _check_onnx(ours, theirs, paths):
    assert theirs.labels == ours.labels
    assert theirs.sample_rate == ours.sample_rate
    wavs = [ours.load_audio(p) for p in paths]
    expected = torch.cat([ours.classify_batch(w).scores for w in wavs]).numpy()
    alone = np.concatenate([theirs(w[None].numpy()) for w in wavs])
    np.testing.assert_allclose(alone, expected, atol=1e-4)
    padded = torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True)
    lengths = np.array([len(w) / padded.shape[1] for w in wavs], np.float32)
    together = theirs(padded.numpy(), lengths)
    np.testing.assert_allclose(together, expected, atol=1e-4)
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-6)
    for path in paths[:2]:
        answer = theirs.classify_file(path)
        assert list(answer.values()) == pytest.approx(ours.classify_file(path).scores[0].tolist(), abs=1e-4)


def test_onnx_runs_without_torch_and_speechbrain(exported, ours, voices, tmp_path):
    code = (
        "import sys\n"
        "class Refuse:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] in ('torch', 'torchaudio', 'speechbrain'):\n"
        "            raise ImportError(f'{name} is not installed')\n"
        "sys.meta_path.insert(0, Refuse())\n"
        "import json\nfrom mtlaug_sb.inference import OnnxModel\n"
        f"print(json.dumps(OnnxModel({str(exported / 'model.onnx')!r}).classify_file({str(voices[-1])!r})))\n"
        "assert not {'torch', 'speechbrain'} & set(sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert list(answer) == ours.labels
    assert list(answer.values()) == pytest.approx(ours.classify_file(voices[-1]).scores[0].tolist(), abs=1e-4)


def test_onnx_metadata(exported):
    metadata = {p.key: p.value for p in onnx.load(exported / "model.onnx").metadata_props}
    assert json.loads(metadata["labels"]) == ["anger", "happiness", "neutral", "sadness"]
    assert metadata["sample_rate"] == "16000"
    assert float(metadata["temperature"]) == 1.7


def test_a_hostile_onnx_is_refused(exported, tmp_path):
    model = onnx.load(exported / "model.onnx")
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    tensor.ClearField("raw_data")
    (tmp_path / "evil.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ValueError, match="other files"):
        OnnxModel(tmp_path / "evil.onnx")
    (tmp_path / "text.onnx").write_text("!apply:os.system")
    with pytest.raises(ValueError, match="no ONNX file of an export"):
        OnnxModel(tmp_path / "text.onnx")


# ---------------------------------------------------------------------- the card and the command


def test_the_card_says_what_it_must(exported):
    card = (exported / "README.md").read_text()
    for words in (
        "SYNTHETIC", "UAR 0.800** (95 % interval", "UAR 0.790 +- 0.010 (3 repeats, 339 utterances)", "| train | 100 | 2 |",
        "## Limits", "misuse", "No temperature was fitted", "model.onnx", "Not for judging people", "| anger | 0.80 |",
    ):  # fmt: skip
        assert words in card, words


def test_bootstrap_draws_speakers_where_there_are_some():
    # speaker 0 is always wrong, the others always right
    rows = [
        {"speaker": str(i % 6), "truth": "ab"[i % 4 // 2], "prediction": "ab"[i % 4 // 2 ^ (i % 6 == 0)]} for i in range(60)
    ]
    uar, low, high, what = bootstrap_uar(rows, ["a", "b"])
    assert what == "6 speakers"
    assert uar == pytest.approx(5 / 6, abs=0.01)
    few = [{**row, "speaker": "one"} for row in rows]
    uar, narrow, wide, what = bootstrap_uar(few, ["a", "b"])
    assert what == "utterances"
    assert low < narrow < uar < wide < high + 0.01  # speakers differ more than utterances do


def test_export_replaces_only_exports(tmp_path, exported):
    run = write_run(tmp_path / "run")
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="no export"):
        export.export(run, other)
    with pytest.raises(FileExistsError, match="no export"):
        export.export(run, run / "model", overwrite=True)
    with pytest.raises(FileExistsError, match="--overwrite"):
        export.export(run, exported)
    with pytest.raises(FileNotFoundError, match="no finished run"):
        export.export(other, tmp_path / "new")
    assert (other / "thesis.txt").exists()
    assert not pathlib.Path(f"{exported}.part").exists()


def test_push_uploads_the_folder(tmp_path, exported, monkeypatch):
    import huggingface_hub

    done = []

    class Api:
        def __init__(self, token=None):
            pass

        def create_repo(self, hub_id, private, exist_ok):
            done.append((hub_id, private))

        def upload_folder(self, repo_id, folder_path, commit_message):
            done.append(sorted(os.listdir(folder_path)))
            return "https://hub/" + repo_id

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    export.main([str(write_run(tmp_path / "run")), str(tmp_path / "out"), "--push", "me/my-model"])
    assert done[0] == ("me/my-model", True)
    assert "README.md" in done[1]
    with pytest.raises(SystemExit):
        export.main([str(tmp_path / "run"), str(tmp_path / "out2"), "--push", "../evil"])
