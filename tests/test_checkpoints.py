"""A kill while a checkpoint is saved or deleted."""

import pytest
import torch

from mtlaug_sb.checkpoints import WholeCheckpointer


class Killed(BaseException):
    """Stands for the kill."""


class Value(torch.nn.Module):
    def __init__(self, value):
        super().__init__()
        self.register_buffer("value", torch.tensor(float(value)))


@pytest.fixture
def checkpointer(tmp_path):
    checkpointer = WholeCheckpointer(tmp_path / "save", {"first": Value(1), "second": Value(1)})
    checkpointer.save_checkpoint(meta={"score": 1.0})
    for module in checkpointer.recoverables.values():
        module.value.fill_(2.0)
    return checkpointer


def recovered(checkpointer):
    checkpointer.recover_if_possible(max_key="score")
    return [module.value.item() for module in checkpointer.recoverables.values()]


def test_a_checkpoint_half_written_is_none_and_is_swept_away(checkpointer):
    def kill(obj, path):
        raise Killed

    checkpointer.add_recoverable("third", Value(1), custom_save_hook=kill, optional_load=True)
    with pytest.raises(Killed):
        checkpointer.save_checkpoint(meta={"score": 2.0})
    assert recovered(checkpointer)[:2] == [1.0, 1.0]
    assert len(list(checkpointer.checkpoints_dir.iterdir())) == 2
    checkpointer.delete_checkpoints(num_to_keep=1)
    assert len(list(checkpointer.checkpoints_dir.iterdir())) == 1


def test_a_checkpoint_half_deleted_is_none(checkpointer):
    newest = checkpointer.save_checkpoint(meta={"score": 2.0})
    assert recovered(checkpointer) == [2.0, 2.0]
    (newest.path / "second.ckpt").unlink()
    assert recovered(checkpointer) == [1.0, 1.0]


def test_meta_is_what_was_given(checkpointer):
    assert checkpointer.find_checkpoint().meta["score"] == 1.0


def test_a_name_that_is_used_again_is_read_again(checkpointer):
    for score in (2.0, 3.0, 4.0):
        checkpointer.save_checkpoint(meta={"score": score}, name="same")
        assert checkpointer.find_checkpoint(max_key="score").meta["score"] == score
