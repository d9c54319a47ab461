"""The errors for a request or an input at fault: needed, found, what to do.

Also what other programs report, in plain words.
"""

import errno
import re
import sys
import unicodedata
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from orimap.tasks.lines import printable

# Exit codes of the command line.
FAILED, INPUT_AT_FAULT, INTERRUPTED = 1, 2, 130

# What a disk or a network share answers that is not there now, rather than a file that is damaged.
OUT_OF_REACH = {
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENXIO, errno.ENODEV, errno.EREMOTEIO),
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENOTCONN),
    *(errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.EAGAIN, errno.EBUSY),
    *(errno.EMFILE, errno.ENFILE, errno.EINTR),
}

# Kinds of letters that nobody sees: control, format, ends of lines.
UNSEEN = {"Cc", "Cf", "Zl", "Zp"}
# Of a value that cannot be read, in a message.
MOST_LETTERS = 80
# Modules whose lines nobody looks for who has called orimap.
INSIDE = ("orimap", "pydantic", "contextlib")

WHOLE_NUMBER, NUMBER = "a whole number is needed", "a number is needed"
# By the types that pydantic gives its errors; in braces, the facts that come with them.
WORDS = {
    "int_parsing": WHOLE_NUMBER,
    "int_parsing_size": "a smaller number is needed",
    "int_type": WHOLE_NUMBER,
    "int_from_float": WHOLE_NUMBER,
    "float_parsing": NUMBER,
    "float_type": NUMBER,
    "finite_number": "a finite number is needed",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "string_type": "text is needed",
    "path_type": "a path is needed",
    "tuple_type": "a list of values is needed",
    "too_short": "{min_length} values are needed, not {actual_length}",
    "too_long": "{max_length} values are needed, not {actual_length}",
    "extra_forbidden": "it is not an option",
    "missing": "it is not given",
}


class Notice(UserWarning):
    """What a user should know and nothing is wrong with; shown without where it comes from."""


def tell(text: str) -> None:
    """Tell a `Notice`, as of the line that has called orimap, not of one inside it."""
    level, frame = 1, sys._getframe(0)
    while frame is not None and frame.f_globals.get("__name__", "").startswith(INSIDE):
        level, frame = level + 1, frame.f_back
    warnings.warn(printable(text), Notice, stacklevel=level)


class InputError(ValueError):
    """The request or the input is at fault; the command line prints it and exits with 2.

    Parameters
    ----------
    needed, found, remedy : str
        What the step needs, what it met, and what the user can do. One sentence each, in the
        user's own words (file names, options), without a final full stop.
    """

    def __init__(self, needed: str, found: str, remedy: str) -> None:
        needed, found, remedy = map(printable, (needed, found, remedy))
        super().__init__(f"needed: {needed}\nfound: {found}\nwhat to do: {remedy}")
        self.needed = needed
        self.found = found
        self.remedy = remedy

    @property
    def reason(self) -> str:
        """What was needed and what was found, in one line."""
        return f"needed: {self.needed}; found: {self.found}"

    @property
    def in_one_line(self) -> str:
        """All three parts, for a log or a table."""
        return f"{self.reason}; {self.remedy}"

    def __reduce__(self) -> tuple:
        """Travel between processes: the default would call ``__init__`` with one argument."""
        return type(self), (self.needed, self.found, self.remedy)


class UnavailableError(InputError):
    """Nothing is wrong with the request: what it needs is not there now, and may be later."""


class LateInputError(InputError):
    """The request cannot be met, which work alone could tell: that serves another request."""


def shown_name(text: str) -> str:
    """Return a name on one line, whatever its letters would do: marks of direction, line ends.

    They are written as numbers, as are bytes that are no text.
    """
    return "".join(
        letter
        if unicodedata.category(letter) not in UNSEEN
        else letter.encode("unicode_escape").decode()
        for letter in printable(text)
    )


def is_out_of_reach(error: BaseException) -> bool:
    """Tell whether an error of reading is one of the disk or the network, and may pass.

    What HDF5 says of a damaged file is an OSError, too, without a number of the system.
    """
    if not isinstance(error, OSError):
        return False
    named = re.search(r"\berrno = (\d+)", str(error))
    number = error.errno or (int(named[1]) if named else None)
    return number in OUT_OF_REACH


def words_of(error: BaseException) -> str:
    """Return what an error says, in one line, without the numbers of the operating system."""
    return printable(" ".join(re.sub(r"\[Errno -?\d+\] ?", "", str(error)).split()))


def problem(error: Mapping[str, Any]) -> str:
    """Return what is wrong with a value.

    Parameters
    ----------
    error : mapping
        One of ``pydantic.ValidationError.errors()``.

    Returns
    -------
    str
        Half a sentence, as "must be at least 1".
    """
    kind, facts = error["type"], error.get("ctx") or {}
    if kind == "value_error":
        return str(facts["error"])
    # A list of two that holds one: the second is missing.
    if kind == "missing" and len(error["loc"]) > 1:
        return "more values are needed"
    words = WORDS.get(kind)
    if words is None:
        return "this is not understood"
    # Of what is no list at all, pydantic counts nothing.
    counted = {name: "so many" if value is None else value for name, value in facts.items()}
    return words.format(**counted).replace("'", "")


def shown(value: Any) -> str:
    """Return a value as a message shows it: as it was typed, and no more than a line of it."""
    text = value if isinstance(value, str) and value.strip() and "\n" not in value else repr(value)
    if len(text) <= MOST_LETTERS:
        return text
    return f"{text[:MOST_LETTERS]}... ({len(text):,} letters)"


def as_whole(value: Any) -> int | None:
    """Return a value as a whole number, of whatever library it is; None where it is none.

    Truth values are no numbers here, and 2.0 is one.
    """
    if isinstance(value, (str, bytes)) or type(value).__name__ in ("bool", "bool_"):
        return None
    try:
        number = int(value)
        return number if bool(number == value) else None
    except (TypeError, ValueError, OverflowError):
        return None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name that was probably meant, None where none is near."""
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), n=1)
    return near[0] if near else None
