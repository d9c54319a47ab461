"""Check all that can be known of a run before any long work."""

import errno
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from orimap.cluster.local import ON_THIS_MACHINE
from orimap.flows.pipeline.estimate import estimate, load_that_fits
from orimap.flows.pipeline.plan import Plan
from orimap.flows.pipeline.runtime.workers import check_workers
from orimap.flows.request.allowed import allowed_roots
from orimap.flows.request.request import Request
from orimap.tasks.acquire.formats.signals import Signal
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.decide.choose_k import find_strategy
from orimap.tasks.decide.evidence.published import check_size
from orimap.tasks.errors import InputError
from orimap.tasks.patterns.filters import check_filter
from orimap.tasks.store.groups import complete_mark
from orimap.tasks.store.run_folder import RunFolder, nearest_existing, require_writable
from orimap.tasks.stream.memory import predict_least_disk_bytes


def check(request: Request, opened: Signal | None = None) -> Plan:
    """Open the acquisition, check the whole request, and return the plan of its run.

    Parameters
    ----------
    request : Request
    opened : Signal, optional
        An array of this process that is still to be written as the file of the request.

    Raises
    ------
    InputError
        If something is at fault.
    """
    check_workers(request)
    check_filter(request.filter)
    find_strategy(request.strategy)
    acquisition = open_acquisition(
        request.file, opened=opened, roots=allowed_roots(), **request.reading
    )
    plan = Plan.of(request, acquisition)
    if request.cluster in ON_THIS_MACHINE and request.profile is None:
        load_that_fits(request, plan.load)
    if request.strategy == "published":
        check_size(plan.load.scan_shape)
    return plan


def check_place(plan: Plan, beside: int = 0) -> bool:
    """Check the folder of the results: that it can be written, and what is surely needed is free.

    Parameters
    ----------
    plan : Plan
    beside : int
        Bytes that lie there as well while the run takes.

    Returns
    -------
    bool
        Whether the complete results of this very request are there already.

    Raises
    ------
    InputError
        If the folder cannot be written, or the disk is too small.
    """
    from orimap.flows.pipeline.results import holds

    request = plan.request
    require_writable(request.output)
    if not request.restart and holds(RunFolder(request.output), plan):
        return True
    check_disk(plan, beside)
    return False


def check_disk(plan: Plan, beside: int = 0) -> None:
    """Check that what a run surely needs is free on the disk.

    Parameters
    ----------
    plan : Plan
    beside : int
        Bytes that lie there as well while the run takes.

    Raises
    ------
    InputError
        If it is not, with the space that is needed and the space that is free.
    """
    space = disk_space(plan)
    if space.least + beside > space.free:
        from orimap.tasks.report.words import bytes_text

        raise InputError(
            f"at least {bytes_text(space.least + beside)} of disk space for the results in "
            f"{plan.request.output}, and up to {bytes_text(space.most + beside)}",
            f"{bytes_text(space.free)} free on the disk of {nearest_existing(plan.request.output)}",
            "free some space, or choose a folder on another disk with --output",
        )


@dataclass(frozen=True)
class DiskSpace:
    """What a run needs of the disk, in bytes.

    Parameters
    ----------
    least, most : int
        That the results surely take, and that they take if nothing compresses.
    free : int
    """

    least: int
    most: int
    free: int


def disk_space(plan: Plan) -> DiskSpace:
    """Return what the results may still take, beside what is there already, and what is free."""
    load, folder = plan.load, RunFolder(plan.request.output)
    most, packed, ks = estimate(plan).disk_bytes, plan.packed_bytes, plan.ks[-1]
    mark = plan.ingest_fingerprint
    reusable = not plan.request.restart
    if reusable and complete_mark(folder.patterns(mark), "raw") == mark:
        most -= math.prod(load.scan_shape) * load.pattern_bytes
        packed = 0.0
    if reusable and any(
        (store / "fits").is_dir() for store in (folder.analysis, folder.published_analysis)
    ):
        ks = 0  # some of the fits may be there
    least = predict_least_disk_bytes(load.scan_shape, load.pattern_bytes, packed, ks)
    free = shutil.disk_usage(nearest_existing(plan.request.output)).free
    # Of a tiny scan, pages take more than its patterns and fits.
    return DiskSpace(least, max(most, least), free)


def disk_warning(plan: Plan, beside: int = 0) -> str | None:
    """Return what to say where the results may not fit; a run is not refused for what may be."""
    space = disk_space(plan)
    if space.most + beside <= space.free:
        return None
    from orimap.tasks.report.words import bytes_text

    return (
        f"The results may take up to {bytes_text(space.most + beside)}, and "
        f"{bytes_text(space.free)} are free on the disk of {plan.request.output}."
    )


class DiskFullError(OSError):
    """The disk of the results became full; what is there stays, and the next run goes on."""


@contextmanager
def saying_what_is_needed(plan: Plan) -> Iterator[None]:
    """Say of a disk that becomes full how much is needed, and what to do.

    Raises
    ------
    DiskFullError
    """
    before = disk_space(plan)
    try:
        yield
    except Exception as error:
        full = full_disk(error)
        if full is None:
            raise
        from orimap.tasks.report.words import bytes_text

        place = nearest_existing(plan.request.output)
        free = shutil.disk_usage(place).free
        disk = os.statvfs(place)
        if disk.f_files and not disk.f_favail:
            what = (
                f"the disk of {plan.request.output} takes no further files, though "
                f"{bytes_text(free)} are free: all of its inodes are in use"
            )
            first = "Remove files"
        else:
            what = (
                f"no space is left on the disk of {plan.request.output}: this run needs at least "
                f"{bytes_text(before.least)} and up to {bytes_text(before.most)}, "
                f"{bytes_text(before.free)} were free when it began, {bytes_text(free)} are now"
            )
            first = "Free some space"
        raise DiskFullError(
            full.errno,
            f"{what}; earlier results are as they were. {first} and give the same command again: "
            "it goes on where this one stopped; or choose a folder on another disk with --output",
        ) from error


def full_disk(error: BaseException | None) -> OSError | None:
    """Return the error of a full disk, or of a quota, among what caused an error."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return error
        error = error.__cause__ or error.__context__
    return None
