"""Manifests to datasets and loaders."""

import logging

import torch
from speechbrain.dataio.batch import PaddedBatch
from torch.nn.utils.rnn import pad_sequence

from mtlaug_sb.dataio.audio import AudioError
from mtlaug_sb.dataio.records import Records

logger = logging.getLogger(__name__)


class UtteranceDataset(torch.utils.data.Dataset):
    """``id``, ``wav`` [time] and one tensor per target, of the utterances of a manifest.

    Arguments
    ---------
    records : dict or Records
        Manifest.
    targets : dict
        Name -> target (see ``mtlaug_sb.targets``).
    read_audio : AudioReader
        Path to samples.
    skip_bad_audio : bool
        An utterance that cannot be read is None, which is said, instead of an error.
    longest_s : float or None
        Of a longer one only so many seconds, the first, are heard.

    Raises
    ------
    AudioError
        When an utterance is asked for that cannot be read.
    """

    def __init__(self, records, targets, read_audio, skip_bad_audio=False, longest_s=None):
        self.records = Records.of(records)
        self.targets, self.read_audio, self.skip_bad_audio = targets, read_audio, skip_bad_audio
        self.longest = longest_s and round(longest_s * read_audio.sample_rate)

    def __len__(self):
        return len(self.records)

    def __getitem__(self, i):
        utterance, record = self.records.at(i)
        try:
            whole = self.read_audio(record["path"])
        except AudioError as error:
            if not self.skip_bad_audio:
                raise
            logger.warning("Left out: %s", error)
            return None
        wav, name = beginning(whole, utterance, self.longest)
        return {"id": name, "wav": wav, **{name: target(record) for name, target in self.targets.items()}}


def beginning(wav, utterance, longest):
    """The first samples, and what they are called: by another name than the whole, as features are kept by name."""
    return (wav, utterance) if longest is None or len(wav) <= longest else (wav[:longest], f"{utterance}, to {longest}")


def collate(examples):
    """A batch of those examples that could be read.

    Raises
    ------
    AudioError
        If there is none.
    """
    readable = [example for example in examples if example is not None]
    if not readable:
        raise AudioError(f"not one of the {len(examples)} files of a batch can be read")
    return PaddedBatch(readable, padded_keys=["wav"], padding_func=_pad)


def _pad(wavs):
    """As SpeechBrain's own padding, without a second copy of every waveform: a twentieth of a training step."""
    padded = pad_sequence(wavs, batch_first=True)
    return padded, torch.tensor([len(wav) / padded.shape[1] for wav in wavs])


def loader_options(**options):
    """Options of a DataLoader over such a dataset."""
    return {
        "collate_fn": collate,
        # a generator of its own: the iterator draws a seed, which must not come from the run's random state
        "generator": torch.Generator(),
        **options,
    }
