"""The training loop: a SpeechBrain Brain for any set of tasks. It names no task, head, loss or augmentation."""

import itertools
import logging
import time

import speechbrain as sb
import torch
from speechbrain.utils.distributed import ddp_broadcast
from speechbrain.utils.repro import SaveableGenerator

from mtlaug_sb.encoder_input import CLEAN_OR_SEEN, SOURCES, EncoderInput
from mtlaug_sb.feature_cache import FeatureCache
from mtlaug_sb.history import History
from mtlaug_sb.masking import labelled_rows, stack_rows
from mtlaug_sb.plugin_arguments import naming
from mtlaug_sb.policy import AugmentationPolicy
from mtlaug_sb.steady_brain import SteadyBrain
from mtlaug_sb.task_checks import check_names, check_targets, layer_of

logger = logging.getLogger(__name__)
SECONDS_BETWEEN_CHECKPOINTS = 20  # where no epoch is chosen, they only serve to go on with


class MultiTaskBrain(SteadyBrain):
    """Train every task of the YAML on one shared encoder.

    Arguments
    ---------
    hparams : dict
        ``modules`` (``features``, ``normalization``, ``encoder``, ``weighting``), ``tasks`` (name -> Task, or None),
        ``augmentation`` (a policy or None), ``opt_class``, ``lr_curve``, ``number_of_epochs``, ``main_task``,
        ``choose_epoch_by`` (a column of the history; higher is better, or lower with a minus before it; without a
        validation set the last epoch is taken), ``train_log``.
    run_opts : dict or RunOptions
        SpeechBrain's run options.
    checkpointer : WholeCheckpointer or None
        Gets everything that a resumed run needs.
    feature_cache : FeatureCache or None
        Of an earlier run with the same features and waveform augmentations.

    Raises
    ------
    ValueError
        If a task's target is provided by nobody, or the main task is none of the tasks.
    """

    def __init__(self, hparams, run_opts=None, checkpointer=None, feature_cache=None):
        self.tasks = {name: task for name, task in hparams["tasks"].items() if task is not None}
        self.policy = hparams["augmentation"] or AugmentationPolicy({})
        check_targets(self.tasks, hparams["main_task"], {*hparams["targets"], *CLEAN_OR_SEEN, *self.policy.provides})
        check_names(self.tasks, self.policy)
        self.task_modules = {f"task_{name}": task for name, task in self.tasks.items()}
        modules = {**hparams["modules"], **self.task_modules}
        super().__init__(modules, hparams["opt_class"], hparams, run_opts, checkpointer)
        self.policy.to(self.device)
        self._draw_apart(0)
        trained = any(p.requires_grad for p in hparams["modules"]["features"].parameters())
        cache = FeatureCache(0) if trained else feature_cache or FeatureCache(hparams["cache_mb"])
        self.input = EncoderInput(self.modules, self.policy, hparams["targets"], self.tasks, cache)
        self.history = History(hparams["train_log"])
        self.test_rows = []
        if checkpointer is not None:
            # the modules themselves, before any distributed wrapper: a checkpoint then fits both kinds of run
            for name, module in modules.items():
                if module.state_dict():
                    checkpointer.add_recoverable(name, module, optional_load=name in self.task_modules)
            self.history.metrics = [metric for task in self.tasks.values() for metric in task.metrics]
            checkpointer.add_recoverable("history", self.history)
            checkpointer.add_recoverable("random_state", SaveableGenerator(self._generators()))

    # ------------------------------------------------------------------ forward and objectives

    def compute_forward(self, batch, stage):
        """Features, shared frames, and every task's predictions and loss terms on a batch."""
        with torch.autocast(self.device_type, enabled=False):  # power spectra do not fit into 16 bits
            features, lengths, targets = self.input(batch.to(self.device), augmented=stage == sb.Stage.TRAIN)
            inputs = [(features, lengths)]
            if any(task.compares_views for task in self.tasks.values()):
                inputs.append(self.input(batch, augmented=False)[:2])
        # both views in one call: distributed training allows no second one in a step
        layers = self.modules.encoder(*(stack_rows(*inputs) if len(inputs) > 1 else inputs[0]))
        outputs, n = {}, len(features)
        for name, task in self.tasks.items():
            # without the policy nobody provides its target: such a task has nothing to say then
            if task.target in targets:
                frames, lengths = layer_of(layers, name, task)
                views = ((frames[n:], lengths[n:]), targets[SOURCES]) if task.compares_views else ()
                target = targets[task.target]
                with naming(f"task '{name}'"):
                    task_module = self.modules[f"task_{name}"]
                    predictions, terms = task_module(frames[:n], lengths[:n], target, *views, inputs=inputs)
                outputs[name] = (predictions, terms, target)
        return outputs

    def compute_objectives(self, outputs, batch, stage):
        """One scalar from all terms; every term is logged by its name."""
        objectives, weights = {}, {}
        for name, (predictions, terms, targets) in outputs.items():
            task = self.tasks[name]
            objectives[name] = task.objective(terms)
            weights[name] = task.weight * task.schedule(self.progress)
            named = {f"{name}/{term}": value for term, value in terms.items()}
            self.history.running.add(named, weight=labelled_rows(targets).sum())
            task.update_metrics(predictions, targets)
        loss = self.modules.weighting(objectives, weights)
        self.history.running.add({"loss": loss}, weight=len(batch))
        if stage == sb.Stage.TEST:
            predictions, _, targets = outputs[self.hparams.main_task]
            probabilities = predictions["logits"].softmax(dim=1).cpu()
            self.test_rows += zip(batch.id, targets.argmax(1).tolist(), probabilities.tolist(), strict=True)
        return loss

    # ------------------------------------------------------------------ stages

    def fit_normalization(self, loader):
        """Take the features' statistics from batches of the training data."""
        with torch.no_grad():
            self.modules.normalization.fit(self.input.outcome(batch.to(self.device)) for batch in loader)

    def fit_heads(self, shown, speakers):
        """Let heads that are solved for (see ``interfaces.Head``) do it, from batches of the labelled training data.

        Arguments
        ---------
        shown : list
            (loader, outcomes): batches, and which of the policy's ``outcomes`` their utterances are shown in.
        speakers : dict
            Those of the utterances, {id: name}.
        """
        for name, task in self.tasks.items():
            if hasattr(task.head, "fit"):
                if task.target not in self.hparams.targets:
                    raise ValueError(f"task '{name}': its head is solved for, and no recording has '{task.target}'")
                task.head.eval()
                with torch.no_grad(), naming(f"task '{name}'"):
                    parts = (self._examples(*part, task.target, speakers) for part in shown)
                    task.head.fit(itertools.chain.from_iterable(parts))

    def _examples(self, loader, outcomes, target, speakers):
        """(normalised features [rows, frames, dim], lengths, targets, speakers) of labelled rows, outcome by outcome."""
        for batch in loader:
            batch = batch.to(self.device)
            rows = labelled_rows(batch[target])
            names = [speakers[utterance] for utterance, labelled in zip(batch.id, rows.tolist(), strict=True) if labelled]
            for outcome in outcomes if rows.any() else ():
                features, lengths = self.input.outcome(batch, *outcome)
                yield self.modules.normalization(features, lengths)[rows], lengths[rows], batch[target][rows], names

    def on_fit_start(self):
        """Say which tasks a checkpoint of another set of tasks left untrained."""
        checkpoint = self.checkpointer.find_checkpoint() if self.checkpointer is not None else None
        super().on_fit_start()
        self.saved = time.perf_counter()
        if checkpoint is not None:
            logger.info("Resumed from %s", checkpoint.path.name)
            if self.distributed_launch and self.rank > 0:  # the checkpoint has the state of the first process
                self._draw_apart(self.optimizer_step)
            for name in self.task_modules.keys() - checkpoint.paramfiles.keys():
                logger.warning("The checkpoint knows nothing of '%s': it starts untrained", name)

    def on_stage_start(self, stage, epoch=None):
        """Forget the last stage, unless a checkpoint in mid-epoch has just been loaded."""
        if stage == sb.Stage.TRAIN:
            self.epoch_started = time.perf_counter()
        if self.step == 0:
            self.history.running.sums = {}
            for task in self.tasks.values():
                task.compute_metrics()

    def on_stage_end(self, stage, stage_loss, epoch=None):
        """Log every term and metric; end the epoch after validation."""
        metrics = {f"{n}/{k}": v for n, task in self.tasks.items() for k, v in task.compute_metrics().items()}
        figures = self.history.running.compute() | metrics
        if stage == sb.Stage.TRAIN:
            for module in self.hparams.modules.values():  # those given: a distributed wrapper hides their methods
                getattr(module, "end_epoch", lambda: None)()
            self.train_figures = figures | {"skipped_steps": self.history.skipped_steps}
            self.history.skipped_steps = 0
            return
        if stage == sb.Stage.TEST:
            self.test_figures = figures
            return
        self._end_epoch(epoch, figures)

    def _fit_valid(self, valid_set, epoch, enable):
        super()._fit_valid(valid_set, epoch, enable)
        if valid_set is None:
            self._end_epoch(epoch, {})

    def _end_epoch(self, epoch, valid_figures):
        """Add to the history, and save the checkpoint with its score: without validation, the later the better."""
        row = {"epoch": epoch, "lr": self.optimizer.param_groups[0]["lr"]}
        row |= {f"train/{k}": v for k, v in self.train_figures.items()}
        row |= {f"valid/{k}": v for k, v in valid_figures.items()}
        self.history.seconds += time.perf_counter() - self.epoch_started
        self.history.add(row)
        last = epoch == self.hparams.number_of_epochs or self._optimizer_step_limit_exceeded
        recent = ddp_broadcast(time.perf_counter() - self.saved < SECONDS_BETWEEN_CHECKPOINTS)  # one clock for all
        if self.checkpointer is None or (recent and not valid_figures and not last):
            return
        self.saved = time.perf_counter()
        chosen_by = self.hparams.choose_epoch_by if valid_figures else "epoch"
        column = chosen_by.removeprefix("-")
        if column not in row:
            raise ValueError(f"choose_epoch_by: no column '{column}' in the history; there are {', '.join(row)}")
        score = -row[column] if chosen_by.startswith("-") else row[column]
        self.checkpointer.save_and_keep_only(
            meta={"epoch": epoch, "score": score}, max_keys=["score"], verbosity=logging.DEBUG
        )

    def _draw_apart(self, step):
        """Have each process of a distributed training draw its own augmentations and dropout."""
        if self.distributed_launch:
            place = self.rank + step * torch.distributed.get_world_size()
            self.policy.generator.manual_seed(self.policy.generator.initial_seed() + place)
            torch.manual_seed(torch.initial_seed() + place)

    def _generators(self):
        return {**SaveableGenerator().generators, "policy": self.policy.generator}
