"""A manifest in memory: {utterance id: record}, kept by column, so that a million utterances take little room."""

import itertools
import json
from collections.abc import ItemsView, Mapping, ValuesView
from json.encoder import encode_basestring

import numpy as np

from mtlaug_sb.dataio.columns import MISSING, Distinct, Numbers

CHUNK = 10_000  # rows that are dealt with at a time
_ID = "\0id"  # the column of the ids


class Records(Mapping):
    """Utterance id -> record, a dictionary that is made when it is asked for and may be changed freely.

    What selects rows, renames them or hides a key shares the columns with what it came from.

    Example
    -------
    >>> records = Records.of({"u1": {"speaker": "a", "duration_s": 1.5}, "u2": {"speaker": "b", "duration_s": 1.0}})
    >>> dict(records.where("speaker", lambda s: s == "b"))
    {'u2': {'duration_s': 1.0, 'speaker': 'b'}}
    """

    def __init__(self):
        self._columns = {_ID: Distinct(), "duration_s": Numbers()}
        self._n, self._chosen = 0, None  # of the columns' rows all, where none are chosen
        self._prefix, self._hidden, self._places = "", frozenset(), None

    @classmethod
    def of(cls, records):
        """Any mapping of records as such; itself, if it is one."""
        if isinstance(records, cls):
            return records
        made = cls()
        for chunk in _chunks(records.items()):
            made.extend([k for k, _ in chunk], [r for _, r in chunk])
        return made

    @classmethod
    def joined(cls, *parts):
        """All parts, one after the other."""
        parts = [p for p in parts if len(p)]
        if len(parts) == 1:
            return cls.of(parts[0])
        made = cls()
        for chunk in _chunks(item for part in parts for item in part.items()):
            made.extend([k for k, _ in chunk], [r for _, r in chunk])
        return made

    def extend(self, ids, records):
        """Add records at the end; not to what shares its columns with another."""
        keys = dict.fromkeys(itertools.chain.from_iterable(records))
        self.extend_columns(ids, {key: [r.get(key, MISSING) for r in records] for key in keys})

    def extend_columns(self, ids, columns):
        """The same, {key: a value (or MISSING) of each}."""
        for key in columns.keys() - self._columns.keys():
            self._columns[key] = Distinct().extended([MISSING] * self._n)
        for key, column in self._columns.items():
            values = ids if key == _ID else columns.get(key) or [MISSING] * len(ids)
            self._columns[key] = column.extended(values)
        self._n += len(ids)
        self._chosen = self._places = None

    # ------------------------------------------------------------------ as a mapping

    def __len__(self):
        return self._n if self._chosen is None else len(self._chosen)

    def __iter__(self):
        for rows in self._chunks_of_rows():
            ids = json.loads(f"[{','.join(self._columns[_ID].json(rows))}]")
            yield from (self._prefix + i for i in ids) if self._prefix else ids

    def __getitem__(self, utterance):
        if self._places is None:
            self._places = {k: i for i, k in enumerate(self)}
        return self.at(self._places[utterance])[1]

    def items(self):
        """(id, record) in order."""
        return _Items(self)

    def values(self):
        """Records in order."""
        return _Values(self)

    def __eq__(self, other):
        if not isinstance(other, Mapping):
            return NotImplemented
        if len(self) != len(other):
            return False
        if isinstance(other, Records):
            if list(self) != list(other):
                return False
            keys = {*self._shown(), *other._shown()}
            chunks = zip(self._chunks_of_rows(), other._chunks_of_rows(), strict=True)
            return all(self._json(key, a) == other._json(key, b) for a, b in chunks for key in keys)
        return all(k in other and other[k] == r for k, r in self.items())

    __hash__ = None

    def at(self, i):
        """(id, record) of place i."""
        row = int(self._rows[i])
        values = {key: self._columns[key][row] for key in self._shown()}
        return self._prefix + self._columns[_ID][row], {k: v for k, v in values.items() if v is not MISSING}

    @property
    def _rows(self):
        """Places in the columns, int32 [utterances]."""
        if self._chosen is None:
            self._chosen = np.arange(self._n, dtype=np.int32)
        return self._chosen

    def _json(self, key, rows):
        return self._columns[key].json(rows) if key in self._shown() else [""] * len(rows)

    def _shown(self):
        return [key for key in self._columns if key != _ID and key not in self._hidden]

    # ------------------------------------------------------------------ other records of the same columns

    def select(self, places):
        """The rows at these places (indices, or a bool per row), in this order."""
        other = self._like()
        other._chosen = self._rows[places]
        return other

    def where(self, key, test):
        """The rows whose value of the key passes; a missing one is None."""
        codes, values = self.codes(key)
        return self.select(np.array([bool(test(v)) for v in values])[codes])

    def sorted_by_duration(self):
        """Shortest first."""
        return self.select(np.argsort(self.durations, kind="stable"))

    def spread(self, n):
        """At most n rows, evenly spread."""
        return self if len(self) <= n else self.select(np.linspace(0, len(self) - 1, n).astype(np.int64))

    def parts(self, n, n_parts):
        """All rows as one part, if they are at most n; else parts of n rows, always drawn alike, as different as can be."""
        if len(self) <= n:
            return [self]
        # drawn, as the rows of a table may go through the classes in turn
        order = np.random.default_rng(0).permutation(len(self))
        places = np.take(order, np.arange(n * n_parts), mode="wrap").reshape(n_parts, n)
        return [self.select(np.sort(part)) for part in places]

    def renamed(self, prefix):
        """The same under ids with a prefix."""
        other = self._like()
        other._prefix = prefix + self._prefix
        return other

    def without(self, key):
        """The same without this key."""
        other = self._like()
        other._hidden = self._hidden | {key}
        return other

    def _like(self):
        other = Records()
        other._columns, other._n, other._chosen = self._columns, self._n, self._chosen
        other._prefix, other._hidden = self._prefix, self._hidden
        return other

    # ------------------------------------------------------------------ whole columns

    @property
    def durations(self):
        """Seconds, float64 [utterances]."""
        return self._columns["duration_s"].numpy(self._rows)

    def codes(self, key):
        """(index into the values int64 [utterances], values); the last value is None, and stands for a missing one."""
        if key in self._columns and key not in self._hidden:
            return self._columns[key].codes(self._rows)
        return np.zeros(len(self), np.int64), [None]

    def counts(self, key):
        """{value: how many utterances have it}, in order of first appearance; a missing one is None."""
        codes, values = self.codes(key)
        counts = np.bincount(codes, minlength=len(values)).tolist()
        found = {}
        for value, n in zip(values, counts, strict=True):
            if n:
                found[value] = found.get(value, 0) + n
        return found

    def latest(self, key, other):
        """{value of a key: what its last utterance has of another key}."""
        (codes, values), (others, theirs) = self.codes(key), self.codes(other)
        last = np.full(len(values), -1)
        last[codes] = np.arange(len(codes))  # the last assignment stays
        return {values[code]: theirs[others[place]] for code, place in enumerate(last.tolist()) if place >= 0}

    def pairs(self, key, other):
        """All different (value of a key, value of another)."""
        (codes, values), (others, theirs) = self.codes(key), self.codes(other)
        both = np.unique(codes * len(theirs) + others).tolist()
        return {(values[pair // len(theirs)], theirs[pair % len(theirs)]) for pair in both}

    def hashes(self, *keys):
        """A hash of the first of these keys that a row has, int64 [utterances]: of its JSON text, alike in this process."""
        chunks = []
        for rows in self._chunks_of_rows():
            texts = [self._json(key, rows) for key in keys if key in self._shown()]
            chosen = texts[0] if len(texts) == 1 else [next(filter(None, row), "") for row in zip(*texts, strict=True)]
            chunks.append(np.fromiter(map(hash, chosen), np.int64, len(rows)))
        return np.concatenate(chunks) if chunks else np.zeros(0, np.int64)

    def json_lines(self):
        """JSON of all records, a line each: chunks of text."""
        shown = self._shown()
        for rows in self._chunks_of_rows():
            named = [self._columns[key].json(rows, f"{encode_basestring(key)}: ") for key in shown]
            rows_of_texts = zip(*named, strict=True)
            if any("" in texts for texts in named):  # some lack a key
                rows_of_texts = (filter(None, row) for row in rows_of_texts)
            texts = map(", ".join, rows_of_texts)
            ids = self._columns[_ID].json(rows)
            if self._prefix:
                start = encode_basestring(self._prefix)[:-1]
                ids = [start + utterance[1:] for utterance in ids]
            yield [f"{utterance}: {{{text}}}" for utterance, text in zip(ids, texts, strict=True)]

    def _chunks_of_rows(self):
        return (self._rows[start : start + CHUNK] for start in range(0, len(self), CHUNK))


class Chained:
    """Several iterables as one, which can be gone through as often as they can.

    Example
    -------
    >>> list(Chained([1], (2, 3)))
    [1, 2, 3]
    """

    def __init__(self, *iterables):
        self.iterables = iterables

    def __iter__(self):
        return itertools.chain(*self.iterables)

    def __len__(self):
        return sum(map(len, self.iterables))


class _Items(ItemsView):
    def __iter__(self):
        return map(self._mapping.at, range(len(self._mapping)))


class _Values(ValuesView):
    def __iter__(self):
        return (record for _, record in self._mapping.items())


def _chunks(items):
    items = iter(items)
    while chunk := list(itertools.islice(items, CHUNK)):
        yield chunk
