"""Write lines for people: whatever a file or a name holds, it stays one line, and is no command.

A title, a unit or a file name may hold what a terminal obeys, or what ends a line in a log. All
lines that this package writes come through here.
"""

import sys
import unicodedata
from typing import TextIO

# Controls, what turns the direction of reading or is not seen, halves of letters, ends of lines.
NOT_SHOWN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def printable(text: str) -> str:
    r"""Return a text with all in it that is not seen, or moves a terminal, written as numbers.

    Parameters
    ----------
    text : str
        May hold bytes that are no text, as names of files do.

    Returns
    -------
    str
        One line, as ``\x1b[31m``. A text that comes from here stays as it is.
    """
    if text.isprintable():
        return text
    return "".join(
        letter.encode("unicode_escape").decode("ascii")
        if unicodedata.category(letter) in NOT_SHOWN
        else letter
        for letter in text
    )


def say(*lines: str, stream: TextIO | None = None) -> None:
    """Write lines, each of them one, to standard output or another stream, at once."""
    stream = sys.stdout if stream is None else stream
    print(*map(printable, lines), sep="\n", file=stream, flush=True)
