#!/usr/bin/env python3
"""A page on this computer to try a model on: python recipes/demo.py MODEL [--port=7860] [--speaker PATH ...]

Record or upload speech, and see the emotion's probabilities, the timeline, the attention, and what each augmentation does.
With --speaker all answers are for one speaker, whose recordings it names.
Needs the extra "demo". The page is served to this computer alone and asks nothing of any other.
"""

import argparse
import sys

from speech_files import adapt_to_speaker, add_answer_options

from mtlaug_sb.inference import EmotionRecognizer
from mtlaug_sb.inference.demo_page import MAX_SECONDS, serve


def main(arguments):
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(
        prog="demo.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--max_seconds", type=float, default=MAX_SECONDS, help="longest recording")
    parser.add_argument("--device", help="cpu, cuda (default: SpeechBrain's choice)")
    parser.add_argument(
        "--plugins", nargs="+", default=[], metavar="FILE", help="Python files that the model needs: they run"
    )
    add_answer_options(parser)
    options = parser.parse_args(arguments)
    run_opts = {"device": options.device} if options.device else None
    settings = {"among": options.among} if options.among else {}
    model = EmotionRecognizer.from_hparams(options.model, overrides=settings, run_opts=run_opts, plugins=options.plugins)
    if options.speaker:
        adapt_to_speaker(model, options.speaker)
    serve(model, options.port, options.max_seconds, bool(options.speaker))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"error: {' '.join(str(error).split())}")
