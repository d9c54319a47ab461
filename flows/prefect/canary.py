"""A simulated scan that goes the whole way: from a file that appears to a decision, and right."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from prefect import flow, get_run_logger

from orimap.flows.jobs.outcome import Outcome, read_outcome
from orimap.flows.jobs.page import RESULTS_VARIABLE
from orimap.flows.request.allowed import allowed_roots, under_root
from orimap.tasks.acquire.arrivals.sidecar_name import sidecar_names
from orimap.tasks.errors import InputError
from orimap.tasks.simulate.recipe import ScanRecipe

# The folder that is watched, as orimap up names it.
WATCHED_VARIABLE = "ORIMAP_WATCHED"
FOLDER = "orimap-canary"
# Analysed within half a minute where the machine is free; clear enough to be decided for certain.
RECIPE = ScanRecipe(scan=(12, 16), detector=(64, 64), grains=3, dose=5000, seed=4)
OPTIONS = "k: 1:8\n"
LOOK_SECONDS = 2.0


class CanaryError(RuntimeError):
    """The canary did not come to the decision that its truth says: look before the next scan."""


@flow(name="canary", persist_result=False)
def canary(watched: Path | None = None, results: Path | None = None, minutes: float = 60) -> int:
    """Simulate a scan into the watched folder, wait for its decision, compare it with the truth.

    Parameters
    ----------
    watched : Path
        The folder that is watched; by default ORIMAP_WATCHED in the environment of the worker.
    results : Path
        Where results go; by default ORIMAP_RESULTS.
    minutes : float
        How long the decision may take; other acquisitions may come first.

    Returns
    -------
    int
        The number of clusters, which is right.

    Raises
    ------
    CanaryError
        If there is no decision in time, or a wrong one.
    """
    logger = get_run_logger()
    source = _folder(watched, WATCHED_VARIABLE) / FOLDER
    name = f"canary-{datetime.now(UTC):%Y%m%dT%H%M%S}.hspy"
    path = source / name
    truth = _simulate(path)
    logger.info(f"{path} holds {truth} grains; waiting for its decision")
    output = _folder(results, RESULTS_VARIABLE) / FOLDER / name
    outcome = _wait(output, minutes)
    if outcome.state != "done" or not outcome.checked:
        raise CanaryError(f"the canary was not analysed: {outcome.reason}; {outcome.remedy}")
    if outcome.decided_k != truth:
        raise CanaryError(
            f"the canary holds {truth} grains, and {outcome.decided_k} were decided; look at "
            f"{outcome.report} before trusting the next decision"
        )
    logger.info(f"{outcome.decided_k} clusters, as the truth says: {outcome.report}")
    return truth


def _folder(given: Path | None, variable: str) -> Path:
    """Return a folder from a parameter or the environment, if it lies under the allowed roots."""
    named = given or os.environ.get(variable)
    if named is None:
        raise InputError(
            f"the folder that {variable} names",
            "it is not set where the worker runs",
            "set it, or give the canary its parameters watched and results",
        )
    return under_root(named, allowed_roots())


def _simulate(path: Path) -> int:
    """Write the scan, its options beside it, the scan itself last; return how many grains."""
    from orimap.tasks.simulate.write_scan import write_scan

    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(sidecar_names(path)[0]).write_text(OPTIONS)
    write_scan(RECIPE, path)
    return RECIPE.grains


def _wait(output: Path, minutes: float) -> Outcome:
    last = time.monotonic() + 60 * minutes
    while time.monotonic() < last:
        outcome = read_outcome(output)
        if outcome is not None:
            return outcome
        time.sleep(LOOK_SECONDS)
    raise CanaryError(
        f"no decision in {output} after {minutes:g} minutes: look at the watcher (orimap status), "
        "the worker and the page of this deployment"
    )
