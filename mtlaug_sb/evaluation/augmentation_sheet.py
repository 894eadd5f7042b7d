"""One utterance under each augmentation: what was done to it, measured, and how it looks."""

import copy
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure

from mtlaug_sb.acoustics import snr_db
from mtlaug_sb.masking import absolute_lengths
from mtlaug_sb.resynthesis import resynthesise

SHARES = "shares"  # [rows, rows]: whose share each row has, as a target that is mixed with the inputs
ACROSS = 4


@dataclass(frozen=True)
class Augmented:
    """An utterance after an augmentation.

    Attributes
    ----------
    wav : torch.Tensor
        Samples [time]: what is heard.
    features : torch.Tensor
        [frames, dim]: what the encoder is given; of a log-mel spectrogram with the silence around it, without deltas.
    done : str
        What was done, measured.
    resynthesised : bool
        The samples were made from the features.
    """

    wav: torch.Tensor
    features: torch.Tensor
    done: str
    resynthesised: bool


def augment(effect, front_end, wav, partner, generator, sample_rate):
    """An ``Augmented`` of one utterance.

    Arguments
    ---------
    effect : nn.Module or None
        Augmentation; None leaves the utterance as it is.
    front_end : nn.Module
        Features.
    wav, partner : torch.Tensor
        Samples [time] of the utterance, and of another for effects that mix.
    generator : torch.Generator
        Of the effect's chance.
    sample_rate : int
        Hz.

    Raises
    ------
    ValueError
        If an effect changes features that nothing is known of how to hear them.
    """
    front_end = _whole(front_end)
    size = max(len(wav), len(partner))
    wavs = torch.stack([torch.nn.functional.pad(w, (0, size - len(w))) for w in (wav, partner)])
    lengths = torch.tensor([len(wav) / size, len(partner) / size], dtype=torch.float64)
    before, frame_lengths = front_end(wavs, lengths)
    n_frames = int(absolute_lengths(frame_lengths, before.shape[1])[0])
    if effect is None:
        return Augmented(wav, before[0, :n_frames], "as it is", False)
    targets = {SHARES: torch.eye(2)}
    if effect.domain == "waveform":
        new, new_lengths, _ = effect(wavs.clone(), lengths.clone(), targets, generator)
        heard = new[0, : int(absolute_lengths(new_lengths, new.shape[1])[0])]
        features, _ = front_end(heard.unsqueeze(0), torch.ones(1))
        return Augmented(heard, features[0], _done_to_samples(wav, heard), False)
    if not hasattr(front_end, "bands"):
        raise ValueError(f"{type(front_end).__name__} cannot be heard: effects on features are shown on features/log_mel")
    new, _, targets = effect(before.clone(), frame_lengths, targets, generator)
    shares, goal = targets[SHARES][0], new[0, :n_frames]
    # powers are mixed: amplitudes by the roots of the shares
    start = (shares.sqrt().unsqueeze(1) * wavs).sum(0)[: len(wav)]
    heard = resynthesise(start, goal, front_end)
    step_s = len(wav) / sample_rate / n_frames
    return Augmented(heard, goal, _done_to_features(before[0, :n_frames], goal, shares, step_s), True)


def _whole(front_end):
    """A log-mel front end without its deltas and with the silence that it leaves out: what can be heard again."""
    if not hasattr(front_end, "bands"):
        return front_end
    front_end = copy.copy(front_end)
    front_end.trim_db, front_end.deltas = None, 0
    return front_end


def figure_of_sheet(examples, sample_rate):
    """Waveform and features of each example, side by side.

    Arguments
    ---------
    examples : dict
        Title -> Augmented; the first is the utterance as it is.
    sample_rate : int
        Hz.
    """
    down = -(-len(examples) // ACROSS)
    across = min(len(examples), ACROSS)
    figure = Figure(figsize=(3.9 * across, 4.6 * down), layout="constrained")
    axes = figure.subplots(2 * down, across, squeeze=False, height_ratios=[1, 2] * down)
    first = next(iter(examples.values()))
    low, high = float(first.features.min()), float(first.features.max())
    longest = max(len(e.wav) for e in examples.values()) / sample_rate
    peak = max(float(e.wav.abs().max()) for e in examples.values())
    for k, (title, example) in enumerate(examples.items()):
        row, column = divmod(k, ACROSS)
        upper, lower = axes[2 * row, column], axes[2 * row + 1, column]
        seconds = len(example.wav) / sample_rate
        step = max(1, len(example.wav) // 4000)
        upper.plot(torch.arange(0, len(example.wav), step) / sample_rate, example.wav[::step], color="black", linewidth=0.4)
        upper.set(xlim=(0, longest), ylim=(-peak, peak), yticks=[], xticks=[])
        upper.set_title(f"{title}\n{example.done}".replace("$", r"\$"), fontsize="small", wrap=True)
        extent = (0, seconds, 0, example.features.shape[1])
        lower.imshow(example.features.T, origin="lower", aspect="auto", extent=extent, vmin=low, vmax=high, cmap="magma")
        lower.set(xlim=(0, longest), xlabel="time in s", facecolor="lightgrey")
    for k in range(len(examples), down * ACROSS if down > 1 else across):
        axes[2 * (k // ACROSS), k % ACROSS].remove()
        axes[2 * (k // ACROSS) + 1, k % ACROSS].remove()
    for row in range(down):
        axes[2 * row + 1, 0].set_ylabel("mel band")
    return figure


def _done_to_samples(wav, heard):
    if len(heard) != len(wav):
        return f"{len(wav) / len(heard):.0%} of the speed: duration x {len(heard) / len(wav):.2f}"
    if torch.equal(wav, heard):
        return "nothing changed"
    return f"same duration; what came in is {-snr_db(wav, heard - wav):+.1f} dB relative to the speech"


def _done_to_features(before, after, shares, step_s):
    if shares[0] < 1:
        return f"{shares[0]:.1%} of this utterance's power, {shares[1]:.1%} of another's"
    changed = before != after
    if not changed.any():
        return "nothing changed"
    # a frame that a band crosses is changed in part; one that is masked, in all
    times = [f"{a * step_s:.2f}-{b * step_s:.2f} s" for a, b in _runs(changed.all(1))]
    bands = [f"{a}-{b - 1}" for a, b in _runs(changed.all(0))]
    parts = [f"time {', '.join(times)}"] if times else []
    parts += [f"mel bands {', '.join(bands)}"] if bands else []
    return f"{changed.float().mean():.0%} replaced: {'; '.join(parts)}" if parts else f"{changed.float().mean():.0%} changed"


def _runs(flags):
    """[start, end) of each run of True."""
    edges = torch.nn.functional.pad(flags.int(), (1, 1)).diff()
    return list(zip((edges == 1).nonzero().flatten().tolist(), (edges == -1).nonzero().flatten().tolist(), strict=True))
