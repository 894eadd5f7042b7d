"""A run that was killed and called again ends, bit for bit, where the uninterrupted one ends."""

import pathlib
import signal

import pytest
import torch

from mtlaug_sb.corpora.synthetic import Synthetic

# stands in for recipes/train.py: kills its own process before training batch number `kill_at`
KILLER = """
import os, signal, sys
sys.path.insert(0, {recipes!r})
import train
from mtlaug_sb.brain import MultiTaskBrain

seen = 0
step = MultiTaskBrain.fit_batch
stage_end = MultiTaskBrain.on_stage_end

def fit_batch(self, batch):
    global seen
    if seen == {kill_at}:
        os.kill(os.getpid(), signal.SIGKILL)
    seen += 1
    return step(self, batch)

def on_stage_end(self, stage, loss, epoch=None):
    stage_end(self, stage, loss, epoch)
    if stage.name == {after_stage!r} and epoch == 2:
        os.kill(os.getpid(), signal.SIGKILL)

MultiTaskBrain.fit_batch, MultiTaskBrain.on_stage_end = fit_batch, on_stage_end
train.main(sys.argv[1:])
"""
ROOT = pathlib.Path(__file__).parents[1]
RECIPES = str(ROOT / "recipes")
# dropout, augmentation and centre loss draw and remember: all of it has to come back; 3 epochs of 2 batches
SETTINGS = ["--number_of_epochs=3", "--batches={batch_size: 8, bucket_batches: 1}"]


def final_state(folder):
    """The kept model, and the predictions."""
    (checkpoint,) = (folder / "save").glob("CKPT*")
    files = [f for f in checkpoint.glob("*.ckpt") if f.stem.startswith(("encoder", "task_", "normalization"))]
    state = {f"{f.stem}.{k}": v for f in files for k, v in torch.load(f).items()}
    return state, (folder / "predictions.csv").read_text(), (folder / "train_log.csv").read_text()


@pytest.mark.parametrize(
    ("kill_at", "after_stage", "more"),
    [
        (3, "", []),  # in the middle of the second epoch; begins that epoch anew
        (3, "", ["--ckpt_interval_steps=1"]),  # goes on from the batch before
        (-1, "TRAIN", []),  # after an epoch's training, before its checkpoint
        (-1, "VALID", []),  # between two epochs
        (3, "", ["--unlabelled_corpus=folder"]),
    ],
)
def test_killed_and_resumed_is_uninterrupted(train, script, tmp_path, kill_at, after_stage, more):
    if "--unlabelled_corpus=folder" in more:
        list(Synthetic(n_speakers=2, n_utterances=1, seed=9).read(tmp_path / "more"))
        more = [*more, f"--unlabelled_folder={tmp_path / 'more'}"]
    compare(train, script, tmp_path, "hparams/mtl_aug.yaml", kill_at, after_stage, more)


def test_the_worked_plugins_resume_too(train, script, tmp_path):
    blocks = [(ROOT / "hparams" / f"mtl_{n}.yaml").read_text().split("tasks:\n")[1] for n in ("transcript", "consistency")]
    target = (
        "\n    transcript: !apply:mtlaug_sb.make {plugin: target/pieces, vocab_size: 20, folder: !ref <save_folder>/pieces}"
    )
    yaml = tmp_path / "all.yaml"
    yaml.write_text(
        f"base: {ROOT / 'hparams' / 'mtl_aug_noise.yaml'}\nplugins: !apply:mtlaug_sb.load_plugins [{ROOT / 'plugins'}]\n"
        f"vocab_size: 20\ntargets:{target}\ntasks:\n{''.join(blocks)}"
    )
    compare(train, script, tmp_path, yaml, 3, "", ["--ckpt_interval_steps=1"])


def compare(train, script, tmp_path, yaml, kill_at, after_stage, more):
    """A run that is killed and called again, with one that is not."""
    train(yaml, *SETTINGS, *more, folder=tmp_path / "whole")
    killer = tmp_path / "killer.py"
    killer.write_text(KILLER.format(recipes=RECIPES, kill_at=kill_at, after_stage=after_stage))
    process = script(yaml, *SETTINGS, *more, recipe=killer, folder=tmp_path / "killed")
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert not (tmp_path / "killed" / "results.json").exists()
    train(yaml, *SETTINGS, *more, folder=tmp_path / "killed")
    (whole, predictions, log), (resumed, *others) = final_state(tmp_path / "whole"), final_state(tmp_path / "killed")
    assert whole.keys() == resumed.keys()
    assert [k for k in whole if not torch.equal(whole[k], resumed[k])] == []
    assert others[0] == predictions
    assert others[1] == log
