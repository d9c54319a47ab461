"""Start a command that ends when a process ends, and holds a lock while it lives.

``python -m orimap.flows.jobs.tether PROCESS LOCK COMMAND ...``: told to end (SIGTERM) the moment
that PROCESS, its parent, is gone, even killed. LOCK stays locked until the command has ended,
however it ends: no other look at a process can be trusted, since numbers of processes are used
again.
"""

import ctypes
import fcntl
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of Linux's prctl
HELD = 75  # exit code: somebody else holds the lock (sysexits' "try again later")


def end_with_parent() -> None:
    """Have this process told to end (SIGTERM) when its parent ends, even by SIGKILL.

    Parents that have ended before are not noticed: look at ``os.getppid()`` afterwards.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


def main(parent: str, lock: str, *command: str) -> None:
    """Become the command."""
    end_with_parent()
    if os.getppid() != int(parent):
        sys.exit("the process that started this one is gone")
    held = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(HELD)
    os.set_inheritable(held, True)
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
