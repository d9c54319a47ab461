"""A process that is kept up: started again when it dies, and ended with the process that keeps it.

Tested in tests/flows/machine/test_up.py.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from orimap.cluster.processes.parent import end_with_parent
from orimap.tasks.errors import INPUT_AT_FAULT, InputError

# One that keeps dying is started again after 1, 2, 4 ... s; one that lived a while, after 1 s.
LONGEST_PAUSE_SECONDS = 60
LIVED_SECONDS = 60
LOG_BYTES = 20_000_000
TAIL_LINES = 15


class Service:
    """A process that is kept up.

    Parameters
    ----------
    name : str
        Also of its log.
    command : list of str
    environment : mapping
    logs : Path
    """

    def __init__(
        self, name: str, command: list[str], environment: Mapping[str, str], logs: Path
    ) -> None:
        self.name = name
        self.command = command
        self.environment = environment
        self.log = logs / f"{name}.log"
        self.pause = 1.0
        self.starts = 0
        self.start()

    def start(self) -> None:
        """Start it; it ends when this process does, however that ends."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self.logged = log.tell()
            self.process = subprocess.Popen(
                self.command,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_as_child,
            )
        self.ended = os.pidfd_open(self.process.pid)
        self.started = time.monotonic()
        self.starts += 1
        self.start_again: float | None = None

    def look(self, note: Callable[[str], None]) -> None:
        """Start it again when it has ended, after a pause that grows.

        Raises
        ------
        InputError
            If it finds its options at fault when it is started first.
        """
        now = time.monotonic()
        if self.start_again is None and self.process.poll() is not None:
            os.close(self.ended)
            if self.starts == 1 and self.process.returncode == INPUT_AT_FAULT:
                # It would say the same each time. How to use it is not what was found.
                said = "; ".join(filter(None, map(str.strip, self.tail().splitlines())))
                raise InputError(
                    f"options that orimap {self.name} can work with",
                    said.rpartition("Error: ")[2],
                    "correct them, and bring everything up again",
                )
            if now - self.started > LIVED_SECONDS:
                self.pause = 1.0
            note(
                f"{self.name} has ended ({self.process.returncode}); starting it again in "
                f"{self.pause:.0f} s; its log is {self.log} and ends with: {self.tail(1)}"
            )
            kill_group(self.process.pid)
            self.start_again = now + self.pause
            self.pause = min(2 * self.pause, LONGEST_PAUSE_SECONDS)
        elif self.start_again is not None and now >= self.start_again:
            self.start()

    def tail(self, lines: int = TAIL_LINES) -> str:
        """Return the last lines that it has logged since it was started."""
        with self.log.open(errors="replace") as log:
            log.seek(self.logged)
            return "\n".join(log.read().splitlines()[-lines:])


def _as_child() -> None:
    """Prepare a service before it starts: it can be interrupted, and ends when its parent dies."""
    # What a shell starts in the background ignores SIGINT and passes that on; but Prefect's worker
    # ends itself by sending it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent()


def kill_group(pid: int) -> None:
    """End what a service has started and left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
