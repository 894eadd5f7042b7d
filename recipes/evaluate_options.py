"""What recipes/evaluate.py is asked: its command line, checked, and what of it is written beside the answers."""

import argparse
import pathlib

from mtlaug_sb.inference.adaptation import RELEVANCE
from mtlaug_sb.inference.settings import SPEEDS, checked
from mtlaug_sb.options import parse_names, parse_own, parse_yaml

ADAPTATIONS = {"self_training": {"self_training": True}, "target_statistics": {}}  # the most first


def read_options(arguments):
    """The command line, checked."""
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    parser.add_argument("result", type=pathlib.Path)
    for name in ("noise", "rooms", "transfer_from", "output_folder"):
        parser.add_argument(f"--{name}", type=pathlib.Path)
    for name in ("babble", "corpus"):
        parser.add_argument(f"--{name}", type=corpora)
    for name, default in (
        ("snr_db", "20,10,0"),
        ("strengths", "0.01,0.02,0.05,0.1,0.2"),
        ("attack_snr_db", "60,50,40,30,20"),
    ):
        parser.add_argument(f"--{name}", type=numbers, default=numbers(default))
    for name, default in (("attack", ""), ("on", "features,waveform"), ("plugins", ""), ("speeds", "")):
        parser.add_argument(f"--{name}", type=parse_names, default=parse_names(default))
    for name, default in (("talkers", 6), ("steps", 10), ("seed", 0), ("batch_size", 16), ("enrolment", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--seeds", type=parse_names)
    for name in ("target_statistics", "self_training", "by_speaker", "skip_bad_audio"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--feature_folder", default="data/functionals")
    own, unknown = parse_own(parser, arguments)
    if unknown:
        raise ValueError(f"no option '{unknown[0]}'; --help lists them")
    for name, least in (("talkers", 1), ("batch_size", 1), ("steps", 1), ("enrolment", 0)):
        if getattr(own, name) < least:
            raise ValueError(f"--{name} must be at least {least}, is {getattr(own, name)}")
    if own.transfer_from and not own.attack:
        raise ValueError("--transfer_from says what --attack is made on: give --attack")
    own.speeds = checked(SPEEDS, [int(s) if s.isdecimal() else s for s in own.speeds]) if own.speeds else []
    if own.speeds and own.attack:
        raise ValueError("--speeds does not go with --attack, which is made on one answer")
    own.adaptation = next((name for name in ADAPTATIONS if getattr(own, name)), None)
    if own.by_speaker and not own.adaptation:
        raise ValueError("--by_speaker says whose statistics: give --target_statistics or --self_training")
    if own.by_speaker and own.attack:
        raise ValueError("--by_speaker does not go with --attack: its budget is in units that speakers would change")
    if own.enrolment and own.adaptation and not own.by_speaker:
        raise ValueError("--enrolment says how many utterances of each speaker: give --by_speaker")
    return own


def settings_of_answers(own):
    """What the systems know of those they are tested on, and how they are asked, for summary.json."""
    settings = {"enrolment": own.enrolment, "enrolment_seed": own.seed} if own.enrolment else {}
    settings |= {"speeds": own.speeds} if own.speeds else {}
    if not own.adaptation:
        return settings
    heard = f"{own.enrolment} unlabelled clean utterances" if own.enrolment else "the unlabelled clean test utterances"
    apart = f" of each speaker, relevance {RELEVANCE:g}" if own.by_speaker else ""
    return {"normalization": f"statistics of {heard}{apart}", **settings, **ADAPTATIONS[own.adaptation]}


def folder_name(own):
    """Where the answers lie, below the result."""
    parts = ["robustness", *(own.corpus or []), own.adaptation, own.by_speaker and "by_speaker"]
    parts += [own.enrolment and f"enrolment_{own.enrolment}", own.speeds and "_".join(["speeds", *map(str, own.speeds)])]
    return "_".join(filter(None, parts))


def corpora(text):
    """{name: folder or mapping} of the command line."""
    try:
        value = parse_yaml("...", text, "safe")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"must be {{NAME: FOLDER}}, is {text}")
    return value


def numbers(text):
    """A comma-separated list of numbers, or one in brackets."""
    return [float(part) for part in parse_names(text)]
