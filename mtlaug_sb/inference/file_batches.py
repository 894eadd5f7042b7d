"""Many files, answered in batches of like length."""

import torch
from tqdm import tqdm

from mtlaug_sb.inference.answers import Answer, classify_logits
from mtlaug_sb.inference.padded_batches import padded
from mtlaug_sb.inference.sound_file import AudioError, open_sound, read_sound

BATCH_S = 120.0  # seconds of audio in a batch, padding included, at most


def answer_files(model, paths, tasks, batch_size, unsure_below, on_error, progress):
    """See ``EmotionRecognizer.classify_files``; ``tasks`` are those besides the main one."""
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size must be a whole number of at least 1, is {batch_size!r}")
    durations, answers = {}, {}
    for i, path in enumerate(paths):
        try:
            with open_sound(path) as file:
                durations[i] = file.frames / file.samplerate
        except AudioError as error:
            report(on_error, path, error)
    with tqdm(total=len(durations), unit="file", disable=not progress) as bar:
        for rows in _batches(durations, batch_size):
            wavs = {}
            for i in rows:
                try:
                    wavs[i] = read_sound(paths[i], model.sample_rate, model.settings["max_duration_s"])
                except AudioError as error:
                    report(on_error, paths[i], error)
            if wavs:
                answers |= zip(
                    wavs, _answer(model, [paths[i] for i in wavs], [*wavs.values()], tasks, unsure_below), strict=True
                )
            bar.update(len(rows))
    return [answers[i] for i in sorted(answers)]


def _batches(durations, batch_size):
    """Lists of keys, the longest together; a batch of long files has fewer."""
    batch = []
    for key in sorted(durations, key=lambda k: -durations[k]):
        if batch and (len(batch) == batch_size or (len(batch) + 1) * durations[batch[0]] > BATCH_S):
            yield batch
            batch = []
        batch.append(key)
    if batch:
        yield batch


@torch.inference_mode()
def _answer(model, paths, wavs, tasks, unsure_below):
    together, lengths = padded([torch.from_numpy(wav) for wav in wavs])
    predictions = model.predict(together.to(model.device), lengths.to(model.device), [model.main_task, *tasks])
    main = model.classify_main(predictions[model.main_task]["logits"], unsure_below)
    others = {task: _named(model.description["tasks"][task], predictions[task]) for task in tasks}
    for i, path in enumerate(paths):
        probabilities = dict(zip(model.labels, main.scores[i].tolist(), strict=True))
        yield Answer(
            str(path), len(wavs[i]) / model.sample_rate, main.labels[i], probabilities, {t: o[i] for t, o in others.items()}
        )


def _named(task, predictions):
    """One {name: value} per row of a task's answer."""
    if task["classes"] is None:
        return [dict(zip(task["numbers"], row, strict=True)) for row in predictions["values"].tolist()]
    scores = classify_logits(predictions["logits"], task["classes"], 1.0, 0.0).scores
    return [dict(zip(task["classes"], row, strict=True)) for row in scores.tolist()]


def report(on_error, path, error):
    """Tell of a file that cannot be used; without ``on_error`` raise."""
    if on_error is None:
        raise error
    on_error(path, error)
