"""What SpeechBrain's loop gets wrong and ours must not: clipping, NaN, accumulation; and two processes."""

import csv
import json
import sys
from unittest.mock import Mock

import pytest
import speechbrain as sb
import torch
from speechbrain.dataio.batch import PaddedBatch
from torch import nn
from torch.utils.data import Subset

from mtlaug_sb import make
from mtlaug_sb.brain import MultiTaskBrain
from mtlaug_sb.dataio.datasets import loader_options
from mtlaug_sb.dataio.sampler import MixedBatchSampler
from mtlaug_sb.masking import absolute_lengths, valid_mask
from mtlaug_sb.normalization import GlobalNormalization
from mtlaug_sb.policy import AugmentationPolicy
from mtlaug_sb.task import Task


class Utterances(torch.utils.data.Dataset):
    """Random audio with two classes; utterance ``poisoned`` is NaN."""

    def __init__(self, n=10, poisoned=None):
        generator = torch.Generator().manual_seed(0)
        self.wavs = [torch.rand(1600 + 160 * i, generator=generator) for i in range(n)]
        if poisoned is not None:
            self.wavs[poisoned] = self.wavs[poisoned] * torch.nan

    def __len__(self):
        return len(self.wavs)

    def __getitem__(self, i):
        return {"id": str(i), "wav": self.wavs[i], "label": torch.eye(2)[i % 2]}


def build(tmp_path, opt_class=torch.optim.SGD, **more):
    torch.manual_seed(0)
    task = Task("label", make("head/attentive", input_size=6, n_classes=2), {"ce": make("loss/cross_entropy")})
    hparams = {
        "modules": {
            "features": make("features/log_mel", n_mels=10),
            "normalization": GlobalNormalization(10),
            "encoder": make("encoder/cnn", input_size=10, channels=[6, 6], kernel_sizes=[3, 3], strides=[2, 1]),
            "weighting": make("weighting/fixed"),
        },
        "tasks": {"only": task},
        "targets": {"label": None},
        "augmentation": None,
        "opt_class": lambda parameters: opt_class(parameters, lr=0.1),
        "lr_curve": lambda progress: 1.0,
        "number_of_epochs": 1,
        "main_task": "only",
        "choose_epoch_by": "valid/loss",
        "train_log": tmp_path / "log.csv",
        "cache_mb": 0,
        "max_grad_norm": 5.0,
        **more,
    }
    return MultiTaskBrain(hparams, {"device": "cpu", "noprogressbar": True})


def fit(brain, dataset, batch_size=2):
    sampler = MixedBatchSampler([1.0] * len(dataset), batch_size=batch_size)
    loader = brain.make_dataloader(dataset, sb.Stage.TRAIN, **loader_options(batch_sampler=sampler))
    brain.fit([1], loader, brain.make_dataloader(Utterances(2), sb.Stage.VALID, **loader_options(batch_size=2)))
    return next(csv.DictReader(open(brain.history.path, encoding="utf-8")))


class SolvedHead(nn.Module):
    """Remembers what it was shown; reads the encoder's input."""

    reads_input = True

    def __init__(self):
        super().__init__()
        self.output, self.shown = nn.Linear(6, 2), []

    def fit(self, examples):
        assert not self.training
        assert not torch.is_grad_enabled()
        self.shown = list(examples)

    def forward(self, frames, lengths, features, feature_lengths):
        assert features.shape[2] == 10
        assert features.shape[1] > frames.shape[1]
        return {"logits": self.output(frames.mean(1)), "embedding": frames.mean(1)}


class HalfLabelled(Utterances):
    def __getitem__(self, i):
        item = super().__getitem__(i)
        return item if i % 4 < 2 else {**item, "label": torch.full((2,), torch.nan)}


