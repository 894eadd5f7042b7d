"""Files that are written whole or not at all."""

import os


def write_atomically(path, text):
    """Write a text file; a reader, or a kill, never meets half of it."""
    part = f"{path}.part"
    with open(part, "w", encoding="utf-8", newline="") as file:
        file.write(text)
    os.replace(part, path)
