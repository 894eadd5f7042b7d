"""Files that are written whole or not at all."""

import os

PART = ".part"  # the suffix of what is not whole yet


def write_atomically(path, content):
    """Write a file of text or bytes, or of an iterable of these; a reader, or a kill, never meets half of it."""
    part = f"{path}{PART}"
    with open(part, "wb") as file:
        for piece in (content,) if isinstance(content, str | bytes | bytearray) else content:
            file.write(piece.encode("utf-8") if isinstance(piece, str) else piece)
    os.replace(part, path)
