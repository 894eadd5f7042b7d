"""Conditions that come from where one is heard: noise, babble, rooms. The same for every system: nothing is drawn but from
a seed, the condition's name and the recording's own samples."""

import hashlib
import pathlib
from collections import Counter

import numpy as np
import torch

from mtlaug_sb.acoustics import add_noise, power, put_into_room, stretch
from mtlaug_sb.corpora.demand import CHANNEL, environment_of
from mtlaug_sb.dataio.audio import AudioError
from mtlaug_sb.dataio.splits import person
from mtlaug_sb.registry import make

SILENT = 1e-12  # mean square of a stretch that is no noise
TRIES = 100


class Heard:
    """A condition under which a system hears other samples: ``hear(utterance, level)`` of the subclass says which."""

    levels, unit, axis = [None], "", ""

    def answers(self, system, utterances, cell):
        """(probabilities [utterances, classes], further columns of predictions.csv) of each level in turn."""
        for level in self.levels:
            wavs = [self.hear(utterance, level) for utterance in utterances]
            # by this column one sees that two systems heard the very same
            heard = {u.id: samples_hash(wav) for u, wav in zip(utterances, wavs, strict=True)}
            yield system.probabilities(wavs), {"heard": heard}


class Clean(Heard):
    """Utterances as they are."""

    name, settings = "clean", {"kind": "clean"}

    def hear(self, utterance, level):
        """The utterance's own samples [time]."""
        return utterance.wav


class Noise(Heard):
    """Recorded noise of one environment: a recording and a place in it per utterance, the same at every ratio.

    Arguments
    ---------
    environment : str
        Its name.
    recordings : list of torch.Tensor
        Samples [time] at the utterances' rate.
    snrs_db : list of float
        Signal-to-noise ratios over the whole utterance, in dB: the levels.
    seed : int
        Of all draws.

    Raises
    ------
    ValueError
        If the recordings are silent where they are drawn from.
    """

    unit, axis = "dB", "signal-to-noise ratio in dB"

    def __init__(self, environment, recordings, snrs_db, seed=0):
        self.name, self.levels = f"noise_{environment}", [float(snr) for snr in snrs_db]
        self.recordings, self.seed = recordings, seed
        self.settings = {"kind": "noise", "environment": environment, "seed": seed, "recordings": fingerprint(recordings)}

    def hear(self, utterance, level):
        """Samples [time] of an utterance at a ratio in dB."""
        return add_noise(utterance.wav, self.noise(utterance), level)

    def noise(self, utterance):
        """The noise that an utterance is heard in, [time], before it is scaled."""
        generator = _generator(self.seed, self.name, utterance)
        for _ in range(TRIES):
            recording = self.recordings[int(torch.randint(len(self.recordings), (1,), generator=generator))]
            noise = stretch(recording, len(utterance.wav), generator)
            if power(noise) > SILENT:
                return noise
        raise ValueError(f"the recordings of '{self.name}' are silent nearly everywhere")


class Babble(Noise):
    """Several other speakers at once, all equally loud.

    Arguments
    ---------
    records : list of dict
        Of a manifest; utterances of unknown speakers count as of speakers of their own.
    read_audio : AudioReader
        Path to samples.
    snrs_db, seed
        As for ``Noise``.
    talkers : int
        How many speak; never one whose utterance it is.

    Raises
    ------
    ValueError
        If there are not so many other speakers.
    """

    def __init__(self, records, read_audio, snrs_db, seed=0, talkers=6):
        self.name, self.levels, self.seed, self.talkers = "babble", [float(snr) for snr in snrs_db], seed, talkers
        self.read_audio, self.speech = read_audio, {}
        for record in sorted(records, key=lambda r: (r["corpus"], r["recording"])):
            self.speech.setdefault(person(record) or record["recording"], []).append(record)
        made_of = hashlib.sha1("".join(r["recording"] for people in self.speech.values() for r in people).encode())
        self.settings = {"kind": "babble", "talkers": talkers, "seed": seed, "recordings": made_of.hexdigest()[:16]}

    def noise(self, utterance):
        """The babble around an utterance, [time], before it is scaled."""
        generator = _generator(self.seed, self.name, utterance)
        others = [speaker for speaker in self.speech if speaker != person(utterance.record)]
        if len(others) < self.talkers:
            raise ValueError(f"babble of {self.talkers} needs as many other speakers; there are {len(others)}")
        total = torch.zeros(len(utterance.wav), dtype=torch.float64)
        for k in torch.randperm(len(others), generator=generator)[: self.talkers].tolist():
            records = self.speech[others[k]]
            for _ in range(TRIES):
                record = records[int(torch.randint(len(records), (1,), generator=generator))]
                voice = stretch(self.read_audio(record["path"]), len(utterance.wav), generator).double()
                if power(voice) > SILENT:
                    break
            total += voice / power(voice).clamp(min=SILENT).sqrt()
        return total.float()


