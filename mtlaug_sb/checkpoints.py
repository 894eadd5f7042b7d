"""Checkpoints that a kill cannot leave half there."""

import logging
import os
import shutil

import yaml
from speechbrain.utils.checkpoints import CKPT_PREFIX, METAFNAME, PARAMFILE_EXT, Checkpoint, Checkpointer
from speechbrain.utils.distributed import main_process_only

UNFINISHED = f"{METAFNAME}.part"


class WholeCheckpointer(Checkpointer):
    """SpeechBrain's Checkpointer, which a run that was killed while it saved or deleted one does not mislead.

    SpeechBrain knows a checkpoint by its meta file, writes that file first, and deletes the files in any order. Here it is
    written last, and a folder counts only with all its files. While some are deleted they are listed once: SpeechBrain lists
    and reads all of them four times, which took a third of a small model's training.

    Arguments
    ---------
    As SpeechBrain's: ``checkpoints_dir`` and ``recoverables``, {name: object}.
    """

    def __init__(self, checkpoints_dir, recoverables=None, **options):
        super().__init__(checkpoints_dir, recoverables, **options)
        self._metas, self._listed = {}, None

    def save_checkpoint(self, meta=None, end_of_epoch=True, name=None, verbosity=logging.INFO):
        """As SpeechBrain's; returns its Checkpoint."""
        meta = {**(meta or {}), "files": [f"{name}{PARAMFILE_EXT}" for name in self.recoverables]}
        checkpoint = super().save_checkpoint(meta, end_of_epoch, name, verbosity)
        if checkpoint is not None:  # on the main process
            (checkpoint.path / UNFINISHED).replace(checkpoint.path / METAFNAME)
        return checkpoint

    def delete_checkpoints(self, **which):
        """As SpeechBrain's; what a kill left half there goes, too."""
        # the main process's list for all: another may look before the main one has finished what it saved
        self._listed = main_process_only(self.list_checkpoints)()
        try:
            super().delete_checkpoints(**which)
        finally:
            self._listed = None
        self._sweep()

    @main_process_only
    def _sweep(self):
        whole = {checkpoint.path for checkpoint in self.list_checkpoints()}
        for folder in self.checkpoints_dir.glob(f"{CKPT_PREFIX}*"):
            if folder not in whole:
                shutil.rmtree(folder)

    def _save_checkpoint_metafile(self, fpath, meta_to_include=None, end_of_epoch=True):
        return super()._save_checkpoint_metafile(fpath.with_name(UNFINISHED), meta_to_include or {}, end_of_epoch)

    def list_checkpoints(self):
        """All whole checkpoints."""
        if self._listed is not None:
            return self._listed
        checkpoints = []
        for path in sorted(self.checkpoints_dir.glob(f"{CKPT_PREFIX}*")):
            names = set(os.listdir(path))
            if METAFNAME in names and names.issuperset((meta := self._meta(path)).get("files", ())):
                files = {name.removesuffix(PARAMFILE_EXT): path / name for name in names if name.endswith(PARAMFILE_EXT)}
                checkpoints.append(Checkpoint(path, meta, files))
        return checkpoints

    def _meta(self, path):
        """Of a whole checkpoint, read once; one that was deleted may leave its name to the next."""
        written = (path / METAFNAME).stat().st_mtime_ns
        if self._metas.get(path, (None,))[0] != written:
            self._metas[path] = written, yaml.safe_load((path / METAFNAME).read_text(encoding="utf-8"))
        return self._metas[path][1]
