"""SpeechBrain's Brain with its training step made whole: accumulation, clipping, what is not finite, distribution."""

import logging

import speechbrain as sb
import torch

from mtlaug_sb.full_precision import in_full_precision

logger = logging.getLogger(__name__)


class SteadyBrain(sb.Brain):
    """A Brain that loses no batch and no step, whatever it trains.

    SpeechBrain's own (1.1.2) drops what has been accumulated when an epoch ends, clips an optimiser's first group of
    parameters alone, steps with a loss that is not finite, and cannot give a process of a distributed training a single
    batch. The learning rate follows ``hparams.lr_curve`` of the share of the training that is done.

    A subclass has a ``history`` with ``skipped_steps``.
    """

    steps_per_epoch = None  # of the training loader, once there is one

    def __init__(self, *args, **kwargs):
        in_full_precision()
        super().__init__(*args, **kwargs)

    @property
    def progress(self):
        """Share of the training that is done, 0 to 1."""
        steps = -(-self.steps_per_epoch // self.grad_accumulation_factor) if self.steps_per_epoch else 1
        return min(self.optimizer_step / max(steps * self.hparams.number_of_epochs - 1, 1), 1.0)

    def fit_batch(self, batch):
        """SpeechBrain's step, which also uses up the batches that the last accumulation of an epoch left over."""
        should_step = self._is_step_boundary()
        self.on_fit_batch_start(batch, should_step)
        with self.no_sync(not should_step):
            with self.training_ctx:
                outputs = self.compute_forward(batch, sb.Stage.TRAIN)
                loss = self.compute_objectives(outputs, batch, sb.Stage.TRAIN)
            self.scaler.scale(loss / self.grad_accumulation_factor).backward()
        if should_step:
            self.optimizers_step()
        self.on_fit_batch_end(batch, outputs, loss, should_step)
        # at the end, as a GPU is waited for; of a loss that is not finite, the step with finite gradients has been made
        value = loss.detach().cpu()
        self.check_loss_isfinite(value)
        return value

    def optimizers_step(self):
        """Clip over all parameters and step; a step with a gradient that is not finite is skipped and counted."""
        for optimizer in self.optimizers_dict.values():
            for group in optimizer.param_groups:
                group.setdefault("base_lr", group["lr"])
                group["lr"] = group["base_lr"] * self.hparams.lr_curve(self.progress)
            self.scaler.unscale_(optimizer)
        limit = self.max_grad_norm if self.max_grad_norm > 0 else torch.inf
        norm = torch.nn.utils.clip_grad_norm_(self.modules.parameters(), limit)
        if torch.isfinite(norm):
            for optimizer in self.optimizers_dict.values():
                self.scaler.step(optimizer)
        else:
            self.history.skipped_steps += 1
            logger.warning("Step skipped: its gradient is not finite (number %d of this epoch)", self.history.skipped_steps)
        self.scaler.update()
        self.zero_grad(set_to_none=True)
        self.optimizer_step += 1

    def _is_step_boundary(self):
        return self.step % self.grad_accumulation_factor == 0 or self.step == self.steps_per_epoch

    def _should_save_intra_epoch_ckpt(self, last_ckpt_time, steps_since_ckpt):
        # accumulated gradients are not in a checkpoint
        due = super()._should_save_intra_epoch_ckpt(last_ckpt_time, steps_since_ckpt)
        return due and self._is_step_boundary()

    def make_dataloader(self, dataset, stage, **kwargs):
        """SpeechBrain's, remembering the training loader's sampler and length."""
        loader = super().make_dataloader(dataset, stage, **kwargs)
        if stage == sb.Stage.TRAIN:
            self.train_sampler = loader.batch_sampler
            self.steps_per_epoch = len(loader)
        return loader

    def _train_loader_specifics(self, dataset, loader_kwargs):
        # SpeechBrain's wrapper of a batch sampler fails where a process has a single batch
        sampler = loader_kwargs.get("batch_sampler")
        if not self.distributed_launch or not hasattr(sampler, "shard"):
            return super()._train_loader_specifics(dataset, loader_kwargs)
        sampler.shard(self.rank, torch.distributed.get_world_size())
        return loader_kwargs

    def _wrap_distributed(self):
        # no SyncBatchNorm: it refuses CPU, and masked batch normalisation is no subclass of torch's
        for name, module in self.modules.items() if self.distributed_launch else ():
            if any(p.requires_grad for p in module.parameters()):
                devices = None if self.distributed_backend == "gloo" else [self.device]
                self.modules[name] = torch.nn.parallel.DistributedDataParallel(
                    module, device_ids=devices, find_unused_parameters=self.find_unused_parameters
                )