class Room(Heard):
    """Rooms by their impulse responses: one is drawn per utterance.

    Arguments
    ---------
    name : str
        Of the kind of room.
    responses : list of torch.Tensor
        Samples [time] at the utterances' rate.
    seed : int
        Of the draw.
    """

    def __init__(self, name, responses, seed=0):
        self.name, self.responses, self.seed = f"room_{name}", responses, seed
        self.settings = {"kind": "room", "environment": name, "seed": seed, "recordings": fingerprint(responses)}

    def hear(self, utterance, level):
        """Samples [time] of an utterance in its room."""
        generator = _generator(self.seed, self.name, utterance)
        response = self.responses[int(torch.randint(len(self.responses), (1,), generator=generator))]
        return put_into_room(utterance.wav, response)


def read_environments(folder, read_audio):
    """{environment: recordings, samples [time] each} of DEMAND and of any other folder per environment, below a folder.

    Of several channels, called ch01, ch02, ..., the first one is taken: they recorded the same scene.

    Raises
    ------
    FileNotFoundError
        If the folder is not there, or holds no audio.
    """
    folder = pathlib.Path(folder).absolute()  # with a name, even if it is "."
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder of recordings '{folder}'")
    of_demand = list(make("corpus/demand").read(folder))
    # of DEMAND's folders no other channel, nor the same environment at another rate
    environments = {u.labels["environment"]: [u.path] for u in of_demand}
    places = {}
    for path in (pathlib.Path(u.path) for u in make("corpus/folder").read(folder)):
        places.setdefault(path.parent, []).append(path)
    places = {place: paths for place, paths in places.items() if environment_of(paths) not in environments}
    called = Counter(place.name for place in places)
    for place, paths in places.items():
        channels = {path.stem.lower(): path for path in paths}
        if {"ch01", "ch02"} <= channels.keys():
            paths = [path for stem, path in channels.items() if stem == "ch01" or not CHANNEL.fullmatch(stem)]
        name = place.name if called[place.name] == 1 else "_".join(place.relative_to(folder).parts)
        environments[name] = list(map(str, paths))
    if not environments:
        raise FileNotFoundError(f"no audio file below '{folder}'")
    try:
        return {name: [read_audio(path) for path in paths] for name, paths in environments.items()}
    except AudioError as error:
        raise AudioError(f"{error}; mend it or take it out of '{folder}'") from None


def fingerprint(recordings):
    """What identifies a list of recordings, in this order: 16 hexadecimal digits of their samples."""
    return hashlib.sha1("".join(map(samples_hash, recordings)).encode()).hexdigest()[:16]


def samples_hash(wav):
    """What identifies samples [time], as ``recording`` does in a manifest."""
    return hashlib.sha1(np.ascontiguousarray(wav.numpy()).tobytes()).hexdigest()[:16]


def recording_of(utterance):
    """What identifies its samples, whatever it is called."""
    return utterance.record.get("recording") or samples_hash(utterance.wav)  # which it is, where it was read


def number_of(text):
    """A number that follows from a text, as if it were drawn."""
    return int.from_bytes(hashlib.sha1(text.encode()).digest()[:7], "big")


def _generator(seed, name, utterance):
    """By the samples, not by the name: an utterance is heard in one noise, whatever a corpus reader calls it."""
    return torch.Generator().manual_seed(number_of(f"{seed} {name} {recording_of(utterance)}"))
