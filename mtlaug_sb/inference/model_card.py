"""The model card of an export: what it was made of, how well it does, how sure that is, and what it must not be used for."""

import json
import math
import random
import statistics

import torch

from mtlaug_sb.inference.calibration import expected_calibration_error

RESAMPLES = 2000


def write_card(description, results, rows, summary=None, onnx=False, license_name=None):
    """The card, as Markdown with the hub's front matter.

    Arguments
    ---------
    description : dict
        model.json.
    results : dict
        The run's results.json.
    rows : list of dict
        The run's predictions.csv.
    summary : dict or None
        summary.json of a cross-validation of the same system.
    onnx : bool
        Whether the folder has a model.onnx.
    license_name : str or None
        The maker's choice for the weights.
    """
    names = results["classes"]
    parts = [
        _front_matter(license_name),
        f"# Speech emotion: {', '.join(names)}\n",
        f"A model of mtlaug_sb, on [SpeechBrain]({_PROJECT}) ({results['yaml']}, {description['made_by']}). It "
        f"guesses what acted or annotated "
        "speech sounds like. It does not know what anybody feels.\n",
    ]
    if results["synthetic"]:
        parts.append("**Trained and tested on a SYNTHETIC voice: to try the toolkit with; it says nothing about people.**\n")
    parts += [
        "## Use\n",
        _use(onnx),
        "## Data and protocol\n",
        _protocol(results),
        "## How well it does\n",
        _performance(results, rows, summary, names),
        "## Calibration\n",
        _calibration(description["calibration"], rows, names),
        "## Limits\n",
        _limits(results),
        "## Intended use, and misuse\n",
        _MISUSE,
    ]
    if description["plugins"]:
        needed = ", ".join(f"`{plugin}` (file `{file}`)" for plugin, file in description["plugins"].items())
        parts.append(f"## Plugins\n\nNeeds {needed}, which the user has to load by name: `plugins=[...]`.\n")
    versions = ", ".join(f"{k} {v}" for k, v in results["versions"].items())
    parts.append(f"## Made with\n\n{versions}; seed {results['seed']}.\n")
    return "\n".join(parts)


def bootstrap_uar(rows, names, seed=0):
    """(UAR, lower, upper, what was drawn): 95 % interval of the UAR over resampled speakers, or utterances of each class.

    Speakers are drawn where there are five or more. Otherwise utterances are, within their class: that leaves out how much
    speakers differ.
    """
    by_speaker = {}
    for row in rows:
        by_speaker.setdefault(row["speaker"], []).append((row["truth"], row["prediction"]))
    draw = random.Random(seed)
    everything = [pair for pairs in by_speaker.values() for pair in pairs]
    if len(by_speaker) >= 5:
        groups, what = list(by_speaker.values()), f"{len(by_speaker)} speakers"
        samples = ([p for g in draw.choices(groups, k=len(groups)) for p in g] for _ in range(RESAMPLES))
    else:
        classes, what = [[p for p in everything if p[0] == n] for n in names], "utterances"
        classes = [c for c in classes if c]
        samples = ([p for c in classes for p in draw.choices(c, k=len(c))] for _ in range(RESAMPLES))
    values = sorted(_uar(sample, names) for sample in samples)
    return _uar(everything, names), values[int(0.025 * RESAMPLES)], values[int(0.975 * RESAMPLES) - 1], what


def _uar(pairs, names):
    """Mean recall of the classes that occur."""
    recalls = []
    for name in names:
        own = [prediction == name for truth, prediction in pairs if truth == name]
        if own:
            recalls.append(sum(own) / len(own))
    return statistics.mean(recalls)


def _front_matter(license_name):
    return (
        "---\nlibrary_name: speechbrain\npipeline_tag: audio-classification\n"
        + (f"license: {json.dumps(license_name)}\n" if license_name else "")
        + "tags: [speech-emotion-recognition, audio-classification, mtlaug_sb]\nmetrics: [recall]\n---\n"
    )


def _use(onnx):
    text = (
        "```python\nfrom mtlaug_sb.inference import EmotionRecognizer\n\n"
        'model = EmotionRecognizer.from_hparams(source="THIS_FOLDER")\n'
        'scores, score, index, label = model.classify_file("a.wav")\n```\n\n'
        "Loading reads `model.json` (plain data) and `model.safetensors`, and runs no code. In stock SpeechBrain, where "
        "mtlaug_sb is installed:\n\n```python\nfrom speechbrain.inference.classifiers import EncoderClassifier\n\n"
        'model = EncoderClassifier.from_hparams(source="THIS_FOLDER", savedir="a_folder")\n```\n'
    )
    if onnx:
        text += (
            "\n`model.onnx` runs without torch and SpeechBrain: `wavs` [batch, time] and relative `lengths` [batch] in, "
            "`probabilities` [batch, classes] out; labels and sample rate in its metadata.\n"
        )
    return text


