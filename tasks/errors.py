"""The errors for a request or an input at fault: needed, found, what to do."""

import errno
import re

# Exit codes of the command line.
FAILED, INPUT_AT_FAULT, INTERRUPTED = 1, 2, 130

# What a disk or a network share answers that is not there now, rather than a file that is damaged.
OUT_OF_REACH = {
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENXIO, errno.ENODEV, errno.EREMOTEIO),
    *(errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENOTCONN),
    *(errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.EAGAIN, errno.EBUSY),
    *(errno.EMFILE, errno.ENFILE, errno.EINTR),
}


class Notice(UserWarning):
    """What a user should know and nothing is wrong with; shown without where it comes from."""


class InputError(ValueError):
    """The request or the input is at fault; the command line prints it and exits with 2.

    Parameters
    ----------
    needed, found, remedy : str
        What the step needs, what it met, and what the user can do. One sentence each, in the
        user's own words (file names, options), without a final full stop.
    """

    def __init__(self, needed: str, found: str, remedy: str) -> None:
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


def printable(text: str) -> str:
    """Return a name with the bytes in it that are no text written as numbers."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def is_out_of_reach(error: BaseException) -> bool:
    """Tell whether an error of reading is one of the disk or the network, and may pass.

    What HDF5 says of a damaged file is an OSError, too, without a number of the system.
    """
    if not isinstance(error, OSError):
        return False
    named = re.search(r"\berrno = (\d+)", str(error))
    number = error.errno or (int(named[1]) if named else None)
    return number in OUT_OF_REACH
