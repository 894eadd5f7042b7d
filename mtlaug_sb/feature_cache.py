"""Features that come out the same every time are computed once."""

import torch
from torch.nn.utils.rnn import pad_sequence

from mtlaug_sb.masking import absolute_lengths


class FeatureCache:
    """Keep features of utterances by key, up to a bound, on the device where they were computed.

    An utterance that is kept is computed alone, so that its features are the same to the bit whichever batch asked first.

    Arguments
    ---------
    megabytes : float
        Bound; 0 keeps nothing.

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

    def __init__(self, megabytes):
        self.room = int(megabytes * 1e6)
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
        found = {i: self._kept[key] for i, key in enumerate(keys) if key in self._kept}
        alone = [i for i, key in enumerate(keys) if key is not None and i not in found] if self.room > 0 else []
        together = [i for i in range(len(keys)) if i not in found and i not in alone]
        for rows in [[i] for i in alone] + ([together] if together else []):
            features, lengths, notes = compute(rows)
            sizes = absolute_lengths(lengths, features.shape[1]).tolist()
            found |= {i: (f[:n], note) for i, f, n, note in zip(rows, features, sizes, notes, strict=True)}
        for i in alone:
            size = found[i][0].numel() * found[i][0].element_size()
            if size <= self.room:
                self.room -= size
                self._kept[keys[i]] = found[i]
        rows, notes = zip(*(found[i] for i in range(len(keys))), strict=True)
        features = pad_sequence(rows, batch_first=True)
        return features, features.new_tensor([len(r) for r in rows]) / features.shape[1], torch.stack(notes)