def _protocol(results):
    rows = ["| part | utterances | speakers |", "| --- | --- | --- |"]
    for split, count in results["utterances"].items():
        speakers = results["speakers"].get(split, [])
        rows.append(f"| {split} | {count} | {len(speakers)} |")
    chosen = (
        f"The epoch ({results['best_epoch']}) was chosen, and the temperature fitted, on the validation speakers"
        if results["utterances"]["valid"]
        else f"No epoch was chosen: it is the last ({results['best_epoch']})"
    )
    return (
        f"Corpus: {results['corpus']}. No speaker is in two of these parts. {chosen}; the test speakers were seen once, at "
        "the end.\n\n" + "\n".join(rows) + "\n"
    )


def _performance(results, rows, summary, names):
    uar, low, high, what = bootstrap_uar(rows, names)
    lines = [
        f"On the held-out test speakers: **UAR {uar:.3f}** (95 % interval {low:.3f} to {high:.3f}, bootstrap over {what}), "
        f"{len(rows)} utterances. UAR is the mean of the classes' recalls; guessing gives {1 / len(names):.3f}.\n",
        "| class | recall |",
        "| --- | --- |",
        *(f"| {name} | {results['test'].get(f'recall/{name}', math.nan):.2f} |" for name in names),
    ]
    if summary:
        spread = summary["UAR"]
        deviation = f" +- {spread['std']:.3f}" if spread["std"] is not None else ""
        lines.append(
            f"\nThe same system in a cross-validation over speakers: UAR {spread['mean']:.3f}{deviation} "
            f"({spread['n']} repeats, {summary['utterances']} utterances). This model is one of such trainings."
        )
    return "\n".join(lines) + "\n"


def _calibration(calibration, rows, names):
    temperature = calibration["temperature"]
    if not calibration["utterances"]:
        return "No temperature was fitted to the probabilities: there were no validation speakers.\n"
    # the predictions' probabilities are a softmax without temperature; the files have six decimals
    logits = torch.tensor([[max(float(r[f"p_{n}"]), 1e-6) for n in names] for r in rows]).log()
    truth = torch.tensor([names.index(r["truth"]) for r in rows])
    before, after = (expected_calibration_error((logits / t).softmax(1), truth) for t in (1.0, temperature))
    other = calibration["ece_after_other_speakers"]
    lines = [
        f"Probabilities are divided by a temperature of {temperature:.3f} before the softmax (fitted on "
        f"{calibration['utterances']} utterances of {calibration['speakers']} validation speakers).\n",
        "| expected calibration error (15 bins) | before | after |",
        "| --- | --- | --- |",
        f"| validation speakers, as fitted | {calibration['ece_before']:.3f} | {calibration['ece_after']:.3f} |",
    ]
    if other is not None:
        lines.append(f"| each validation speaker, fitted on the others | {calibration['ece_before']:.3f} | {other:.3f} |")
    lines.append(f"| test speakers | {before:.3f} | {after:.3f} |")
    lines.append("\nOn other speakers, rooms, languages and corpora the probabilities are not calibrated.")
    return "\n".join(lines) + "\n"


def _limits(results):
    few = len(results["speakers"]["test"])
    return (
        f"- Tested on {few} speaker{'s' if few > 1 else ''} of one corpus: expect worse elsewhere (another language, "
        f"spontaneous "
        "speech, noise, telephones).\n"
        f"- It knows {len(results['classes'])} classes and answers with one of them whatever it hears, music or "
        f"silence too; "
        "`unsure_below` lets it say so.\n"
        "- Recalls of groups (gender, age, accent) were not compared unless it is said above.\n"
        "- Emotions of actors are clearer than those of life.\n"
    )


_PROJECT = "https://speechbrain.github.io"
_MISUSE = """\
For research on speech, for sorting one's own recordings, for teaching. The people recorded should know of it and agree.

Not for judging people: not in hiring, schools, policing, border control, insurance, credit, health decisions or the
supervision of workers. A voice does not show what somebody feels, and errors fall on some groups more than on others. In
the European Union, inferring emotions of people at work and in education is prohibited but for medical and safety reasons
(Regulation 2024/1689, article 5), and other such systems are of high risk.
"""
