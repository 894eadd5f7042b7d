"""One way to write a letter, where Unicode has two."""

import unicodedata


def one_form(text):
    """Text in Unicode's form NFC: some systems write an accent as a letter of its own (NFD), and such names are not equal.

    Example
    -------
    >>> len("e\\u0300"), len(one_form("e\\u0300"))
    (2, 1)
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)
