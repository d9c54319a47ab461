"""Files that one process at a time holds; the system lets go of them however a process ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# A process that only asks for the holder has the file for a moment.
ASKING_SECONDS = 0.5


class HeldError(Exception):
    """Another process holds the file.

    Parameters
    ----------
    owner : int
        Its process id; 0 where it has not written it yet.
    """

    def __init__(self, owner: int) -> None:
        super().__init__(f"held by process {owner or 'unknown'}")
        self.owner = owner


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a file, with the id of this process in it.

    Raises
    ------
    HeldError
        If another process holds it.
    OSError
        If it cannot be written.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        last = time.monotonic() + ASKING_SECONDS
        while not _taken(lock, fcntl.LOCK_EX):
            if time.monotonic() > last:
                raise HeldError(_owner(lock))
            time.sleep(ASKING_SECONDS / 10)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(lock)


def holder(path: Path) -> int | None:
    """Return the id of the process that holds a file (0 if unknown), None if nobody does."""
    try:
        # A pipe in its place would keep whoever asks waiting for somebody to write.
        lock = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    try:
        return None if _taken(lock, fcntl.LOCK_SH) else _owner(lock)
    finally:
        os.close(lock)


def _taken(lock: int, kind: int) -> bool:
    """Take a lock if it is free."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(lock: int) -> int:
    text = os.pread(lock, 64, 0).decode(errors="replace")
    return int(text) if text.isdigit() else 0