def test_heads_that_are_solved_for_see_labelled_rows_in_every_fitted_outcome(tmp_path):
    head, speed = SolvedHead(), make("augmentation/speed", percents=[50, 90, 200])
    policy = AugmentationPolicy({"speed": speed}, fitted={"speed": [50, 200]})
    task = Task("label", head, {"ce": make("loss/cross_entropy")})
    brain = build(tmp_path, tasks={"only": task}, augmentation=policy)
    dataset = HalfLabelled(8)
    speakers = {str(i): f"speaker {i % 3}" for i in range(8)}
    loader = brain.make_dataloader(dataset, sb.Stage.VALID, **loader_options(batch_size=4))
    brain.fit_heads([(loader, policy.outcomes())], speakers)
    assert [len(classes) for _, _, classes, _ in head.shown] == [2] * 6  # two batches in three outcomes, half their rows
    assert [names for *_, names in head.shown] == [["speaker 0", "speaker 1"]] * 3 + [["speaker 1", "speaker 2"]] * 3
    for batch, first in ((0, 0), (3, 4)):
        plain, slow, fast = head.shown[batch : batch + 3]
        for row in range(2):
            n = 1 + len(dataset.wavs[first + row]) // 160
            sizes = [int(absolute_lengths(lengths, features.shape[1])[row]) for features, lengths, *_ in (plain, slow, fast)]
            assert sizes == [n, 2 * n - 1, (n + 1) // 2]
            assert torch.equal(plain[2][row], dataset[first + row]["label"])
    fit(brain, Utterances())  # the input reaches the head in both stages


def test_of_many_utterances_each_outcome_is_shown_on_others(tmp_path):
    head, speed = SolvedHead(), make("augmentation/speed", percents=[50, 200])
    policy = AugmentationPolicy({"speed": speed}, fitted={"speed": [50, 200]})
    brain = build(tmp_path, tasks={"only": Task("label", head, {"ce": make("loss/cross_entropy")})}, augmentation=policy)
    parts = [Subset(Utterances(6), places) for places in ([0, 1], [2, 3], [4, 5])]
    loaders = [brain.make_dataloader(part, sb.Stage.VALID, **loader_options(batch_size=2)) for part in parts]
    shown = [(loader, [outcome]) for loader, outcome in zip(loaders, policy.outcomes(), strict=True)]
    brain.fit_heads(shown, {str(i): f"speaker {i}" for i in range(6)})
    assert [names for *_, names in head.shown] == [[f"speaker {i}", f"speaker {i + 1}"] for i in (0, 2, 4)]
    for (features, lengths, *_), first, per_second in zip(head.shown, (0, 2, 4), (1, 2, 0.5), strict=True):
        samples = torch.tensor([len(wav) for wav in Utterances(6).wavs[first : first + 2]])
        assert torch.equal(absolute_lengths(lengths, features.shape[1]), 1 + torch.ceil(samples * per_second).long() // 160)


def test_a_head_that_is_solved_for_needs_a_target_of_the_recordings(tmp_path):
    policy = AugmentationPolicy({"speed": make("augmentation/speed")})
    tasks = {"only": Task("label", SolvedHead(), {}), "kind": Task("augmentation", SolvedHead(), {})}
    brain = build(tmp_path, tasks=tasks, augmentation=policy)
    with pytest.raises(ValueError, match="task 'kind': its head is solved for, and no recording has 'augmentation'"):
        brain.fit_heads([], {})


def test_32_bits_are_32_bits(tmp_path):
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True  # as SpeechBrain leaves them
    build(tmp_path)
    assert not torch.backends.cuda.matmul.allow_tf32
    assert not torch.backends.cudnn.allow_tf32


def test_processes_of_a_resumed_distributed_training_draw_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    drawn = set()
    for rank in (0, 1):
        brain = build(tmp_path, augmentation=AugmentationPolicy({"speed": make("augmentation/speed")}))
        brain.distributed_launch, brain.rank = True, rank
        for step in (0, 5):
            brain.policy.generator.manual_seed(3)  # what the checkpoint of the first process has
            torch.manual_seed(4)
            brain._draw_apart(step)
            drawn.add((torch.rand((), generator=brain.policy.generator).item(), torch.rand(()).item()))
    assert len({policy for policy, _ in drawn}) == len({dropout for _, dropout in drawn}) == 4
    monkeypatch.setattr(sb.Brain, "on_fit_start", lambda brain: None)
    again = []
    brain._draw_apart, brain.checkpointer, brain.optimizer_step = again.append, Mock(), 7
    brain.checkpointer.find_checkpoint.return_value.paramfiles = {}
    for rank in (0, 1):  # the first process goes on where it was
        brain.rank = rank
        brain.on_fit_start()
    assert again == [7]


def test_a_nan_step_is_skipped_counted_and_leaves_no_trace(tmp_path):
    brain = build(tmp_path)
    row = fit(brain, Utterances(poisoned=3))
    assert row["train/skipped_steps"] == "1"
    assert brain.optimizer_step == 5
    for name, value in brain.modules.state_dict().items():
        assert torch.isfinite(value).all(), name


def test_too_many_nan_steps_stop_the_training(tmp_path):
    with pytest.raises(ValueError, match="patience is exhausted"):
        fit(build(tmp_path, nonfinite_patience=0), Utterances(poisoned=3))


def test_leftover_batches_of_an_epoch_are_used(tmp_path):
    brain = build(tmp_path, grad_accumulation_factor=4)
    stepped = []
    step = brain.optimizers_step
    brain.optimizers_step = lambda: (stepped.append(brain.step), step())
    fit(brain, Utterances(10))  # 5 batches: a step after 4, and one for the last
    assert stepped == [4, 5]


def test_clipping_covers_every_parameter_group(tmp_path):
    brain = build(tmp_path, max_grad_norm=1e-3)
    brain.opt_class = lambda parameters: torch.optim.SGD([{"params": [p], "lr": 1.0} for p in parameters if p.requires_grad])
    before = {n: p.detach().clone() for n, p in brain.modules.named_parameters()}
    fit(brain, Utterances(2))
    moved = torch.cat([(p.detach() - before[n]).flatten() for n, p in brain.modules.named_parameters()])
    assert 0 < moved.norm() <= 1.01e-3  # one step with lr 1: the whole gradient, clipped


def test_the_learning_rate_follows_its_curve(tmp_path):
    seen = []
    fit(build(tmp_path, lr_curve=lambda progress: seen.append(round(progress, 3)) or 1.0), Utterances(10))
    assert seen == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_the_label_is_what_happened_also_when_features_are_kept(tmp_path):
    effects = {"speed": make("augmentation/speed", percents=[50, 100]), "mixup": make("augmentation/mixup")}
    brain = build(tmp_path, augmentation=AugmentationPolicy(effects), cache_mb=100)
    dataset = Utterances(8)
    batch = PaddedBatch([dataset[i] for i in range(8)], padded_keys=["wav"])
    untouched, lengths, _ = brain.input(batch, augmented=False)
    seen = set()
    for _ in range(20):  # every variant of every utterance is kept after some rounds
        features, new_lengths, targets = brain.input(batch, augmented=True)
        for i, label in enumerate(targets["augmentation"].argmax(1).tolist()):
            before, after = (absolute_lengths(n, x.shape[1])[i] for n, x in ((lengths, untouched), (new_lengths, features)))
            same = before == after and torch.equal(features[i, :after], untouched[i, :after])
            mixed = 0 < targets["label"][i, 0] < 1
            happened = "speed" if before != after else "none" if same else "mixup"
            assert happened == ["none", "speed", "mixup"][label]
            assert not mixed or happened == "mixup"
            seen.add((i, happened))
    assert len(seen) == 8 * 3


def test_weights_and_schedules_of_tasks_enter_the_loss(tmp_path):
    brain = build(tmp_path)
    task = brain.tasks["only"]
    outputs = {"only": ({"logits": torch.zeros(2, 2)}, {"ce": torch.tensor(3.0)}, torch.eye(2))}
    task.weight, task.loss_weights, task.schedule = 0.5, {"ce": 4.0}, lambda progress: 0.1
    batch = PaddedBatch([Utterances()[i] for i in range(2)], padded_keys=["wav"])
    assert brain.compute_objectives(outputs, batch, sb.Stage.TRAIN).item() == pytest.approx(0.5 * 4.0 * 0.1 * 3.0)


def test_clean_features_are_those_before_masking(tmp_path):
    policy = AugmentationPolicy({"specaugment": make("augmentation/specaugment")}, {"none": 0.0, "specaugment": 1.0})
    brain = build(tmp_path, augmentation=policy)
    head = make("head/decoder", input_size=6, output_size=10, stride=2)
    losses = {"mse": make("loss/reconstruction")}
    brain.tasks |= {t: Task(t, head, losses) for t in ("clean_features", "features")}
    batch = PaddedBatch([Utterances()[i] for i in range(8)], padded_keys=["wav"])
    untouched, lengths, _ = brain.input(batch, augmented=False)
    seen, _, targets = brain.input(batch, augmented=True)
    inside = valid_mask(lengths, seen.shape[1])
    assert torch.allclose(targets["clean_features"][inside], untouched[inside])
    assert torch.equal(targets["features"][inside], seen[inside])
    assert not torch.allclose(seen[inside], untouched[inside])
    assert targets["features"][~inside].isnan().all()


@pytest.mark.parametrize("yaml", ["hparams/mtl_aug.yaml", "hparams/mtl_consistency.yaml"])
def test_two_processes(script, tmp_path, yaml):
    # a group that is still open at the end makes a process abort now and then, so it must be closed
    (tmp_path / "closing.py").write_text(
        "import runpy, sys, torch\n"
        "del sys.argv[0]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "sys.exit('the group is open' if torch.distributed.is_initialized() else 0)\n"
    )
    nodes = ["--standalone", "--nproc_per_node=2"]
    launcher = [sys.executable, "-m", "torch.distributed.run", *nodes, str(tmp_path / "closing.py")]
    process = script(yaml, "--distributed_backend=gloo", launcher=launcher)
    assert process.returncode == 0, process.stdout + process.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    rows = (tmp_path / "run" / "predictions.csv").read_text().splitlines()
    assert len(rows) - 1 == results["utterances"]["test"] == 8  # each test utterance once


def test_gradients_reach_the_waveform_through_the_whole_model():
    front = make("features/log_mel", n_mels=10)
    encoder = make("encoder/cnn", input_size=10).eval()
    head = make("head/blstm_attention", input_size=96, n_classes=3).eval()
    wavs = torch.rand(2, 8000, requires_grad=True)
    features, lengths = front(wavs, torch.tensor([1.0, 0.5]))
    head(*encoder(features, lengths)[-1])["logits"].sum().backward()
    assert wavs.grad[0].abs().sum() > 0
    assert not wavs.grad[1, 4000:].any()  # padding gets none


def test_padding_cannot_be_seen_by_the_whole_model():
    front, norm = make("features/log_mel", n_mels=10), GlobalNormalization(10)
    encoder = make("encoder/cnn", input_size=10).eval()
    heads = nn.ModuleList(
        [make("head/blstm_attention", input_size=96, n_classes=3), make("head/attentive", input_size=96, n_classes=4)]
    ).eval()
    steps = torch.tensor([16000, 12345, 5001, 801])
    wavs = [torch.randn(n) * 0.1 for n in steps]

    def logits(batch, lengths):
        features, lengths = front(batch, lengths)
        layers = encoder(norm(features, lengths), lengths)
        return [head(*layers[-1])["logits"] for head in heads]

    together = logits(torch.nn.utils.rnn.pad_sequence(wavs, batch_first=True), steps / 16000)
    for i, wav in enumerate(wavs):
        for one, many in zip(logits(wav.unsqueeze(0), torch.ones(1)), together, strict=True):
            assert torch.allclose(one[0], many[i], atol=1e-5)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"layer": 7}, "task 'only' sits on layer 7, and the encoder has layers 0 to 1"),
        (
            {"head": make("head/attentive", input_size=9, n_classes=2)},
            r"'only': Attentive does not fit .* input_size 6",
        ),
        (
            {"head": make("head/attentive", input_size=6, n_classes=3)},
            r"task 'only': loss 'ce' does not fit .*\(4, 3\).*\(4, 2\)",
        ),
    ],
)
def test_a_task_that_does_not_fit_is_named(tmp_path, change, says):
    brain = build(tmp_path)
    for name, value in change.items():
        setattr(brain.tasks["only"], name, value)
    batch = PaddedBatch([Utterances()[i] for i in range(4)], padded_keys=["wav"])
    with pytest.raises(ValueError, match=says):
        brain.compute_forward(batch, sb.Stage.TRAIN)


def test_names_of_the_types_in_another_order_are_refused(tmp_path):
    policy = AugmentationPolicy({"speed": make("augmentation/speed"), "mixup": make("augmentation/mixup")})
    metric = make("metric/classification", names=["none", "mixup", "speed"])
    head, losses = make("head/attentive", input_size=6, n_classes=3), {"ce": make("loss/cross_entropy")}
    tasks = {"only": Task("label", head, losses), "which": Task("augmentation", head, losses, metrics=[metric])}
    with pytest.raises(ValueError, match="classes none, mixup, speed, and the policy's types are none, speed, mixup"):
        build(tmp_path, augmentation=policy, tasks=tasks)
