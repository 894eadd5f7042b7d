"""Checkpoints that a kill cannot leave half there."""

import logging
import shutil

from speechbrain.utils.checkpoints import CKPT_PREFIX, METAFNAME, PARAMFILE_EXT, Checkpointer
from speechbrain.utils.distributed import main_process_only

UNFINISHED = f"{METAFNAME}.part"


class WholeCheckpointer(Checkpointer):
    """SpeechBrain's Checkpointer, which a run that was killed while it saved or deleted one does not mislead.

    SpeechBrain knows a checkpoint by its meta file, writes that file first, and deletes the files in any order. Here it is
    written last, and a folder counts only with all its files.

    Arguments
    ---------
    As SpeechBrain's: ``checkpoints_dir`` and ``recoverables``, {name: object}.
    """

    def save_checkpoint(self, meta=None, end_of_epoch=True, name=None, verbosity=logging.INFO):
        """As SpeechBrain's; returns its Checkpoint."""
        meta = {**(meta or {}), "files": [f"{name}{PARAMFILE_EXT}" for name in self.recoverables]}
        checkpoint = super().save_checkpoint(meta, end_of_epoch, name, verbosity)
        if checkpoint is not None:  # on the main process
            (checkpoint.path / UNFINISHED).replace(checkpoint.path / METAFNAME)
        return checkpoint

    def delete_checkpoints(self, **which):
        """As SpeechBrain's; what a kill left half there goes, too."""
        super().delete_checkpoints(**which)
        self._sweep()

    @main_process_only
    def _sweep(self):
        whole = self._list_checkpoint_dirs()
        for folder in self.checkpoints_dir.glob(f"{CKPT_PREFIX}*"):
            if folder not in whole:
                shutil.rmtree(folder)

    def _save_checkpoint_metafile(self, fpath, meta_to_include=None, end_of_epoch=True):
        return super()._save_checkpoint_metafile(fpath.with_name(UNFINISHED), meta_to_include or {}, end_of_epoch)

    def _list_checkpoint_dirs(self):
        return [c.path for c in self._construct_checkpoint_objects(super()._list_checkpoint_dirs()) if _is_whole(c)]


def _is_whole(checkpoint):
    return all((checkpoint.path / file).exists() for file in checkpoint.meta.get("files", ()))
