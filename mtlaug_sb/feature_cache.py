"""Features that come out the same every time are computed once."""

import hashlib
import os
import pathlib

import torch
from torch.nn.utils.rnn import pad_sequence

from mtlaug_sb.masking import absolute_lengths, trim, zero_padding


class FeatureCache:
    """Keep features of utterances by key, up to a bound, on the device where they were computed.

    An utterance that is kept is computed alone, so that its features are the same to the bit whichever batch asked first.
    Features that 16 bits of floating point hold without loss are kept in as many.

    Arguments
    ---------
    megabytes : float
        Bound; 0 keeps nothing.
    folder : str or None
        Keep them there too, a file each, for other processes with the same front end and waveform effects. It must not
        outlive them: nothing is said in it of how they were made.

    Example
    -------
    >>> cache, asked = FeatureCache(megabytes=1), []
    >>> def compute(rows):
    ...     asked.extend(rows)
    ...     return torch.ones(len(rows), 5, 2), torch.ones(len(rows)), torch.zeros(len(rows))
    >>> for _ in range(2):
    ...     features, lengths, notes = cache(["a", "b"], compute)
    >>> asked, features.shape
    ([0, 1], torch.Size([2, 5, 2]))
    """

    def __init__(self, megabytes, folder=None):
        self.room = int(megabytes * 1e6)
        self.folder = folder and pathlib.Path(folder)
        self._kept = {}

    def __call__(self, keys, compute):
        """Features [batch, frames, dim] with padding zero, their relative lengths, and the notes [batch].

        Arguments
        ---------
        keys : list
            One per row; None is never kept.
        compute : callable
            Rows (a list of indices) -> their features [rows, frames, dim], relative lengths [rows], and a tensor [rows]
            that is kept with them: it must depend on the row's key alone, as the features do.
        """
        if self.room <= 0 and not self._kept:
            features, lengths, notes = compute(list(range(len(keys))))
            features, lengths = trim(features, lengths)
            return zero_padding(features, lengths), lengths, notes
        found = {i: self._kept[key] for i, key in enumerate(keys) if key in self._kept}
        alone = [i for i, key in enumerate(keys) if key is not None and i not in found] if self.room > 0 else []
        together = [i for i in range(len(keys)) if i not in found and i not in alone]

        def compute_rows(rows):
            features, lengths, notes = compute(rows)
            sizes = absolute_lengths(lengths, features.shape[1]).tolist()
            return {i: (_smaller(f[:n]), note) for i, f, n, note in zip(rows, features, sizes, notes, strict=True)}

        for i in alone:
            found[i] = self._from_folder(keys[i]) or compute_rows([i])[i]
        found |= compute_rows(together) if together else {}
        for i in alone:
            size = found[i][0].numel() * found[i][0].element_size()
            if size <= self.room:
                self.room -= size
                self._kept[keys[i]] = found[i]
                self._into_folder(keys[i], *found[i])
        rows, notes = zip(*(found[i] for i in range(len(keys))), strict=True)
        features = pad_sequence([row.to(torch.get_default_dtype()) for row in rows], batch_first=True)
        return features, features.new_tensor([len(r) for r in rows]) / features.shape[1], torch.stack(notes)

    def _from_folder(self, key):
        path = self.folder and self._path(key)
        if not path or not path.exists():
            return None
        features, note, device = torch.load(path, weights_only=True)
        return features.to(device), note

    def _into_folder(self, key, features, note):
        path = self.folder and self._path(key)
        if path and not path.exists():
            part = path.with_suffix(f".{os.getpid()}")
            # a clone: of a view, all of what it is a part of would be written
            torch.save((features.detach().cpu().clone(), note.cpu().clone(), str(features.device)), part)
            part.replace(path)

    def _path(self, key):
        return self.folder / f"{hashlib.sha1(repr(key).encode()).hexdigest()}.pt"


def _smaller(features):
    """The features in 16 bits, if they are the same then."""
    half = features.half()
    return half if torch.equal(half.to(features.dtype), features) else features
