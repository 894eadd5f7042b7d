#!/usr/bin/env python3
"""Emotions of files, of whole folders and of long recordings: python recipes/predict.py MODEL PATH... [options]

MODEL is a run's folder, an exported one, or an id on the Hugging Face hub. Of a folder, every audio file below it is
taken, in order of name. A file that cannot be used is reported on stderr and skipped. Exit status: 0 all answered, 1 some
file could not be used, 2 wrong usage or no usable model.
"""

import argparse
import csv
import io
import json
import os
import pathlib
import sys

from speech_files import adapt_to_speaker, add_answer_options, find_files
from tqdm import tqdm

from mtlaug_sb.inference import AudioError, EmotionRecognizer
from mtlaug_sb.inference.segments import csv_cell, merge, rttm_lines


def main(arguments):
    """Read the command line and answer. Returns the exit status."""
    options = parse(arguments)
    missing = []
    paths = list(find_files(options.path, missing))
    if not paths and not missing:
        raise ValueError(f"no audio file in {', '.join(map(str, options.path))}")
    chosen = ("among", "speeds", "unsure_below", "window_s", "hop_s")
    settings = {name: value for name in chosen if (value := getattr(options, name)) is not None}
    run_opts = {"device": options.device} if options.device else None
    model = EmotionRecognizer.from_hparams(options.model, overrides=settings, run_opts=run_opts, plugins=options.plugins)
    tasks = [t for t in options.tasks if t != model.main_task]
    model.check_tasks(tasks)
    failed = {*missing}
    quiet = options.quiet or not sys.stderr.isatty()

    def report(path, error):
        failed.add(path)
        tqdm.write(f"skipped: {error}", file=sys.stderr)

    if options.speaker:
        adapt_to_speaker(model, options.speaker)
    for path in missing:
        report(path, f"{path}: no such file or folder")
    with output(options.output) as file:
        if options.timeline:
            write_timelines(model, paths, options, file, report, quiet)
        else:
            answers = model.classify_files(
                paths, tasks=tasks, batch_size=options.batch_size, on_error=report, progress=not quiet
            )
            write_answers(answers, model, tasks, options.format, file)
    if failed:
        print(f"{len(failed)} of {len(paths) + len(missing)} files could not be used", file=sys.stderr)
    return 1 if failed else 0


def parse(arguments):
    """The command line's options; argparse ends the process with 2 where it does not understand them."""
    parser = argparse.ArgumentParser(
        prog="predict.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("path", metavar="PATH", nargs="+", type=pathlib.Path)
    parser.add_argument("--format", choices=["csv", "json", "rttm"], default="csv", help="rttm goes with --timeline")
    parser.add_argument("--output", metavar="FILE", help="default: stdout")
    parser.add_argument("--timeline", action="store_true", help="segments of each recording, however long")
    parser.add_argument("--merge", action="store_true", help="with --timeline: neighbours of one label as one segment")
    parser.add_argument("--plot", metavar="FOLDER", type=pathlib.Path, help="with --timeline: a picture of each recording")
    parser.add_argument("--window_s", type=float, help="with --timeline: what one answer hears (default 3)")
    parser.add_argument("--hop_s", type=float, help="with --timeline: from one answer to the next (default 1)")
    parser.add_argument("--unsure_below", type=float, metavar="P", help="label 'unsure' where no class has P")
    parser.add_argument("--tasks", nargs="+", default=[], metavar="TASK", help="other tasks to be answered, too")
    add_answer_options(parser)
    parser.add_argument(
        "--speeds",
        nargs="+",
        type=int,
        metavar="PERCENT",
        help="answers are means over each recording as it is and at these speeds, such as 90 110; so many times slower",
    )
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: SpeechBrain's choice)")
    parser.add_argument(
        "--plugins", nargs="+", default=[], metavar="FILE", help="Python files that the model needs: they run"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    options = parser.parse_args(arguments)
    if options.batch_size < 1:
        parser.error(f"--batch_size must be at least 1, is {options.batch_size}")
    if not options.timeline and (options.format == "rttm" or options.merge or options.plot):
        parser.error("--format rttm, --merge and --plot go with --timeline")
    if options.timeline and options.tasks:
        parser.error("--tasks does not go with --timeline, which answers the main task")
    return options


def output(path):
    """The file to be written; stdout stays open. A file appears when it is whole."""
    if path is not None:
        return WholeFile(path)
    return open(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False)


class WholeFile(io.TextIOWrapper):
    """A text file that takes its name when it is closed without an error."""

    def __init__(self, path):
        self.path, self.part = path, f"{path}.part"
        super().__init__(io.FileIO(self.part, "w"), encoding="utf-8", newline="")

    def __exit__(self, kind, error, trace):
        self.close()
        if kind is None:
            os.replace(self.part, self.path)
        else:
            os.remove(self.part)


def write_answers(answers, model, tasks, kind, file):
    """One line, or one JSON object, per file."""
    if kind == "json":
        records = [
            {
                "path": a.path,
                "duration_s": round(a.duration_s, 3),
                "label": a.label,
                "confidence": round(a.confidence, 6),
                "probabilities": rounded(a.probabilities),
                **({"tasks": {t: rounded(values) for t, values in a.tasks.items()}} if tasks else {}),
            }
            for a in answers
        ]
        file.write(json.dumps(records, indent=1, ensure_ascii=False) + "\n")
        return
    columns = {task: model.names(task) for task in tasks}
    writer = csv.writer(file, lineterminator="\n")
    others = [f"{task}_{name}" for task, names in columns.items() for name in names]
    writer.writerow(["path", "duration_s", "label", "confidence", *(f"p_{name}" for name in model.labels), *others])
    for a in answers:
        more = [a.tasks[task][name] for task, names in columns.items() for name in names]
        shown = [f"{value:.6f}" for value in [a.confidence, *a.probabilities.values(), *more]]
        writer.writerow([csv_cell(a.path), f"{a.duration_s:.3f}", a.label, *shown])


def write_timelines(model, paths, options, file, report, quiet):
    """The segments of every recording, as they come."""
    if options.plot:
        options.plot.mkdir(parents=True, exist_ok=True)
    writer = csv.writer(file, lineterminator="\n")
    if options.format == "csv":
        writer.writerow(["path", "start_s", "end_s", "label", *(f"p_{name}" for name in model.labels)])
    file.write("[" if options.format == "json" else "")
    separator = "\n"
    for path in paths:
        try:
            segments = model.timeline(path, progress=not quiet)
            if options.plot:
                from mtlaug_sb.inference.timeline_plot import plot_timeline

                segments = list(segments)
                plot_timeline(segments, model.labels, options.plot / f"{path.name}.png", path.name)
            segments = merge(segments) if options.merge else segments
            if options.format == "rttm":
                file.writelines(rttm_lines(segments, path.stem))
                continue
            for s in segments:
                if options.format == "csv":
                    shown = [f"{p:.6f}" for p in s.probabilities.values()]
                    writer.writerow([csv_cell(str(path)), f"{s.start_s:.3f}", f"{s.end_s:.3f}", s.label, *shown])
                else:
                    record = {"path": str(path), "start_s": round(s.start_s, 3), "end_s": round(s.end_s, 3)}
                    record |= {"label": s.label, "probabilities": rounded(s.probabilities)}
                    file.write(f"{separator} {json.dumps(record, ensure_ascii=False)}")
                    separator = ",\n"
        except AudioError as error:
            report(path, error)
    file.write("\n]\n" if options.format == "json" else "")


def rounded(values):
    """Values with six decimals."""
    return {name: round(value, 6) for name, value in values.items()}


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has seen enough
        sys.exit(0)
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
