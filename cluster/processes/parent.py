"""End with the process that has started this one."""

import ctypes
import signal

PR_SET_PDEATHSIG = 1  # of Linux's prctl


def end_with_parent() -> None:
    """Have this process told to end (SIGTERM) when its parent ends, even by SIGKILL.

    To Linux the parent is the thread that has started this process. Parents that have ended
    before are not noticed: look at ``os.getppid()`` afterwards.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
