"""Front ends in ONNX: any model's layers, exact, kept, and explained where something is missing or wrong."""

import json
import pathlib
import sys
import tarfile

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hyperpyyaml import load_hyperpyyaml
from onnx import TensorProto, helper

from mtlaug_sb import describe, make
from mtlaug_sb.feature_cache import FeatureCache
from mtlaug_sb.features.onnx import Onnx
from mtlaug_sb.inference.description import check_plugin

WAVS = torch.randn(3, 4000, generator=torch.Generator().manual_seed(0)) / 10
STEPS = torch.tensor([4000, 2801, 70])  # the last has less than a frame's
EXAMPLE = Onnx.example()["path"]


def features(**arguments):
    return make("features/onnx", **{"path": EXAMPLE, **arguments})


def write_model(path, nodes, inputs, outputs, opset=17):
    """A model of nodes [(operation, inputs, outputs, attributes)]; inputs and outputs {name: (type, shape)}."""
    graph = helper.make_graph(
        [helper.make_node(kind, given, made, **more) for kind, given, made, more in nodes],
        "test",
        *[[helper.make_tensor_value_info(n, *value) for n, value in side.items()] for side in (inputs, outputs)],
        [onnx.numpy_helper.from_array(np.array([-1]), "minus_one"), onnx.numpy_helper.from_array(np.array([2]), "two")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return str(path)


def samples_as_frames(path, inputs=None, **more):
    """[batch, time] -> [batch, time, 1]."""
    wavs = {"wavs": (TensorProto.FLOAT, ["batch", "time"])}
    nodes = [("Unsqueeze", ["wavs", "two"], ["out"], {}), *more.get("nodes", [])]
    outputs = {"out": (TensorProto.FLOAT, ["batch", "time", 1]), **more.get("outputs", {})}
    return write_model(path, nodes, inputs or wavs, outputs)


# ---------------------------------------------------------------------- what comes out


def test_frames_are_those_of_onnxruntime_side_by_side_in_sixteen_bits():
    ours, lengths = features()(WAVS[:1], torch.ones(1))
    theirs = onnxruntime.InferenceSession(EXAMPLE).run(None, {"wavs": WAVS[:1].numpy()})
    expected = np.concatenate(theirs, axis=2).astype(np.float16).astype(np.float32)
    assert ours.shape == (1, 25, 8)
    assert np.array_equal(ours.numpy(), expected)
    assert lengths.tolist() == [1.0]


def test_frames_are_pooled_with_their_deviation_layer_by_layer():
    plain, _ = features()(WAVS[:1], torch.ones(1))
    pooled, _ = features(pool=4, deviation=True)(WAVS[:1], torch.ones(1))
    assert pooled.shape == (1, 7, 16)
    for i, part in enumerate(plain[0].split([3, 4, 3, 4, 3, 4, 4])):  # 25 frames, none of these much shorter
        for layer in range(2):
            block, given = pooled[0, i, 8 * layer : 8 * layer + 8], part[:, 4 * layer : 4 * layer + 4]
            assert torch.allclose(block[:4], given.mean(0), atol=2e-3)
            assert torch.allclose(block[4:], given.std(0, correction=0), atol=2e-3)


def test_layers_are_normalised_within_the_models_frames():
    plain, _ = features()(WAVS[:1], torch.ones(1))
    normalised, _ = features(normalize_layers=True)(WAVS[:1], torch.ones(1))
    layers = plain[0].view(25, 2, 4)
    expected = (layers - layers.mean(2, keepdim=True)) / (layers.var(2, keepdim=True, correction=0) + 1e-5).sqrt()
    assert torch.allclose(normalised[0], expected.flatten(1), atol=5e-3)
    pooled, _ = features(normalize_layers=True, pool=5)(WAVS[:1], torch.ones(1))
    assert torch.allclose(pooled[0], normalised[0].view(5, 5, 8).mean(1), atol=2e-3)


def test_layers_are_chosen_by_name_and_number():
    both, top = features(), features(layers=["upper"])
    assert (both.n_layers, both.output_size, top.n_layers, top.output_size) == (2, 8, 1, 4)
    x, _ = both(WAVS[:1], torch.ones(1))
    assert torch.equal(top(WAVS[:1], torch.ones(1))[0], x[:, :, 4:])
    assert torch.equal(features(layers=[-1, 0])(WAVS[:1], torch.ones(1))[0], torch.cat([x[:, :, 4:], x[:, :, :4]], 2))


def test_no_padding_is_seen_even_by_a_short_utterance():
    front_end = features(pool=2, normalize=True)
    together, lengths = front_end(WAVS, STEPS / 4000)
    for i, n in enumerate(STEPS.tolist()):
        alone, _ = front_end(WAVS[i : i + 1, :n], torch.ones(1))
        steps = round(lengths[i].item() * together.shape[1])
        assert steps == alone.shape[1]
        assert torch.equal(alone[0], together[i, :steps])
        assert not together[i, steps:].any()


def test_the_models_frames_a_second_are_found_out():
    assert features().frame_rate == 100.0
    assert features(pool=4).frame_rate == 25.0


def test_normalized_a_waveforms_level_and_offset_do_not_matter():
    front_end = features(normalize=True)
    loud, _ = front_end(5 * WAVS[:1] + 0.3, torch.ones(1))
    assert torch.allclose(loud, front_end(WAVS[:1], torch.ones(1))[0], atol=2e-3)


def test_a_mask_of_ones_is_given_to_a_model_that_wants_one(tmp_path):
    inputs = {"mask": (TensorProto.INT64, ["b", "t"]), "wavs": (TensorProto.FLOAT, ["b", "t"])}
    nodes = [("Cast", ["mask"], ["m"], {"to": TensorProto.FLOAT}), ("Unsqueeze", ["m", "two"], ["ones"], {})]
    path = samples_as_frames(tmp_path / "m.onnx", inputs, nodes=nodes, outputs={"ones": (TensorProto.FLOAT, ["b", "t", 1])})
    x, _ = features(path=path)(WAVS[:1], torch.ones(1))
    assert (x[:, :, 1] == 1).all()


def test_nothing_is_trained_or_kept_in_checkpoints():
    assert not list(features().parameters())
    assert not features().state_dict()


def test_handed_on_it_is_complete():
    given = features(layers=["upper"], pool=3, deviation=True, normalize_layers=True)
    twin = given.portable()
    described = json.loads(json.dumps(describe(twin)))
    check_plugin(described, "features", "features")  # nothing in it leads to a file
    again = make(**described)
    again.load_state_dict(twin.state_dict())
    for x in (twin, again):
        assert torch.equal(x(WAVS[:1], torch.ones(1))[0], given(WAVS[:1], torch.ones(1))[0])
    again = make(**described)  # without its content
    with pytest.raises(ValueError, match="is no ONNX model"):
        again(WAVS[:1], torch.ones(1))


def test_a_trained_model_answers_from_its_folder_alone(train, tmp_path):
    from mtlaug_sb.inference import EmotionRecognizer

    train("hparams/mtl_aug_pretrained.yaml", f"--feature_folder={tmp_path / 'kept'}", "--number_of_epochs=1")
    assert list((tmp_path / "kept").iterdir())
    model = EmotionRecognizer.from_hparams(source=str(tmp_path / "run"))
    scores, *_ = model.classify_batch(WAVS[:2])
    assert torch.allclose(scores.sum(1), torch.ones(2))


# ---------------------------------------------------------------------- what is kept


def test_a_folder_spares_the_model_and_tells_models_settings_and_waveforms_apart(tmp_path, monkeypatch):
    asked = []
    run = Onnx._run
    monkeypatch.setattr(Onnx, "_run", lambda self, wav: asked.append(len(wav)) or run(self, wav))
    front_end = features(cache_folder=str(tmp_path / "kept"))
    asked.clear()
    first = front_end(WAVS[:2], torch.ones(2))
    assert len(asked) == 2
    again = features(cache_folder=str(tmp_path / "kept"))
    asked.clear()
    assert torch.equal(again(WAVS[:2], torch.ones(2))[0], first[0])
    assert not asked
    again(WAVS[:2] * 0.5, torch.ones(2))  # another waveform
    other = features(cache_folder=str(tmp_path / "kept"), pool=2)
    asked.clear()
    assert other(WAVS[:1], torch.ones(1))[0].shape[1] == 13
    assert len(asked) == 1
    assert all(p.suffix == ".npy" for p in (tmp_path / "kept").iterdir())


def test_the_cache_keeps_in_sixteen_bits_what_they_hold():
    cache, front_end, asked = FeatureCache(megabytes=1), features(), []

    def compute(rows):
        asked.extend(rows)
        return *front_end(WAVS[rows], torch.ones(len(rows))), torch.zeros(len(rows))

    for _ in range(2):
        x, _, _ = cache(["a", "b"], compute)
        assert x.dtype == torch.float32
        assert torch.equal(x, front_end(WAVS[:2], torch.ones(2))[0])
    assert asked == [0, 1]
    assert cache.room == 1_000_000 - 2 * 2 * x[0].numel()

    def finer(rows):
        return torch.full((len(rows), 1, 1), 0.1), torch.ones(len(rows)), torch.zeros(len(rows))

    assert cache(["c"], finer)[0].item() == cache(["c"], finer)[0].item() == torch.tensor(0.1).item()


# ---------------------------------------------------------------------- what is wrong is said


def test_a_missing_file_or_no_model(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file '.*none\.onnx'; give the path .*fetch_moonshine"):
        features(path=str(tmp_path / "none.onnx"))
    (tmp_path / "text.onnx").write_text("version https://git-lfs")
    with pytest.raises(ValueError, match=r"text\.onnx' is no ONNX model that onnxruntime can read"):
        features(path=str(tmp_path / "text.onnx"))


def test_a_missing_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"pip install 'mtlaug_sb\[onnx\]'"):
        features()


def test_wrong_layers_pool_and_encoder():
    with pytest.raises(ValueError, match="has no layer 'layer_7'; its outputs are lower, upper"):
        features(layers=["layer_7"])
    with pytest.raises(ValueError, match="has no layer 2; its outputs"):
        features(layers=[2])
    with pytest.raises(ValueError, match="pool must be at least 1 frame, is 0"):
        features(pool=0)
    with pytest.raises(ValueError, match="3 layers do not divide 8 dimensions"):
        make("encoder/weighted_layers", input_size=8, n_layers=3)
    with pytest.raises(ValueError, match="join must be 'mean' or 'all', is 'sum'"):
        make("encoder/weighted_layers", input_size=8, n_layers=2, join="sum")


def test_wrong_inputs_and_outputs(tmp_path):
    two = {name: (TensorProto.FLOAT, ["b", "t"]) for name in ("wavs", "more")}
    with pytest.raises(ValueError, match=r"must have one input of float \[batch, time\].* it has 'wavs' .*'more'"):
        features(path=samples_as_frames(tmp_path / "two.onnx", two))
    more = {"nodes": [("ReduceMean", ["out"], ["mean"], {"axes": [1], "keepdims": 0})]}
    outputs = {"mean": (TensorProto.FLOAT, ["batch", 1])}
    with pytest.raises(ValueError, match=r"layers must be \[1, frames, dim\] .* 'out' \[1, 160, 1\], 'mean' \[1, 1\]"):
        features(path=samples_as_frames(tmp_path / "mean.onnx", outputs=outputs, **more))


def test_the_shipped_layers_are_among_those_of_the_model_that_is_fetched():
    import fetch_moonshine

    yaml = pathlib.Path(__file__).parents[1] / "hparams" / "mtl_aug_pretrained.yaml"
    shipped = load_hyperpyyaml(yaml.read_text().partition("n_features:")[0])
    assert max(shipped["front_end_layers"]) < len(fetch_moonshine.LAYERS)


# ---------------------------------------------------------------------- learned weights over layers


@pytest.mark.parametrize("join", ["mean", "all"])
def test_layers_are_normalised_and_weighted(join):
    encoder = make("encoder/weighted_layers", input_size=12, n_layers=3, join=join).eval()
    with torch.no_grad():
        encoder.layer_weights.copy_(torch.tensor([0.0, 1.0, -1.0]))
    x = torch.rand(2, 5, 12)
    joined = encoder(x, torch.ones(2))[0][0]
    weights = np.exp([0.0, 1.0, -1.0]) / np.exp([0.0, 1.0, -1.0]).sum()
    layers = x.numpy().reshape(2, 5, 3, 4)
    layers = (layers - layers.mean(3, keepdims=True)) / np.sqrt(layers.var(3, keepdims=True) + 1e-5)
    expected = (layers * weights[:, None]).sum(2) if join == "mean" else (layers * 3 * weights[:, None]).reshape(2, 5, 12)
    assert np.allclose(joined.detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("join", ["mean", "all"])
def test_the_weights_learn_which_layer_knows(join):
    torch.manual_seed(0)
    encoder = make("encoder/weighted_layers", input_size=12, n_layers=3, join=join, input_dropout=0.0, dropout=0.0)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.05)
    for _ in range(60):
        x = torch.randn(8, 4, 12)
        goal = (x[:, :, 4] > x[:, :, 5]).float()  # in the second layer
        loss = (encoder(x, torch.ones(8))[-1][0][:, :, 0] - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert encoder.layer_weights.argmax() == 1


def test_deviations_beside_the_layers_are_left_out():
    means, deviations = torch.rand(2, 5, 3, 4), torch.rand(2, 5, 3, 4)
    both = torch.stack([means, deviations], dim=3).flatten(2)
    arguments = {"n_layers": 3, "output_size": 4, "skip": True}
    without = make("encoder/weighted_layers", input_size=12, **arguments).eval()
    encoder = make("encoder/weighted_layers", input_size=24, deviations=True, **arguments).eval()
    encoder.load_state_dict(without.state_dict())
    lengths = torch.tensor([1.0, 0.4])
    for (ours, _), (expected, _) in zip(encoder(both, lengths), without(means.flatten(2), lengths), strict=True):
        assert torch.equal(ours, expected)


def test_skip_puts_the_layers_beside_the_dense_frames_on_top():
    encoder = make("encoder/weighted_layers", input_size=12, n_layers=3, output_size=4, skip=True).eval()
    (joined, _), (dense, _), (top, _) = encoder(torch.rand(2, 5, 12), torch.tensor([1.0, 0.4]))
    assert top.shape[2] == encoder.output_size == 4 + 12
    assert torch.equal(top, torch.cat([dense, joined], dim=2))
    assert not top[1, 2:].any()


# ---------------------------------------------------------------------- effects on such features


def test_masks_take_each_dimensions_own_mean():
    x = torch.rand(2, 30, 6) + 100 * torch.arange(6)
    effect = make("augmentation/specaugment", per_dimension=True, frequency_masks=1, frequency_share=0.5)
    lengths = torch.tensor([1.0, 0.5])
    masked, _, _ = effect(x, lengths, {}, torch.Generator().manual_seed(3))
    for row, n in enumerate([30, 15]):
        hidden = masked[row] != x[row]
        assert hidden.any()
        assert not hidden[n:].any()
        mean = x[row, :n].mean(0).expand(30, 6)
        assert torch.allclose(masked[row][hidden], mean[hidden])


# ---------------------------------------------------------------------- the recipe that fetches a model


def test_fetched_is_checked_and_gets_its_layers_as_outputs(tmp_path, monkeypatch):
    import fetch_moonshine

    inner = onnx.load(EXAMPLE)
    package = tmp_path / "package.tgz"
    (tmp_path / "m").write_bytes(inner.SerializeToString())
    (tmp_path / "l").write_text("MIT")
    with tarfile.open(package, "w:gz") as file:
        file.add(tmp_path / "m", fetch_moonshine.MODEL)
        file.add(tmp_path / "l", fetch_moonshine.LICENSE)
    with pytest.raises(ValueError, match="is not what was expected: its SHA-512 is"):
        fetch_moonshine.main([str(tmp_path / "out"), f"--package={package}"])
    assert not (tmp_path / "out").exists()
    digest = fetch_moonshine.hashlib.sha512(package.read_bytes()).hexdigest()
    monkeypatch.setattr(fetch_moonshine, "SHA512", digest)
    monkeypatch.setattr(fetch_moonshine, "LAYERS", ["upper", "lower"])
    path = fetch_moonshine.main([str(tmp_path / "out"), f"--package={package}"])
    assert sorted(p.name for p in pathlib.Path(path).parent.iterdir()) == ["LICENSE", "moonshine_tiny.onnx"]
    swapped, _ = features(path=str(path))(WAVS[:1], torch.ones(1))
    assert torch.equal(swapped, features(layers=[1, 0])(WAVS[:1], torch.ones(1))[0])
    with pytest.raises(ValueError, match="has no tensor 'gone'"):
        fetch_moonshine.with_outputs(inner.SerializeToString(), ["gone"])


def test_a_registry_that_does_not_answer_is_named(monkeypatch):
    import fetch_moonshine

    monkeypatch.setattr(fetch_moonshine.shutil, "which", lambda name: None)
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:9/npm/")
    with pytest.raises(OSError, match=r"http://127\.0\.0\.1:9/npm/@a/b/-/b-1\.0\.tgz: .*--package=FILE"):
        fetch_moonshine.download("@a/b@1.0")
