"""Where in which file a plugin was registered: to tell a second plugin of one name from the same plugin loaded again."""

import os
import sys
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Place:
    """A line of a file; shown as ``file:line``.

    Attributes
    ----------
    file : str
        Absolute, symbolic links resolved.
    line : int
        Of the decorator.
    run : object
        Another one each time that the file is executed.
    """

    file: str
    line: int
    run: object = field(repr=False)

    def __str__(self):
        return f"{self.file}:{self.line}"


def place_of_caller(depth):
    """The place from which the function ``depth`` calls above the caller of this one was called."""
    frame = sys._getframe(depth + 1)
    return Place(os.path.realpath(frame.f_code.co_filename), frame.f_lineno, frame.f_globals.get("__spec__"))


def loaded_again(old, old_place, new, new_place):
    """Whether class ``new`` is ``old`` anew: its file was loaded again, or a notebook's cell was run again."""
    if old.__module__ == new.__module__ == "__main__":
        return old.__qualname__ == new.__qualname__
    # two classes in one run of a file differ in their lines; a file that was edited and loaded again has other lines
    again = old_place.line == new_place.line or old_place.run is not new_place.run
    return old_place.file == new_place.file and again
