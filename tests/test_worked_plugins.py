"""What the files in plugins/ do, by hand-worked values and independent implementations."""

import pathlib

import numpy as np
import pytest
import scipy.signal
import soundfile
import speechbrain as sb
import torch
import torchmetrics
from speechbrain.dataio.batch import PaddedBatch
from test_loop import Utterances, build

from mtlaug_sb import load_plugins, make
from mtlaug_sb.policy import AugmentationPolicy
from mtlaug_sb.task import Task

FOLDER = pathlib.Path(__file__).parents[1] / "plugins"
load_plugins(str(FOLDER))
ONES = torch.ones(4)
NAN = torch.nan
LIBRI = "--unlabelled_corpus=librispeech"


# ---------------------------------------------------------------------- dimensional


def ccc(x, y):
    """Lin's coefficient by NumPy."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    return 2 * np.mean((x - x.mean()) * (y - y.mean())) / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)


def test_ccc_loss_is_one_minus_the_coefficient_and_leaves_missing_dimensions_out():
    x = torch.tensor([[1.0, 2.0, 0.0], [2.0, 5.0, 0.0], [4.0, 1.0, 0.0], [3.0, 3.0, 0.0]], requires_grad=True)
    y = torch.tensor([[1.0, 1.0, NAN], [2.5, NAN, NAN], [3.0, 2.0, NAN], [5.0, 4.0, NAN]])
    value = make("loss/ccc")(x, y, ONES).mean()
    a, b = x.detach().numpy().T[:2]
    expected = 1 - (ccc(a, [1, 2.5, 3, 5]) + ccc(b[[0, 2, 3]], [1, 2, 4])) / 2
    assert value.item() == pytest.approx(expected, abs=1e-5)
    value.backward()
    assert torch.isfinite(x.grad).all()
    assert not x.grad[:, 2].any()
    assert x.grad[1, 1] == 0


def test_ccc_metric_over_batches_equals_torchmetrics_and_numpy():
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.rand(200, 2, generator=generator), torch.rand(200, 2, generator=generator)
    y = x + 0.3 * noise
    metric = make("metric/ccc", names=["arousal", "valence"])
    for rows in torch.arange(200).split(64):
        metric.update(x[rows], y[rows])
    figures = metric.compute()
    assert figures["CCC/arousal"] == pytest.approx(ccc(x[:, 0], y[:, 0]), abs=1e-6)
    library = torchmetrics.functional.concordance_corrcoef(x[:, 1], y[:, 1]).item()
    assert figures["CCC/valence"] == pytest.approx(library, abs=0.01)  # it divides by n - 1
    assert figures["CCC"] == pytest.approx((figures["CCC/arousal"] + figures["CCC/valence"]) / 2)


def test_shapes_that_do_not_fit_are_both_named():
    with pytest.raises(ValueError, match=r"values \(2, 3\) and targets \(2, 2\)"):
        make("loss/ccc")(torch.zeros(2, 3), torch.zeros(2, 2), torch.ones(2))


# ---------------------------------------------------------------------- transcript


@pytest.fixture
def pieces(tmp_path):
    target = make("target/pieces", folder=str(tmp_path), vocab_size=16, max_pieces=12)
    target.learn([{"transcript": text} for text in ("la mu la si", "si la mu", "mu si si la", "la la")] + [{}])
    return target


def test_a_transcript_comes_back_from_its_pieces(pieces):
    row = pieces({"transcript": "si la mu"})
    known = [int(p) for p in row if p == p]
    assert pieces.decode(known) == "si la mu"
    assert 0 not in known  # blank
    assert pieces({}).isnan().all()
    assert pieces({"transcript": "la " * 40}).isnan().all()  # longer than max_pieces


def test_no_transcript_and_too_many_pieces_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no training utterance has it"):
        make("target/pieces", folder=str(tmp_path)).learn([{}])
    with pytest.raises(ValueError, match="made no 500 pieces of 1 transcripts"):
        make("target/pieces", folder=str(tmp_path), vocab_size=500).learn([{"transcript": "la"}])


def test_ctc_of_one_frame_per_piece_and_of_padding():
    # two pieces in two frames have one path: -(log p_1(1) + log p_2(2)) / 2
    scores = torch.randn(1, 2, 4)
    log = scores.log_softmax(2)
    loss = make("loss/ctc")
    expected = -(log[0, 0, 1] + log[0, 1, 2]) / 2
    target = torch.tensor([[1.0, 2.0, NAN]])
    assert loss(scores, target, torch.ones(1)).item() == pytest.approx(expected.item(), abs=1e-5)
    padded = torch.cat([scores, torch.randn(1, 3, 4)], dim=1)
    assert loss(padded, target, torch.tensor([0.4])).item() == pytest.approx(expected.item(), abs=1e-5)
    assert loss(scores, torch.tensor([[1.0, 1.0, 1.0]]), torch.ones(1)).item() == 0.0  # three pieces, two frames
    with pytest.raises(ValueError, match="piece 7, and the head has room for 4"):
        loss(scores, torch.tensor([[7.0]]), torch.ones(1))


def test_error_rate_by_hand(pieces):
    metric = make("metric/error_rate", target=pieces)
    target = pieces({"transcript": "la mu"})
    said = [int(p) for p in target if p == p]
    wrong = [*said[:-1], next(p for p in range(1, 16) if p not in said)]
    frames = [0, *[p for piece in wrong for p in (piece, piece, 0)]]  # repeats and blanks collapse
    metric.update(torch.nn.functional.one_hot(torch.tensor([frames]), 16).float(), target.unsqueeze(0))
    assert metric.compute()["PER"] == pytest.approx(1 / len(said))
    assert metric.compute()["WER"] in (0.5, 1.0)  # the last piece is the last word, or a part of it
    metric.reset()
    assert metric.compute() == {}


# ---------------------------------------------------------------------- domain, consistency


def test_the_encoder_gets_the_reversed_gradient_and_the_head_its_own():
    frames = torch.rand(2, 5, 8, requires_grad=True)
    head = make("head/domain_adversarial", input_size=8, n_classes=3, strength=0.5).eval()
    head(frames, torch.ones(2))["logits"].square().sum().backward()
    reversed_, own = frames.grad.clone(), [p.grad.clone() for p in head.parameters()]
    frames.grad = None
    head.zero_grad()
    head.classifier(frames, torch.ones(2))["logits"].square().sum().backward()
    assert torch.allclose(reversed_, -0.5 * frames.grad)
    assert all(torch.equal(a, p.grad) for a, p in zip(own, head.parameters(), strict=True))


def test_consistency_is_the_divergence_from_the_clean_view():
    loss = make("loss/consistency", confidence=0.8)
    clean = torch.tensor([[2.0, 0.0], [0.1, 0.0]], requires_grad=True)
    goal = loss.as_target(clean)
    assert not goal.requires_grad
    same, _ = loss(clean, goal, torch.ones(2))
    assert same.item() == pytest.approx(0, abs=1e-6)
    seen = torch.zeros(2, 2)
    values = loss(seen, goal, torch.ones(2))
    p = goal[0]
    assert values[0].item() == pytest.approx((p * (p / 0.5).log()).sum().item(), abs=1e-6)
    assert values[1].item() == 0.0  # not confident


def consistency_brain(tmp_path, effects, probabilities):
    losses = {"ce": make("loss/cross_entropy"), "consistency": make("loss/consistency")}
    task = Task("label", make("head/attentive", input_size=6, n_classes=2), losses)
    policy = AugmentationPolicy(effects, probabilities)
    return build(tmp_path, tasks={"only": task}, augmentation=policy)


def batch_of(dataset):
    return PaddedBatch([dataset[i] for i in range(len(dataset))], padded_keys=["wav"])


def test_unlabelled_speech_teaches_the_main_head_by_consistency(tmp_path):
    brain = consistency_brain(tmp_path, {"speed": make("augmentation/speed", percents=[80])}, {"none": 0.0, "speed": 1.0})
    batch = batch_of(Utterances(4))
    batch.label[:] = NAN
    brain.modules.eval()  # without dropout, one view has one answer
    outputs = brain.compute_forward(batch, sb.Stage.TRAIN)
    terms = outputs["only"][1]
    assert terms["ce"].item() == 0.0
    assert terms["consistency"].item() > 1e-8
    brain.compute_objectives(outputs, batch, sb.Stage.TRAIN).backward()
    assert brain.tasks["only"].head.output.weight.grad.abs().sum() > 0
    clean = brain.compute_forward(batch, sb.Stage.VALID)["only"][1]["consistency"]
    assert clean.item() == pytest.approx(0, abs=1e-6)  # nothing is augmented: both views are one


def test_a_mixed_row_is_to_answer_the_mixed_answers(tmp_path, monkeypatch):
    brain = consistency_brain(tmp_path, {"mixup": make("augmentation/mixup")}, {"none": 0.0, "mixup": 1.0})
    given = {}
    loss = brain.tasks["only"].losses["consistency"]
    # were the head sure of every label, a mixed row's target had to be the mixed label
    monkeypatch.setattr(loss, "as_target", lambda prediction: torch.eye(2)[[0, 1, 0, 1]])
    monkeypatch.setattr(loss, "forward", lambda p, t, lengths: given.setdefault("target", t).sum(1))
    labels = brain.compute_forward(batch_of(Utterances(4)), sb.Stage.TRAIN)["only"][2]
    assert ((labels > 0) & (labels < 1)).any()
    assert torch.allclose(given["target"], labels)


def test_a_mixed_rows_transcript_counts_as_missing(tmp_path):
    class Words:
        mixable = False

    policy = AugmentationPolicy({"mixup": make("augmentation/mixup")}, {"none": 0.5, "mixup": 0.5}, seed=2)
    brain = build(tmp_path, augmentation=policy, targets={"label": None, "words": Words()})
    dataset = Utterances(8)
    batch = PaddedBatch([{**dataset[i], "words": torch.tensor([1.0, 2.0, 3.0]) + i} for i in range(8)], padded_keys=["wav"])
    _, _, targets = brain.input(batch, augmented=True)
    mixed = targets["augmentation"][:, 1] == 1
    assert 0 < mixed.sum() < 8
    assert targets["words"][mixed].isnan().all()
    assert torch.equal(targets["words"][~mixed], batch.words[~mixed])
    assert ((targets["label"] > 0) & (targets["label"] < 1)).any()


# ---------------------------------------------------------------------- noise, reverberation


@pytest.mark.parametrize("recorded", [False, True])
def test_the_snr_over_the_utterance_is_as_asked_also_in_a_padded_batch(tmp_path, recorded):
    if recorded:
        generator = np.random.default_rng(0)
        for rate, n in ((16000, 40000), (8000, 3000)):
            soundfile.write(tmp_path / f"{rate}.wav", 0.1 * generator.normal(size=n), rate)
    noise = make("augmentation/noise", folder=str(tmp_path) if recorded else None, snr_low=7.0, snr_high=7.0)
    steps = [16000, 9000, 4000]
    wavs = torch.zeros(3, 16000)
    for row, n in zip(wavs, steps, strict=True):
        row[:n] = torch.sin(torch.arange(n) * 0.05)
    noisy, _, _ = noise(wavs.clone(), torch.tensor(steps) / 16000, {}, torch.Generator().manual_seed(0))
    for i, n in enumerate(steps):
        gain = noisy[i, :n] @ wavs[i, :n] / wavs[i, :n].square().sum()  # SpeechBrain turns the speech down
        speech, rest = gain * wavs[i, :n], noisy[i, :n] - gain * wavs[i, :n]
        snr_db = 10 * torch.log10(speech.square().sum() / rest.square().sum())
        assert snr_db.item() == pytest.approx(7.0, abs=0.3)  # a short noise is not quite uncorrelated with the speech


def test_reverberation_equals_scipys_convolution_up_to_level_and_delay(tmp_path):
    response = np.exp(-np.arange(800) / 60)  # whose mean is a part of it
    response[[300, 700]] += 0.5, -0.25
    soundfile.write(tmp_path / "room.wav", response, 16000, "FLOAT")
    wavs = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
    wavs[1, 5000:] = 0
    wet, _, _ = make("augmentation/reverb", folder=str(tmp_path))(wavs, torch.tensor([1.0, 0.625]), {}, torch.Generator())
    for row, dry, n in zip(wet, wavs, (8000, 5000), strict=True):
        expected = scipy.signal.fftconvolve(dry[:n], response)[:n]
        row = row[:n].numpy()
        assert np.corrcoef(row, expected)[0, 1] > 0.999
    assert not wet[1, 5000:].any()


def test_folders_without_audio_are_refused(tmp_path):
    for plugin in ("augmentation/noise", "augmentation/reverb"):
        with pytest.raises(FileNotFoundError, match="no folder of recordings"):
            make(plugin, folder="/nowhere")
        with pytest.raises(FileNotFoundError, match="no audio file below"):
            make(plugin, folder=str(tmp_path))


# ---------------------------------------------------------------------- on real speech


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("yaml", "corpus", "more", "column"),
    [
        ("mtl_dimensional", "ravdess", ["--dimensions=[intensity]"], "valid/dimensions/CCC/intensity"),
        ("mtl_speaker_gender", "ravdess", [], "valid/gender/UAR"),
        ("mtl_transcript", "emodb", [LIBRI, "--vocab_size=100"], "train/transcript/PER"),
        ("mtl_domain_adversarial", "emodb", [LIBRI, "--domain=corpus", "--per_corpus=False"], "train/domain/WA"),
        ("mtl_consistency", "emodb", [LIBRI], "train/emotion/consistency"),
        ("mtl_aug_noise", "emodb", ["--noise_folder={data}/noise"], "train/augmentation/recall/noise"),
    ],
)
def test_worked_yamls_on_real_speech(train, real_data, tmp_path, yaml, corpus, more, column):
    speakers = {"ravdess": "Actor_0[1-4]/*.flac", "emodb": "**/[01][0389]???*.flac"}[corpus]
    (tmp_path / "few").mkdir()
    for file in sorted((real_data / corpus).glob(speakers))[::2]:
        (tmp_path / "few" / file.name).symlink_to(file)
    more = [m.format(data=real_data) for m in more]
    more += [f"--unlabelled_folder={real_data / 'librispeech'}"] if LIBRI in more else []
    data = [f"--data_folder={tmp_path / 'few'}", f"--corpus={corpus}", "--corpus_options={}"]
    train(f"hparams/{yaml}.yaml", *data, *more, "--number_of_epochs=1", "--batches={batch_size: 32, unlabelled_ratio: 0.25}")
    log = (tmp_path / "run" / "train_log.csv").read_text().splitlines()
    values = dict(zip(log[0].split(","), log[-1].split(","), strict=True))
    assert float(values[column]) >= -1
