"""Files that are written whole or not at all."""

import os

PART = ".part"  # the suffix of what is not whole yet


def write_atomically(path, content):
    """Write a file of text or bytes; a reader, or a kill, never meets half of it."""
    part = f"{path}{PART}"
    with open(part, "wb") as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)
    os.replace(part, path)
