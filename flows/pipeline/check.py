"""Check all that can be known of a run before any long work."""

from orimap.cluster.local import ON_THIS_MACHINE
from orimap.flows.pipeline.estimate import load_that_fits
from orimap.flows.pipeline.plan import Plan
from orimap.flows.pipeline.runtime.workers import check_workers
from orimap.flows.request.request import Request
from orimap.tasks.acquire.formats.signals import Signal
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.decide.choose_k import find_strategy
from orimap.tasks.decide.evidence.published import check_size
from orimap.tasks.patterns.filters import check_filter


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
