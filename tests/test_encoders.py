"""Encoders of others: exact on padded batches, and the same as the originals where nothing is padded."""

import json
import socket
import sys

import numpy as np
import pytest
import scipy.fft
import torch
from speechbrain.lobes.models.ECAPA_TDNN import ECAPA_TDNN, Conv1d

from mtlaug_sb import make

STEPS = [4000, 3217, 1601, 1250, 401, 400, 150]  # samples; the last has less than a frame's


def padded(rows):
    """Rows [steps, dim] as a batch, and their relative lengths."""
    size = max(map(len, rows))
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.tensor([len(r) for r in rows]) / size


def assert_alone_as_in_a_batch(encoder, rows):
    together = encoder(*padded(rows))
    for i, row in enumerate(rows):
        alone = encoder(row.unsqueeze(0), torch.ones(1))
        for (one, _), (many, lengths) in zip(alone, together, strict=True):
            steps = round(lengths[i].item() * many.shape[1])
            assert steps == one.shape[1]
            assert torch.allclose(one[0], many[i, :steps], atol=1e-5)
            assert not many[i, steps:].any()


# ---------------------------------------------------------------------- convolutions


def test_the_features_ride_along_with_the_top_frames():
    encoder = make("encoder/cnn", input_size=6, channels=[5, 4], kernel_sizes=[8, 3], strides=[4, 1], skip=True).eval()
    rows = [torch.randn(steps, 6) for steps in (37, 17, 5, 1)]
    assert_alone_as_in_a_batch(encoder, rows)
    frames, _ = encoder(*padded(rows))[-1]
    assert frames.shape == (4, 10, 4 + 6)
    assert encoder.output_size == 10
    assert torch.allclose(frames[1, 2, 4:], rows[1][8:12].mean(0), atol=1e-6)
    assert torch.allclose(frames[1, 4, 4:], rows[1][16], atol=1e-6)  # the last stretch has one valid frame


@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 1, 2), (1, 3, 1)])
def test_every_layer_may_stride(strides):
    encoder = make("encoder/cnn", input_size=6, channels=[5, 4, 3], kernel_sizes=[3, 3, 3], strides=strides).eval()
    assert_alone_as_in_a_batch(encoder, [torch.randn(steps, 6) for steps in (37, 17, 5, 1)])


def test_cepstra_ride_along_too():
    sizes = {"input_size": 6, "channels": [5, 4], "kernel_sizes": [8, 3], "strides": [4, 1], "skip": True}
    encoder = make("encoder/cnn", skip_cepstra=3, **sizes).eval()
    rows = [torch.randn(steps, 6) for steps in (37, 17, 1)]
    assert_alone_as_in_a_batch(encoder, rows)
    frames = encoder(*padded(rows))[-1][0].detach()
    assert frames.shape[2] == encoder.output_size == 4 + 6 + 3
    expected = scipy.fft.dct(frames[0, :, 4:10].numpy(), norm="ortho")[:, :3]
    assert np.allclose(frames[0, :, 10:].numpy(), expected, atol=1e-5)


def test_dropout_does_not_touch_what_the_heads_see():
    encoder = make("encoder/cnn", input_size=6, channels=[5], kernel_sizes=[3], strides=[1], dropout=0.9)
    features = torch.randn(2, 30, 6)
    (first, _), (second, _) = encoder(features, torch.ones(2))[-1], encoder(features, torch.ones(2))[-1]
    assert torch.equal(first, second)


# ---------------------------------------------------------------------- ECAPA-TDNN


def ecapa(**more):
    torch.manual_seed(0)
    return make(
        "encoder/ecapa_tdnn",
        input_size=10,
        channels=[16, 16, 16, 24],
        kernel_sizes=[5, 3, 3, 1],
        **{"dilations": [1, 2, 3, 1], **more},
    )


def original(encoder):
    """SpeechBrain's with the same weights, and with zeros where it has reflections."""
    sizes = {"channels": [16, 16, 16, 24], "kernel_sizes": [5, 3, 3, 1], "dilations": [1, 2, 3, 1], "groups": [1] * 4}
    whole = ECAPA_TDNN(10, res2net_scale=4, se_channels=32, **sizes)
    missing = whole.load_state_dict(encoder.state_dict(), strict=False)
    assert not missing.unexpected_keys
    assert {k.partition(".")[0] for k in missing.missing_keys} == {"asp", "asp_bn", "fc"}
    for module in whole.modules():
        if isinstance(module, Conv1d):
            module.padding_mode = "constant"
    seen = {}
    whole.mfa.register_forward_hook(lambda module, inputs, output: seen.update(frames=output.transpose(1, 2)))
    return whole, seen


