import errno
import os
from types import SimpleNamespace

import pytest

from orimap.flows.jobs.failures import JITTER, RETRY_SECONDS, classify, delay_seconds
from orimap.tasks.errors import InputError, UnavailableError


def _caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InputError("a scan", "a spectrum", "choose another"), "bad data"),
        (UnavailableError("a scheduler", "none", "start it"), "transient"),
        (OSError(errno.EIO, "Input/output error"), "transient"),
        (OSError(errno.ENOSPC, "No space left on device"), "transient"),
        (PermissionError(errno.EACCES, "denied"), "transient"),
        (ConnectionResetError("gone"), "transient"),
        (TimeoutError("late"), "transient"),
        (MemoryError(), "resources"),
        (_caused(RuntimeError("a task failed"), MemoryError()), "resources"),
        (_caused(RuntimeError("reading failed"), OSError(errno.EIO, "I/O")), "transient"),
        (ValueError("shapes differ"), "bug"),
        (ZeroDivisionError(), "bug"),
    ],
)
def test_every_error_has_its_kind(error, kind):
    assert classify(error).kind == kind


def test_what_dask_and_numpy_raise_has_its_kind():
    import numpy as np
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError
    from distributed.comm import CommClosedError

    worker = SimpleNamespace(address="tcp://127.0.0.1:1")
    assert classify(KilledWorker("task", worker, 3)).kind == "resources"
    assert classify(CommClosedError("gone")).kind == "transient"
    assert classify(FutureCancelledError("task", "scheduler-connection-lost")).kind == "transient"
    with pytest.raises(MemoryError) as info:
        np.empty(2**50, "f8")
    assert classify(info.value).kind == "resources"


def test_what_came_before_an_error_is_not_its_cause():
    def fails():
        try:
            os.stat("/no/such/file")
        except FileNotFoundError:
            raise ValueError("shapes differ")  # noqa: B904

    with pytest.raises(ValueError) as info:
        fails()
    assert classify(info.value).kind == "bug"


def test_a_full_disk_is_said_to_be_full():
    assert "free space" in classify(OSError(errno.ENOSPC, "No space left on device")).remedy


def test_waiting_grows_varies_and_ends():
    for attempt, seconds in enumerate(RETRY_SECONDS, start=1):
        drawn = [delay_seconds(attempt) for _ in range(50)]
        assert seconds * (1 - JITTER) <= min(drawn) < max(drawn) <= seconds * (1 + JITTER)
    assert delay_seconds(len(RETRY_SECONDS) + 1) is None
