"""A disk that is too small, or becomes full: on one of a few megabytes in memory."""

import errno
import os
import subprocess

import pytest

from orimap.flows.jobs.failures import classify
from orimap.flows.pipeline.check import (
    DiskFullError,
    check,
    check_place,
    saying_what_is_needed,
)
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError
from orimap.tasks.store.open_results import open_results
from orimap.tasks.store.whole.verify import verify


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 12 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)]
    try:
        mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("only root can mount a small disk")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk, left):
    """Leave so many bytes free."""
    usage = os.statvfs(disk)
    (disk / "ballast").write_bytes(bytes(usage.f_bavail * usage.f_bsize - left))


def damaged(folder):
    """Return which parts of the stores are damaged; the pages of tests are bare."""
    return [part for part in verify(folder) if part.found and ".zarr" in part.name]


def test_a_run_is_refused_on_a_disk_that_is_surely_too_small(run, tiny, small_disk, same_workers):
    output = small_disk / "results"
    fill(small_disk, 300_000)
    with pytest.raises(InputError) as refused:
        run(tiny, output, k="1:2")
    assert refused.value.needed.startswith("at least ")
    assert " kB free on the disk of " in refused.value.found
    assert not output.exists()
    # As orimap run --dry-run asks it.
    with pytest.raises(InputError, match="of disk space for the results"):
        check_place(check(Request.read(file=tiny, output=output, k="1:2")))


@pytest.mark.slow
def test_a_disk_that_becomes_full_loses_nothing_and_the_next_run_goes_on(
    run, results, tiny, small_disk, same_workers
):
    output = small_disk / "results"
    run(tiny, output, k="1:2")
    before = results(output).load()
    fill(small_disk, 700_000)
    with pytest.raises(DiskFullError, match="no space is left on the disk of") as failed:
        run(tiny, output, k="1:9")
    said = str(failed.value)
    assert all(words in said for words in ("at least", "were free when it began", "same command"))
    assert failed.value.errno == errno.ENOSPC
    assert classify(failed.value).kind == "transient"
    assert open_results(output).load().identical(before)
    assert damaged(output) == []
    (small_disk / "ballast").unlink()
    run(tiny, output, k="1:9")
    assert open_results(output).attrs["request"]["k"] == [1, 9]
    assert damaged(output) == []


def test_a_disk_without_inodes_is_not_said_to_be_full(tiny, small_disk):
    plan = check(Request.read(file=tiny, output=small_disk / "results", k="1:2"))
    subprocess.run(["mount", "-o", "remount,nr_inodes=4", str(small_disk)], check=True)
    with (
        pytest.raises(DiskFullError, match=r"takes no further files, though 13 MB are free: all"),
        saying_what_is_needed(plan),
    ):
        touch(small_disk, 4)


def touch(folder, files):
    """Make empty files."""
    for number in range(files):
        (folder / str(number)).touch()
