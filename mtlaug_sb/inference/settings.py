"""What a caller may set of a model in use."""

import torch
from speechbrain.utils.distributed import infer_device
from speechbrain.utils.run_opts import RunOptions

from mtlaug_sb.full_precision import in_full_precision

# what a caller may set for one model: key -> (default, low, high)
SETTINGS = {
    "temperature": (None, 0.01, 100.0),
    "unsure_below": (0.0, 0.0, 1.0),
    "window_s": (3.0, 0.1, 60.0),
    "hop_s": (1.0, 0.02, 60.0),
    "max_duration_s": (600.0, 0.1, 36000.0),
}
# settings that are lists
AMONG = "among"  # the labels that may be answers; by default all of the model's
SPEEDS = "speeds"  # in percent, at which an utterance is heard beside its own; by default none
SLOWEST, FASTEST = 50, 200


def checked(key, value):
    """A setting's value.

    Raises
    ------
    ValueError
        If there is no such setting, or the value is outside its limits.
    """
    items = value if isinstance(value, list | tuple | set) else []
    if key == AMONG:
        if not all(isinstance(name, str) for name in items) or len(set(items)) < 2:
            raise ValueError(f"{AMONG} must be a list of at least two labels, is {value!r}")
        return list(items)
    if key == SPEEDS:
        if not items or not all(_is_speed(item) for item in items) or len(set(items)) < len(items):
            raise ValueError(
                f"{SPEEDS} must be a list of whole percents from {SLOWEST} to {FASTEST}, each once and without 100, "
                f"is {value!r}"
            )
        return list(items)
    if key not in SETTINGS:
        raise ValueError(f"overrides: no setting '{key}'; there are {', '.join([*SETTINGS, AMONG, SPEEDS])}")
    _, low, high = SETTINGS[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{key} must be a number from {low:g} to {high:g}, is {value!r}")
    return value


def _is_speed(item):
    return isinstance(item, int) and SLOWEST <= item <= FASTEST and item != 100


def choose_device(run_opts):
    """The device that SpeechBrain's run options name, or its choice.

    Raises
    ------
    ValueError
        If it cannot be used, or they have another option.
    """
    if isinstance(run_opts, RunOptions):
        run_opts = {key: run_opts[key] for key in run_opts.overridden_args}
    unknown = (run_opts or {}).keys() - {"device"}
    if unknown:
        raise ValueError(f"run_opts: a model in use knows 'device', not {', '.join(sorted(unknown))}")
    in_full_precision()
    device = (run_opts or {}).get("device") or infer_device()
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device '{device}' cannot be used ({' '.join(str(error).split())[:120]})") from None
    return device
