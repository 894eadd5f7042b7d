"""Checkpoints that a kill cannot leave half there."""

import logging
import shutil

import yaml
from speechbrain.utils.checkpoints import CKPT_PREFIX, METAFNAME, PARAMFILE_EXT, Checkpoint, Checkpointer
from speechbrain.utils.distributed import main_process_only

UNFINISHED = f"{METAFNAME}.part"


class WholeCheckpointer(Checkpointer):
    """SpeechBrain's Checkpointer, which a run that was killed while it saved or deleted one does not mislead.

    SpeechBrain knows a checkpoint by its meta file, writes that file first, and deletes the files in any order. Here it is
    written last, and a folder counts only with all its files. Its YAML is read once: SpeechBrain reads that of all
    checkpoints some thirty times an epoch, which took a fifth of a small model's training.

    Arguments
    ---------
    As SpeechBrain's: ``checkpoints_dir`` and ``recoverables``, {name: object}.
    """

    def __init__(self, checkpoints_dir, recoverables=None, **options):
        super().__init__(checkpoints_dir, recoverables, **options)
        self._metas = {}

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
        return [path for path in super()._list_checkpoint_dirs() if self._is_whole(path)]

    def _is_whole(self, path):
        return all((path / file).exists() for file in self._meta(path).get("files", ()))

    def _construct_checkpoint_objects(self, checkpoint_dirs):
        files = {path: path.glob(f"*{PARAMFILE_EXT}") for path in checkpoint_dirs}
        return [Checkpoint(path, self._meta(path), {f.stem: f for f in found}) for path, found in files.items()]

    def _meta(self, path):
        """Of a whole checkpoint, whose meta file does not change any more."""
        if path not in self._metas:
            self._metas[path] = yaml.safe_load((path / METAFNAME).read_text(encoding="utf-8"))
        return self._metas[path]
