"""IEMOCAP (Busso et al. 2008): English dyads, improvised and scripted, 10 speakers. Licensed by USC SAIL."""

import re
from dataclasses import replace

from mtlaug_sb.corpus_files import files_below, read_text
from mtlaug_sb.interfaces import Utterance
from mtlaug_sb.published_counts import warn_of_differences
from mtlaug_sb.registry import register

EMOTIONS = {
    "ang": "anger",
    "hap": "happiness",
    "exc": "excitement",
    "neu": "neutral",
    "sad": "sadness",
    "fru": "frustration",
    "fea": "fear",
    "sur": "surprise",
    "dis": "disgust",
    "oth": "other",
    "xxx": "no_agreement",
}
STYLES = {"impro": "improvised", "script": "scripted"}
NAME = re.compile(r"Ses0([1-5])[FM]_(impro|script)\w*_([FM])(?:XX\d|\d{3})")
LABEL = re.compile(r"\[[\d.]+ - [\d.]+\]\s+(\w+)\s+([a-z]{3})\s+\[([\d.]+),\s*([\d.]+),\s*([\d.]+)\]\s*")
TRANSCRIPT = re.compile(r"(Ses\w+) \[[\d.]+-[\d.]+\]:\s*(.*)")
# of the usual four classes, excitement being happiness: 5531 utterances
PUBLISHED = {"anger": 1103, "happiness": 595, "excitement": 1041, "neutral": 1708, "sadness": 1084}
PUBLISHED_SPEAKERS = {
    "1F": 528, "1M": 557, "2F": 481, "2M": 542, "3F": 522, "3M": 629, "4F": 528, "4M": 503, "5F": 590, "5M": 651,
}  # fmt: skip


@register("corpus", "iemocap")
class IEMOCAP:
    """Reads ``**/Session<1-5>/dialog/EmoEvaluation/*.txt`` and the files in ``Session<1-5>/sentences/wav`` named there.

    Labels: ``emotion`` (anger, disgust, excitement, fear, frustration, happiness, neutral, no_agreement, other, sadness,
    surprise), ``valence``, ``arousal`` and ``dominance`` (means over the raters, 1 to 5; arousal is called activation
    there), ``gender``, ``session``, ``style`` (improvised, scripted), ``transcript``.

    The speaker is the session and the letter of the name's last part: the letter after the session says who wears the
    motion-capture markers, not who speaks.

    Arguments
    ---------
    merge_excited : bool
        Count excitement as happiness, as most papers do.
    style : str
        "both", "improvised" or "scripted".

    Raises
    ------
    ValueError
        If ``style`` is another.
    """

    def __init__(self, merge_excited=True, style="both"):
        if style not in ("both", *STYLES.values()):
            raise ValueError(f"style must be 'both', 'improvised' or 'scripted', is {style!r}")
        self.merge_excited = merge_excited
        self.style = style

    def read(self, data_folder):
        """Utterances in order of session, dialog and turn; a label without a recording is passed over.

        Raises
        ------
        FileNotFoundError
            If there is no label file in a folder ``EmoEvaluation``, or none of its recordings.
        """
        # raters' own files lie in folders below
        files = [file for file in files_below(data_folder, (".txt",)) if file.parent.name == "EmoEvaluation"]
        if not files:
            raise FileNotFoundError(f"no folder 'EmoEvaluation' with label files below '{data_folder}': is this IEMOCAP?")
        seen = {}
        for file in files:
            session = file.parent.parent.parent
            transcripts = _transcripts(session / "dialog" / "transcriptions" / file.name)
            for utterance in _utterances(file, session / "sentences" / "wav", transcripts):
                if utterance.id not in seen:
                    seen[utterance.id] = utterance
                    if self.style in ("both", utterance.labels["style"]):
                        yield self._merged(utterance)
        if not seen:
            raise FileNotFoundError(f"{len(files)} label files below '{data_folder}', and no recording in 'sentences/wav'")
        emotions = [u.labels["emotion"] for u in seen.values()]
        warn_of_differences("iemocap", emotions, PUBLISHED)
        speakers = [u.speaker for u in seen.values() if u.labels["emotion"] in PUBLISHED]
        if len(speakers) == sum(PUBLISHED.values()):
            warn_of_differences("iemocap", speakers, PUBLISHED_SPEAKERS)

    def _merged(self, utterance):
        if self.merge_excited and utterance.labels["emotion"] == "excitement":
            return replace(utterance, labels={**utterance.labels, "emotion": "happiness"})
        return utterance


def _utterances(file, wavs, transcripts):
    """The turns of a dialog's label file that have a recording."""
    recordings = {}
    for line in read_text(file).splitlines():
        match = LABEL.fullmatch(line)
        name = match and NAME.fullmatch(match[1])
        if not name or match[2] not in EMOTIONS:
            continue
        dialog = match[1][:-5]
        if dialog not in recordings:
            recordings[dialog] = {path.stem: path for path in files_below(wavs / dialog)}
        path = recordings[dialog].get(match[1])
        if path is None:
            continue
        session, style, letter = name.groups()
        labels = {
            "emotion": EMOTIONS[match[2]],
            "valence": float(match[3]),
            "arousal": float(match[4]),
            "dominance": float(match[5]),
            "gender": {"F": "female", "M": "male"}[letter],
            "session": session,
            "style": STYLES[style],
        }
        if match[1] in transcripts:
            labels["transcript"] = transcripts[match[1]]
        yield Utterance(match[1], str(path), session + letter, labels)


def _transcripts(file):
    """{turn: text}; lines that name no turn are passed over."""
    if not file.is_file():
        return {}
    lines = read_text(file).splitlines()
    return dict(match.groups() for line in lines if (match := TRANSCRIPT.fullmatch(line.strip())))
