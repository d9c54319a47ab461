"""What went wrong, of which kind it is, and whether trying again can help."""

import errno
import random
from dataclasses import dataclass
from typing import Literal

from orimap.tasks.acquire.identity import ChangedError
from orimap.tasks.errors import InputError, UnavailableError, words_of

Kind = Literal["transient", "bad data", "changed", "resources", "bug"]

# A network share or a scheduler that restarts is back after seconds, or after minutes.
RETRY_SECONDS = (5, 30, 120)
# So that many runs that failed together do not come back together.
JITTER = 0.25
FULL = (errno.ENOSPC, errno.EDQUOT)
# By name: importing the packages that raise them takes seconds.
LOST_FOR_NOW = {
    *("CommClosedError", "FutureCancelledError", "SchedulerClosedError", "CancelledError"),
    *("ConnectError", "ReadError", "ReadTimeout", "ConnectTimeout", "PrefectHTTPStatusError"),
}
OUT_OF_MEMORY = {"KilledWorker", "MemoryError", "ArrayMemoryError", "_ArrayMemoryError"}


@dataclass(frozen=True)
class Failure:
    """One failure in words.

    Parameters
    ----------
    kind : str
        "transient": trying again may help. "bad data": it never will, the acquisition or the
        request is at fault. "changed": the acquisition is not the one any more that was begun.
        "resources": more memory or time may help. "bug": ours to fix.
    reason, remedy : str
        What happened and what to do.
    """

    kind: Kind
    reason: str
    remedy: str


def classify(error: BaseException) -> Failure:
    """Return what kind of failure an error is; what caused it counts as well.

    Parameters
    ----------
    error : BaseException

    Returns
    -------
    Failure
    """
    if isinstance(error, UnavailableError):
        return Failure("transient", error.reason, error.remedy)
    if isinstance(error, ChangedError):
        return Failure("changed", error.reason, error.remedy)
    if isinstance(error, InputError):
        return Failure("bad data", error.reason, error.remedy)
    chain = _chain(error)
    names = {kind.__name__ for each in chain for kind in type(each).__mro__}
    reason = f"{type(error).__name__}: {words_of(error) or 'no words'}"
    if names & OUT_OF_MEMORY:
        return Failure(
            "resources",
            f"out of memory ({reason})",
            "give each worker more memory: fewer --workers, or more memory in the site profile",
        )
    if any(isinstance(each, OSError) and each.errno in FULL for each in chain):
        return Failure("transient", reason, "free space on the disk of the results")
    if names & LOST_FOR_NOW or any(isinstance(each, OSError) for each in chain):
        return Failure(
            "transient", reason, "check the disk, the network and the scheduler, then replay it"
        )
    return Failure(
        "bug", reason, "send the bundle beside the results to the people who make orimap"
    )


def _chain(error: BaseException) -> list[BaseException]:
    """Return an error and what caused it, without what it merely came after."""
    chain: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in chain:
        chain.append(each)
        each = each.__cause__
    return chain


def delay_seconds(attempt: int) -> float | None:
    """Return how long to wait after this many failed attempts, None to give up."""
    if attempt > len(RETRY_SECONDS):
        return None
    return RETRY_SECONDS[attempt - 1] * random.uniform(1 - JITTER, 1 + JITTER)