def test_ecapa_is_speechbrains_where_nothing_is_padded():
    encoder = ecapa()
    x = torch.randn(4, 50, 10)
    encoder(x, torch.ones(4))  # statistics other than 0 and 1
    whole, seen = original(encoder)
    for training in (True, False):
        whole.train(training)(x)
        assert torch.allclose(encoder.train(training)(x, torch.ones(4))[-1][0], seen["frames"], atol=1e-5)
    theirs = whole.state_dict()
    for name, value in encoder.state_dict().items():
        assert torch.allclose(value.float(), theirs[name].float(), atol=1e-5), name


def test_ecapa_sees_no_padding():
    encoder = ecapa()
    rows = [torch.randn(n, 10) for n in (97, 64, 33, 7, 2, 1)]
    encoder(*padded(rows))
    assert_alone_as_in_a_batch(encoder.eval(), rows)


def test_ecapa_takes_no_statistics_of_padding():
    rows = [torch.randn(n, 10) + 3 for n in (60, 20)]
    states = []
    for more in (0, 200):
        encoder, (x, lengths) = ecapa(), padded(rows)
        size = x.shape[1]
        encoder(torch.nn.functional.pad(x, (0, 0, 0, more)), lengths * size / (size + more))
        states.append(encoder.state_dict())
    assert all(torch.allclose(states[0][k].float(), states[1][k].float(), atol=1e-5) for k in states[0])


def test_ecapa_refuses_sizes_that_do_not_fit():
    with pytest.raises(ValueError, match="4 channels, 4 kernel_sizes, 2 dilations"):
        ecapa(dilations=[1, 1])
    with pytest.raises(ValueError, match=r"5 does not divide the channels \[16, 16, 16\]"):
        ecapa(res2net_scale=5)


# ---------------------------------------------------------------------- Hugging Face

MODELS = [
    ("Wav2Vec2", {}),  # "base": group normalisation
    ("Wav2Vec2", {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}),  # "large"
    ("Hubert", {}),
    ("Hubert", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
    ("WavLM", {}),
    ("WavLM", {"feat_extract_norm": "layer", "do_stable_layer_norm": True}),
]


def waveforms(steps=STEPS):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(n, 1, generator=generator) * 0.1 + 0.05 for n in steps]


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(("kind", "config"), MODELS)
def test_no_padding_is_seen(tiny_speech_model, kind, config, normalize):
    source = str(tiny_speech_model(kind, **config))
    assert_alone_as_in_a_batch(make("encoder/huggingface", source=source, normalize=normalize).eval(), waveforms())


@pytest.mark.parametrize(("kind", "config"), MODELS)
def test_layers_are_those_of_the_original(tiny_speech_model, kind, config):
    import transformers

    source = str(tiny_speech_model(kind, **config))
    preprocessor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    preprocessor.save_pretrained(source)
    encoder = make("encoder/huggingface", source=source)
    with torch.no_grad():
        encoder.layer_weights.copy_(torch.tensor([0.0, 50.0, 0.0]))  # all of the first layer
    (wav,) = waveforms([3217])
    inputs = preprocessor(wav.squeeze(1).numpy(), sampling_rate=16000, return_tensors="pt")["input_values"]
    with torch.no_grad():
        theirs = transformers.AutoModel.from_pretrained(source).eval()(inputs, output_hidden_states=True).hidden_states
    *layers, (mean, _) = encoder(wav.unsqueeze(0), torch.ones(1))
    assert len(layers) == len(theirs) == 3
    for (ours, _), original_layer in zip(layers, theirs, strict=True):
        assert torch.allclose(ours, original_layer, atol=1e-5)
    assert torch.allclose(mean, theirs[1], atol=1e-5)


