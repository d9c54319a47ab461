"""The errors for a request or an input at fault: needed, found, what to do."""

# Exit codes of the command line.
FAILED, INPUT_AT_FAULT, INTERRUPTED = 1, 2, 130


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
