"""Columns of values that repeat, are all different, or are numbers: a million of them in some megabytes."""

import json
from array import array
from json.encoder import encode_basestring

import numpy as np

MISSING = object()  # given to a column, and got back from it, where a row has no such value
_FEW = 4096  # so many different values are always kept as such
_encode = json.JSONEncoder(ensure_ascii=False).encode


class Distinct:
    """Values of few kinds, such as speakers and labels: each kept once, and a number a row.

    Example
    -------
    >>> column = Distinct().extended(["anna", "ben", MISSING, "anna"])
    >>> column[3], column[2] is MISSING, column.n_bytes
    ('anna', True, 16)
    """

    def __init__(self):
        self.rows = array("i")
        self.values, self.texts = [], []
        self._strings, self._others = {}, {}

    def extended(self, values):
        """This column with more values at its end, or another kind of column, if they turn out to be all different."""
        try:
            codes = list(map(self._strings.get, values))
        except TypeError:  # a list, say
            codes = [None] * len(values)
        if None in codes:
            codes = [self._code(v) if code is None else code for code, v in zip(codes, values, strict=True)]
        self.rows.extend(codes)
        if len(self.values) > max(_FEW, len(self.rows) // 2):
            return Packed().extended([self[i] for i in range(len(self.rows))])
        return self

    def _code(self, value):
        if value is MISSING:
            return -1
        if type(value) is str:
            return self._known(self._strings, value, value, encode_basestring)
        # 1, 1.0 and True are equal, and are not the same
        return self._known(self._others, _encode(value), value, _encode)

    def _known(self, codes, key, value, encode):
        if key not in codes:
            codes[key] = len(self.values)
            self.values.append(value)
            self.texts.append(encode(value))
        return codes[key]

    def __getitem__(self, row):
        code = self.rows[row]
        return self.values[code] if code >= 0 else MISSING

    def codes(self, rows):
        """(codes int64 [rows], values): what is missing has the last code, and the value None."""
        codes = np.asarray(self.rows)[rows].astype(np.int64)
        return np.where(codes < 0, len(self.values), codes), [*self.values, None]

    def json(self, rows, before=""):
        """JSON text of each row's value, with something before it; empty where it is missing."""
        texts = [*(before + text for text in self.texts), ""]
        return [texts[code] for code in np.asarray(self.rows)[rows].tolist()]

    @property
    def n_bytes(self):
        """Of what grows with the rows."""
        return self.rows.itemsize * len(self.rows)


class Packed:
    """Values that are all different, such as paths and transcripts: their JSON texts one after the other.

    Example
    -------
    >>> Packed().extended(["a.wav", MISSING, [1, 2]])[2]
    [1, 2]
    """

    def __init__(self):
        self.content, self.ends = bytearray(), array("q", [0])

    def extended(self, values):
        """This column with more values at its end."""
        try:
            texts = list(map(encode_basestring, values))
        except TypeError:  # one that is no text
            texts = [encode_basestring(v) if type(v) is str else "" if v is MISSING else _encode(v) for v in values]
        if not (together := "".join(texts)).isascii():
            texts = [text.encode() for text in texts]
        self.content += together.encode()
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        self.ends.frombytes((self.ends[-1] + lengths.cumsum()).tobytes())
        return self

    def __getitem__(self, row):
        text = self.content[self.ends[row] : self.ends[row + 1]]
        return json.loads(text) if text else MISSING

    def codes(self, rows):
        """As of Distinct."""
        column = Distinct()
        codes = np.fromiter((column._code(self[row]) for row in rows.tolist()), np.int64, len(rows))
        return np.where(codes < 0, len(column.values), codes), [*column.values, None]

    def json(self, rows, before=""):
        """As of Distinct."""
        ends = np.asarray(self.ends)
        bounds = zip(ends[rows].tolist(), ends[rows + 1].tolist(), strict=True)
        texts = [self.content[start:end].decode() for start, end in bounds]
        return [before + text if text else "" for text in texts] if before else texts

    @property
    def n_bytes(self):
        """Of what grows with the rows."""
        return len(self.content) + self.ends.itemsize * len(self.ends)


class Numbers:
    """Floats, such as durations; NaN is missing."""

    def __init__(self):
        self.rows = array("d")

    def extended(self, values):
        """This column with more values at its end."""
        try:
            new = array("d", values)
        except TypeError:
            new = array("d", [np.nan if v is MISSING else v for v in values])
        self.rows.extend(new)
        return self

    def __getitem__(self, row):
        value = self.rows[row]
        return value if value == value else MISSING

    def json(self, rows, before=""):
        """As of Distinct."""
        return [f"{before}{v!r}" if v == v else "" for v in self.numpy(rows).tolist()]

    def numpy(self, rows):
        """float64 [rows]."""
        return np.asarray(self.rows)[rows]
