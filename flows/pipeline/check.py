"""Check all that can be known of a run before any long work."""

import math
import shutil

from orimap.cluster.local import ON_THIS_MACHINE
from orimap.flows.pipeline.estimate import estimate, load_that_fits
from orimap.flows.pipeline.plan import Plan
from orimap.flows.pipeline.runtime.workers import check_workers
from orimap.flows.request.request import Request
from orimap.tasks.acquire.formats.signals import Signal
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.decide.choose_k import find_strategy
from orimap.tasks.decide.evidence.published import check_size
from orimap.tasks.errors import InputError
from orimap.tasks.patterns.filters import check_filter
from orimap.tasks.store.groups import complete_mark
from orimap.tasks.store.run_folder import RunFolder, nearest_existing, require_writable


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
    acquisition = open_acquisition(request.file, opened=opened, **request.reading)
    plan = Plan.of(request, acquisition)
    if request.cluster in ON_THIS_MACHINE and request.profile is None:
        load_that_fits(request, plan.load)
    if request.strategy == "published":
        check_size(plan.load.scan_shape)
    return plan


def check_place(plan: Plan, beside: int = 0) -> bool:
    """Check the folder of the results: that it can be written, and that all fits on its disk.

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
    from orimap.flows.pipeline.results import is_complete

    request = plan.request
    require_writable(request.output)
    folder = RunFolder(request.output)
    if not request.restart and is_complete(folder, plan.fingerprint, request.keep):
        return True
    check_disk(plan, beside)
    return False


def check_disk(plan: Plan, beside: int = 0) -> None:
    """Check that the results of a run fit on the disk, even if nothing compresses.

    Parameters
    ----------
    plan : Plan
    beside : int
        Bytes that lie there as well while the run takes.

    Raises
    ------
    InputError
        If they may not, with the space that is needed and the space that is free.
    """
    needed, free = disk_needed_and_free(plan)
    needed += beside
    if needed > free:
        from orimap.tasks.report.words import bytes_text

        raise InputError(
            f"up to {bytes_text(needed)} of disk space for the results in {plan.request.output}",
            f"{bytes_text(free)} free on the disk of {nearest_existing(plan.request.output)}",
            "free some space, or choose a folder on another disk with --output",
        )


def disk_needed_and_free(plan: Plan) -> tuple[int, int]:
    """Return the bytes that the results may still take, at most, and those that are free."""
    needed = estimate(plan).disk_bytes
    mark = plan.ingest_fingerprint
    reusable = not plan.request.restart
    if reusable and complete_mark(RunFolder(plan.request.output).patterns(mark), "raw") == mark:
        needed -= math.prod(plan.load.scan_shape) * plan.load.pattern_bytes
    return needed, shutil.disk_usage(nearest_existing(plan.request.output)).free


def disk_warning(plan: Plan) -> str | None:
    """Return what to say where the results may not fit; a run is not refused for what may be."""
    needed, free = disk_needed_and_free(plan)
    if needed <= free:
        return None
    from orimap.tasks.report.words import bytes_text

    return (
        f"The results may take up to {bytes_text(needed)}, and {bytes_text(free)} are free on "
        f"the disk of {plan.request.output}."
    )
