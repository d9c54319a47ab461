"""Stands in for a Dask client: does every task at once, in this process, and says what it took."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from time import process_time
from typing import Any

import cloudpickle


class Done:
    """A future whose result is there."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def result(self) -> Any:
        """Return the result."""
        return self.value

    def exception(self) -> None:
        """Say that nothing failed: what fails is raised when it is submitted."""

    def done(self) -> bool:
        """Say yes."""
        return True

    def release(self) -> None:
        """Forget nothing."""

    def cancel(self) -> None:
        """Stop nothing."""

    def __reduce__(self) -> tuple:
        # A task names the results that it needs, by keys of about this length.
        return str, ("function_name-0123456789abcdef0123456789abcdef",)


@dataclass
class Seen:
    """All tasks of one function.

    Parameters
    ----------
    tasks : int
    seconds : float
        Processor time of all of them.
    message_bytes, result_bytes : int
        Of the first one, as it is submitted and as it returns.
    last : object
        What the last one returned.
    """

    tasks: int = 0
    seconds: float = 0.0
    message_bytes: int = 0
    result_bytes: int = 0
    last: Any = None


class AtOnce:
    """A client with one worker: this process."""

    def __init__(self) -> None:
        self.seen: dict[str, Seen] = defaultdict(Seen)

    def nthreads(self) -> dict[str, int]:
        """Return the only worker."""
        return {"here": 1}

    def submit(self, work: Callable, *args: Any, **_: Any) -> Done:
        """Do a task."""
        # Of what is done for every block of a group, the name is that of the work.
        inner = getattr(work, "work", work)
        seen = self.seen[getattr(inner, "__name__", type(inner).__name__)]
        values = [arg.value if isinstance(arg, Done) else arg for arg in args]
        started = process_time()
        result = work(*values)
        seen.seconds += process_time() - started
        if not seen.tasks:
            seen.message_bytes = len(cloudpickle.dumps((work, args)))
            seen.result_bytes = len(cloudpickle.dumps(result))
        seen.tasks += 1
        seen.last = result
        return Done(result)