def test_frozen_trains_the_weights_of_the_layers_alone(tiny_speech_model):
    encoder = make("encoder/huggingface", source=str(tiny_speech_model())).train()
    assert not any(module.training for module in encoder.model.modules())
    x, lengths = padded(waveforms())
    assert torch.equal(encoder(x, lengths)[-1][0], encoder(x, lengths)[-1][0])  # no dropout
    encoder(x, lengths)[-1][0].square().sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is not None] == ["layer_weights"]
    assert encoder.layer_weights.grad.any()


@pytest.mark.parametrize(("kind", "config"), MODELS[::2])
def test_fine_tuned_every_parameter_that_is_trained_gets_a_gradient(tiny_speech_model, kind, config):
    encoder = make("encoder/huggingface", source=str(tiny_speech_model(kind, **config)), freeze=False).train()
    assert encoder.model.training
    encoder(*padded(waveforms()))[-1][0].square().sum().backward()
    trained = {name: p for name, p in encoder.named_parameters() if p.requires_grad}
    assert len(trained) > 20
    assert [name for name, p in trained.items() if p.grad is None] == []
    assert all(torch.isfinite(p.grad).all() for p in trained.values())


def test_the_models_own_masks_and_layer_drop_are_off(tiny_speech_model):
    dropouts = ("hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout")
    chance = {"mask_time_prob": 0.5, "mask_time_length": 2, "layerdrop": 0.5}
    source = tiny_speech_model("Wav2Vec2", **dict.fromkeys(dropouts, 0.0), **chance)
    encoder = make("encoder/huggingface", source=str(source), freeze=False).train()
    x, lengths = padded(waveforms())
    first = encoder(x, lengths)[-1][0]
    assert all(torch.equal(encoder(x, lengths)[-1][0], first) for _ in range(4))


def test_a_local_folder_needs_no_network(tiny_speech_model, monkeypatch):
    source = str(tiny_speech_model())

    def refuse(*arguments):
        raise AssertionError("asks the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    make("encoder/huggingface", source=source)


@pytest.mark.parametrize("says", [True, False, None])
def test_an_utterance_is_normalised_if_the_models_preprocessor_says_so(tiny_speech_model, says):
    source = tiny_speech_model()
    if says is not None:
        settings = {"feature_extractor_type": "Wav2Vec2FeatureExtractor", "do_normalize": says}
        (source / "preprocessor_config.json").write_text(json.dumps(settings))
    assert make("encoder/huggingface", source=str(source)).normalize == bool(says)


def test_what_is_missing_or_wrong_is_named(tiny_speech_model, tmp_path, monkeypatch):
    with pytest.raises(OSError, match=r"'.*nothing' is no model's folder, and no model of the hub"):
        make("encoder/huggingface", source=str(tmp_path / "nothing"))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="of type 'bert'; known: wav2vec2, hubert, wavlm"):
        make("encoder/huggingface", source=str(tmp_path))
    encoder = make("encoder/huggingface", source=str(tiny_speech_model()))
    with pytest.raises(ValueError, match=r"as features/waveform gives; got \(1, 50, 80\)"):
        encoder(torch.rand(1, 50, 80), torch.ones(1))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"pip install 'mtlaug_sb\[huggingface\]'"):
        make("encoder/huggingface", source="anything")


def test_a_recipe_fine_tunes(train, tiny_speech_model, tmp_path):
    source = tiny_speech_model()
    more = ["--freeze_encoder=False", "--number_of_epochs=1", f"--encoder_source={source}"]
    train("hparams/mtl_aug_huggingface.yaml", *more)
    tuned = torch.load(next((tmp_path / "run" / "save").glob("CKPT*/encoder.ckpt")))
    given = make("encoder/huggingface", source=str(source)).state_dict()
    moved = [name for name in given if not torch.equal(given[name], tuned[name])]
    assert any("layers.1." in name for name in moved)
    assert any("conv_layers.0." in name for name in moved)
    assert "layer_weights" in moved


@pytest.mark.parametrize("arguments", [{"plugin": "encoder/weighted_layers", "n_layers": 2}, {"plugin": "encoder/cnn"}])
def test_mixed_precision_is_no_error(arguments):
    encoder = make(**arguments, input_size=8)
    with torch.autocast("cpu", torch.bfloat16):
        layers = encoder(torch.rand(2, 40, 8), torch.tensor([1.0, 0.5]))
    assert all(frames.isfinite().all() for frames, _ in layers)
