"""Segments of a recording, and the files they are written to: CSV, JSON, RTTM."""

import csv
import io
import json
import re
from dataclasses import dataclass, replace

SILENCE = "silence"


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording with one answer.

    Attributes
    ----------
    start_s, end_s : float
        Seconds from the beginning of the recording.
    label : str
        The most probable class, "unsure", or "silence" where there is no sound at all.
    probabilities : dict
        Class -> probability; they sum to one.
    """

    start_s: float
    end_s: float
    label: str
    probabilities: dict


def merge(segments):
    """Neighbours of the same label as one segment, with their probabilities' mean over time; a generator.

    Example
    -------
    >>> both = [Segment(0.0, 1.0, "joy", {"joy": 0.6, "anger": 0.4}), Segment(1.0, 2.0, "joy", {"joy": 0.8, "anger": 0.2})]
    >>> [(s.start_s, s.end_s, round(s.probabilities["joy"], 3)) for s in merge(both)]
    [(0.0, 2.0, 0.7)]
    """
    whole = None
    for segment in segments:
        if whole is not None and whole.label == segment.label:
            before, now = whole.end_s - whole.start_s, segment.end_s - segment.start_s
            mean = {
                k: (p * before + segment.probabilities[k] * now) / (before + now) for k, p in whole.probabilities.items()
            }
            whole = replace(whole, end_s=segment.end_s, probabilities=mean)
        else:
            if whole is not None:
                yield whole
            whole = segment
    if whole is not None:
        yield whole


def csv_lines(segments, labels):
    """Lines of a CSV: start_s, end_s, label, a probability per class; a generator."""
    yield _csv_line(["start_s", "end_s", "label", *(f"p_{label}" for label in labels)])
    for s in segments:
        yield _csv_line([f"{s.start_s:.3f}", f"{s.end_s:.3f}", s.label, *(f"{s.probabilities[n]:.6f}" for n in labels)])


def json_lines(segments):
    """Lines of a JSON list with one segment each; a generator."""
    yield "[\n"
    separator = ""
    for s in segments:
        record = {"start_s": round(s.start_s, 3), "end_s": round(s.end_s, 3), "label": s.label}
        record["probabilities"] = {k: round(p, 6) for k, p in s.probabilities.items()}
        yield f"{separator} {json.dumps(record, ensure_ascii=False)}"
        separator = ",\n"
    yield "\n]\n"


def rttm_lines(segments, recording):
    """Lines of an RTTM (NIST, Rich Transcription 2009): merged segments, whose label stands as the speaker's name.

    Silence is left out. Blanks, which separate fields there, become ``_``.
    """
    name = re.sub(r"\s", "_", recording) or "recording"
    for s in merge(segments):
        if s.label != SILENCE:
            label = re.sub(r"\s", "_", s.label)
            yield f"SPEAKER {name} 1 {s.start_s:.3f} {s.end_s - s.start_s:.3f} <NA> <NA> {label} <NA> <NA>\n"


def write_segments(segments, path, labels, kind=None, recording=None):
    """Write segments as they come, as ``kind`` "csv", "json" or "rttm"; None takes the path's ending.

    Raises
    ------
    ValueError
        For another kind.
    """
    kind = kind or str(path).rpartition(".")[2].lower()
    lines = segment_lines(segments, labels, kind, recording or str(path).rpartition("/")[2].rpartition(".")[0])
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.writelines(lines)


def segment_lines(segments, labels, kind, recording):
    """The lines of one of the three formats."""
    if kind == "csv":
        return csv_lines(segments, labels)
    if kind == "json":
        return json_lines(segments)
    if kind == "rttm":
        return rttm_lines(segments, recording)
    raise ValueError(f"segments are written as csv, json or rttm, not '{kind}'")


def csv_cell(text):
    """A text for a CSV's cell: one that a spreadsheet would take for a formula gets a quote before it."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


def _csv_line(values):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
