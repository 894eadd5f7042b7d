"""A trained model in three lines."""

import os
import pathlib

import torch
from torch import nn

from mtlaug_sb.augment.speed import Speed
from mtlaug_sb.inference.adaptation import RELEVANCE, adapt, statistics_of, use_statistics
from mtlaug_sb.inference.answers import classify_logits
from mtlaug_sb.inference.building import build_augmentations
from mtlaug_sb.inference.description import ModelError
from mtlaug_sb.inference.file_batches import answer_files, report
from mtlaug_sb.inference.hub import fetch_model, is_hub_id
from mtlaug_sb.inference.model_folder import MAX_BYTES, copy_model, read_model
from mtlaug_sb.inference.network import embedding_of
from mtlaug_sb.inference.settings import AMONG, SETTINGS, SPEEDS, checked, choose_device
from mtlaug_sb.inference.several_speeds import logits_at_speeds
from mtlaug_sb.inference.sound_file import AudioError, read_sound
from mtlaug_sb.inference.stream import Stream
from mtlaug_sb.inference.timeline import stream_file
from mtlaug_sb.masking import absolute_lengths
from mtlaug_sb.plugin_files import load_plugins


class EmotionRecognizer(nn.Module):
    """Emotion of speech, with SpeechBrain's names for what it does (see ``speechbrain.inference.EncoderClassifier``).

    Made by ``from_hparams``. An utterance gets the same answer alone and in any batch.

    Arguments
    ---------
    description : dict
        Of model.json.
    network : Network
        With its weights.
    device : str
        "cpu", "cuda", ...
    settings : dict
        See ``from_hparams``, ``overrides``.

    Example
    -------
    >>> model = EmotionRecognizer.from_hparams(source="results/my_run")  # doctest: +SKIP
    >>> scores, score, index, label = model.classify_file("a.wav")  # doctest: +SKIP
    """

    def __init__(self, description, network, device="cpu", settings=None):
        super().__init__()
        self.description = description
        self.network = network.to(device).eval().requires_grad_(False)
        self.of_training = None  # statistics, once there are others
        self.device = device
        self.sample_rate = description["sample_rate"]
        self.main_task = description["main_task"]
        self.labels = list(description["tasks"][self.main_task]["classes"])
        self.settings = {key: default for key, (default, _, _) in SETTINGS.items()}
        self.settings["temperature"] = description["calibration"]["temperature"]
        for key, value in (settings or {}).items():
            self.settings[key] = checked(key, value)
        among = self.settings.setdefault(AMONG, self.labels)
        if unknown := [name for name in among if name not in self.labels]:
            raise ValueError(f"{AMONG}: the model has no label '{unknown[0]}'; it has {', '.join(self.labels)}")
        self.speed = Speed(self.settings[SPEEDS]).to(device) if SPEEDS in self.settings else None

    @classmethod
    def from_hparams(
        cls, source, savedir=None, overrides=None, run_opts=None, plugins=(), revision=None, max_bytes=MAX_BYTES
    ):
        """Load a model. No code in it is run, and nothing is unpickled: see docs/inference.md, "Safety".

        Arguments
        ---------
        source : str
            Folder of a run or of an export, or an id on the Hugging Face hub (a folder of that name wins).
        savedir : str or None
            Where the model's two files are copied to (no links).
        overrides : dict or None
            ``temperature``, ``unsure_below``, ``window_s``, ``hop_s``, ``max_duration_s``; ``among``, a list of labels, of
            which one is the answer: the others have probability 0; ``speeds``, such as [90, 110]: the main task's
            answer is the mean (of log probabilities) over the utterance as it is and played at these percents of its speed.
        run_opts : dict or None
            ``{"device": "cuda"}``; by default SpeechBrain's choice.
        plugins : list of str
            Python files or folders to load first: the caller vouches for them. A model cannot name a file.
        revision : str or None
            Of the hub's repository.
        max_bytes : int
            Weights larger than this are refused.

        Raises
        ------
        FileNotFoundError
            If there is no such folder, and the source is no hub id.
        ModelError
            (a ValueError) If the model cannot or must not be used; says why.
        """
        settings = {key: checked(key, value) for key, value in dict(overrides or {}).items()}
        device = choose_device(run_opts)
        load_plugins(*([plugins] if isinstance(plugins, str | os.PathLike) else plugins))
        folder = pathlib.Path(source)
        if not folder.exists() and is_hub_id(str(source)):
            folder = fetch_model(str(source), savedir, revision)
        elif "://" in str(source):
            raise ModelError(f"a model is a folder or a hub id owner/name, not an address: '{source}'")
        elif savedir is not None:
            folder = copy_model(folder, savedir)
        return cls(*read_model(folder, max_bytes), device, settings)

    # ------------------------------------------------------------------ SpeechBrain's names

    @torch.inference_mode()
    def encode_batch(self, wavs, wav_lens=None):
        """Embeddings [batch, 1, dim] of wavs [batch, time] at the model's rate, as they are; relative lengths [batch]."""
        predictions = self.network(*self._batch(wavs, wav_lens), [self.main_task])[self.main_task]
        return embedding_of(predictions, self.network.heads[self.main_task]).unsqueeze(1)

    @torch.inference_mode()
    def classify_batch(self, wavs, wav_lens=None, tasks=None, unsure_below=None):
        """Classify wavs.

        Arguments
        ---------
        wavs : torch.Tensor
            [batch, time] or [time], at the model's sample rate.
        wav_lens : torch.Tensor or None
            Relative, [batch]; None is all ones.
        tasks : list of str or None
            Tasks with classes to be answered.
        unsure_below : float or None
            Label "unsure" where the best class is less probable; None is the model's setting.

        Returns
        -------
        Classification
            (scores [batch, classes], score [batch], index [batch], labels); with ``tasks``, a dictionary of these by task.
        """
        asked = self.check_tasks(tasks)
        for task in asked:
            if self.description["tasks"][task]["classes"] is None:
                raise ValueError(f"task '{task}' gives numbers, not classes: ask for it with classify_files(tasks=...)")
        answers = self.predict(*self._batch(wavs, wav_lens), asked)
        unsure_below = self._setting("unsure_below", unsure_below)
        results = {
            task: self.classify_main(answers[task]["logits"], unsure_below)
            if task == self.main_task
            else classify_logits(answers[task]["logits"], self.description["tasks"][task]["classes"], 1.0, 0.0)
            for task in asked
        }
        return results[self.main_task] if tasks is None else results

    def predict(self, wavs, lengths, tasks):
        """What the heads of ``tasks`` say of wavs [batch, time], relative lengths [batch]: {task: predictions by name}.

        With ``speeds`` the main task's logits are means over these, too, which is, but for what no softmax sees, the mean of
        log probabilities. The other tasks may ask for what another speed changes, such as which augmentation was applied.
        """
        answers = self.network(wavs, lengths, tasks)
        if self.speed is not None and self.main_task in answers:
            main = answers[self.main_task]
            others = logits_at_speeds(self.network, self.main_task, self.speed, wavs, lengths)
            main["logits"] = torch.stack([main["logits"], *others]).mean(0)
        return answers

    def classify_main(self, logits, unsure_below=0.0):
        """``Classification`` by logits [batch, classes] of the main task, as the settings say."""
        others = [name not in self.settings[AMONG] for name in self.labels]
        logits = logits.masked_fill(torch.tensor(others, device=logits.device), -torch.inf)
        return classify_logits(logits, self.labels, self.settings["temperature"], unsure_below)

    def classify_file(self, path, tasks=None, unsure_below=None):
        """``classify_batch`` of one file, of any format and rate that soundfile reads.

        Raises
        ------
        AudioError
            (a ValueError) If the file cannot be used: missing, unreadable, empty, silent, longer than ``max_duration_s``.
        """
        return self.classify_batch(self.load_audio(path), None, tasks, unsure_below)

    def load_audio(self, path):
        """Samples of a file at the model's rate, mono, float32 [time]."""
        return torch.from_numpy(read_sound(path, self.sample_rate, self.settings["max_duration_s"]))

    def forward(self, wavs, wav_lens=None):
        """``classify_batch``."""
        return self.classify_batch(wavs, wav_lens)

    # ------------------------------------------------------------------ more than SpeechBrain's

    def classify_files(self, paths, tasks=None, batch_size=16, unsure_below=None, on_error=None, progress=False):
        """A list of ``Answer``, in the order of the paths.

        Arguments
        ---------
        paths : list of str
            Files.
        tasks : list of str or None
            Tasks to be answered; the main one always is.
        batch_size : int
            Files answered at a time; they are put together by length.
        unsure_below : float or None
            As for ``classify_batch``.
        on_error : callable or None
            Called with (path, AudioError) for a file that cannot be used, which has then no answer in the list. None raises.
        progress : bool
            Show a progress bar.
        """
        asked = [task for task in self.check_tasks(tasks) if task != self.main_task]
        unsure_below = self._setting("unsure_below", unsure_below)
        paths = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        return answer_files(self, paths, asked, batch_size, unsure_below, on_error, progress)

    @torch.inference_mode()
    def attention(self, wav):
        """Where the model listens: (start of each frame in seconds [frames], its weight [frames], sum one).

        Arguments
        ---------
        wav : str or torch.Tensor
            File, or samples [time] at the model's rate. Frames are spread evenly over what is heard of it.

        Raises
        ------
        ValueError
            If the model's head has no attention.
        """
        wav = wav if torch.is_tensor(wav) else self.load_audio(wav)
        wavs, lengths = self._batch(wav, None)
        predictions = self.network(wavs, lengths, [self.main_task])[self.main_task]
        if "attention" not in predictions:
            raise ValueError(f"the head of task '{self.main_task}' has no attention")
        weights = predictions["attention"][0].cpu()
        heard = getattr(self.network.features, "heard", None)
        start, duration = heard(wavs[0]) if heard else (0, wavs.shape[1])
        return (start + torch.arange(len(weights)) * (duration / len(weights))) / self.sample_rate, weights

    def adapt_to_speaker(self, paths, on_error=None):
        """Answer for one speaker from now on: by statistics of theirs beside the training speakers'.

        They are those of normalisation, which show what is usual for this voice and microphone; n recordings count
        n / (n + 8), and no weight changes (see ``adaptation.adapt``). No labels are needed, but recordings of all moods: of
        somebody who does nothing but shout, shouting is taken to be usual. Each call forgets the speaker before.

        Arguments
        ---------
        paths : list of str
            Files of the speaker, some eight or more; they may be those that are to be classified.
        on_error : callable or None
            As for ``classify_files``.

        Raises
        ------
        AudioError
            (a ValueError) If a file cannot be used, without ``on_error``.
        ValueError
            If there is no file that can be used. The speaker before is kept then.
        """
        wavs = []
        for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
            try:
                wavs.append(self.load_audio(path).to(self.device))
            except AudioError as error:
                report(on_error, path, error)
        before = statistics_of(self.network)
        self.forget_speaker()
        if self.of_training is None:
            self.of_training = before
        alone = [(wav.unsqueeze(0), wav.new_ones(1)) for wav in wavs]
        try:
            adapt(self.network, {"the speaker": alone}, list(self.network.heads), relevance=RELEVANCE)
        except BaseException:
            use_statistics(self.network, before)
            raise

    def forget_speaker(self):
        """Answer for anybody again."""
        if self.of_training is not None:
            use_statistics(self.network, self.of_training)

    def timeline(self, path, window_s=None, hop_s=None, unsure_below=None, progress=False):
        """A generator of ``Segment``, one per hop, over a recording of any length, in constant memory.

        Arguments
        ---------
        path : str
            Audio file.
        window_s, hop_s : float or None
            Seconds that one answer hears, and seconds between answers; by default 3 and 1.
        unsure_below : float or None
            As for ``classify_batch``.
        progress : bool
            Show a progress bar.
        """
        return stream_file(self.stream(None, window_s, hop_s, unsure_below), path, progress)

    def stream(self, sample_rate=None, window_s=None, hop_s=None, unsure_below=None):
        """A ``Stream``, which answers while audio arrives.

        Arguments
        ---------
        sample_rate : int or None
            Of the chunks, in Hz; None is the model's.
        window_s, hop_s, unsure_below
            As for ``timeline``.
        """
        return Stream(
            self.answer_alone,
            self.labels,
            self.sample_rate,
            sample_rate or self.sample_rate,
            self._setting("window_s", window_s),
            self._setting("hop_s", hop_s),
            self._setting("unsure_below", unsure_below),
        )

    def answer_alone(self, samples):
        """Probabilities (list of float) of samples, float32 [time] (NumPy), by themselves: a batch of one."""
        return self.classify_batch(torch.from_numpy(samples)).scores[0].tolist()

    def check_tasks(self, tasks):
        """Names of the tasks to be answered, None being the main one; a ValueError for one that is not there."""
        tasks = [self.main_task] if tasks is None else [tasks] if isinstance(tasks, str) else list(tasks)
        for task in tasks:
            if task not in self.description["tasks"]:
                raise ValueError(f"the model has no task '{task}'; it has {', '.join(self.description['tasks'])}")
        return tasks

    def names(self, task):
        """Names of a task's classes, or of its numbers."""
        return self.description["tasks"][task]["classes"] or self.description["tasks"][task]["numbers"]

    def augmentations(self):
        """{name: augmentation} that the model was trained with."""
        return build_augmentations(self.description)

    def _batch(self, wavs, wav_lens):
        """Float wavs [batch, time] and lengths [batch] on the device, checked."""
        wavs = torch.as_tensor(wavs)
        wavs = wavs.unsqueeze(0) if wavs.ndim == 1 else wavs
        if wavs.ndim != 2 or not wavs.shape[1] or not wavs.is_floating_point():
            raise ValueError(f"wavs must be floats [batch, time] or [time], are {wavs.dtype} {list(wavs.shape)}")
        lengths = torch.ones(len(wavs)) if wav_lens is None else torch.as_tensor(wav_lens).float()
        if lengths.shape != (len(wavs),) or not ((lengths > 0) & (lengths <= 1)).all():
            shown = [round(x, 4) for x in lengths.flatten().tolist()][:8]
            raise ValueError(f"wav_lens must be {len(wavs)} relative lengths in (0, 1], are {shown}")
        if (absolute_lengths(lengths, wavs.shape[1]) < 1).any():
            raise ValueError("wav_lens leave an utterance without a sample")
        return wavs.to(self.device, torch.float32), lengths.to(self.device)

    def _setting(self, key, value):
        return self.settings[key] if value is None else checked(key, value)
