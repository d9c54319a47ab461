"""One acquisition through every filter, side by side: which filter to take, by evidence."""

import contextlib
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zarr

from orimap.cluster.local import available_cores
from orimap.flows.pipeline.check import check
from orimap.flows.pipeline.estimate import predicted_seconds
from orimap.flows.pipeline.pipeline import run_pipeline
from orimap.flows.pipeline.plan import Plan, ingest_fingerprint, request_fingerprint
from orimap.flows.pipeline.refusal import tidy_after_refusal
from orimap.flows.pipeline.runtime.helpers import open_workers_and_helpers
from orimap.flows.pipeline.runtime.runner import Display, NoDisplay, PlainRunner
from orimap.flows.request.request import Request
from orimap.tasks.acquire.acquisition import Acquisition
from orimap.tasks.patterns.filters import FILTERS
from orimap.tasks.report.comparison.compare import Filtered, SeedRun, scores_of, seed_run
from orimap.tasks.report.results import read_results
from orimap.tasks.simulate.truth import Truth, find_truth, read_truth
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.store.groups import complete_mark, link_group
from orimap.tasks.store.run_folder import RunFolder, only_writer
from orimap.tasks.stream.blocks import Progress

# What of the patterns does not depend on the filter, and what not on the seed either.
FOR_EVERY_FILTER = ("raw", "sparse", "beam")
FOR_EVERY_SEED = (*FOR_EVERY_FILTER, "mean")
# Where further seeds are analysed; only numbers stay.
SEEDS_FOLDER = ".seeds"
SEEDS_END = 2**63
# The steps that follow when every filter has been analysed.
FURTHER_SEEDS, COMPARE = "further seeds", "compare"
# The steps whose results all runs of a filter share.
SHARED_STEPS = ("ingest", "centre")


def compare_filters(
    request: Request,
    display: Display,
    analyse: Callable[[Request, Display], Path],
    *,
    seeds: int = 1,
    truth_file: Path | None = None,
) -> Path:
    """Analyse an acquisition through every filter and write one page about it.

    Parameters
    ----------
    request : Request
        Its folder gets a folder for each filter; its filter is not looked at.
    display : Display
    analyse : callable
        Takes one request from file to report.
    seeds : int
        How many seeds each filter is tried with; more than one shows what is chance.
    truth_file : Path, optional
        What the scan is known to hold. Without it, a truth beside the file is looked for.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    InputError
        If the request, the acquisition or the truth is at fault, with any filter.
    """
    requests = {
        name: request.model_copy(update={"filter": name, "output": request.output / name})
        for name in FILTERS
    }
    # What one filter refuses is refused before another has worked for an hour.
    plans = {name: check(asked) for name, asked in requests.items()}
    plan = next(iter(plans.values()))
    acquisition = plan.acquisition
    place = acquisition.scan_shape, request.roi
    truth = read_truth(truth_file, *place) if truth_file else find_truth(request.file, *place)
    parts = [request.output / name for name in FILTERS]
    with only_writer(request.output), tidy_after_refusal(request.output, *parts):
        display.expect(_expected(plans, seeds))
        first = next(iter(requests.values()))
        for name, asked in requests.items():
            if asked is not first:
                _share(first, asked, acquisition, FOR_EVERY_FILTER)
            analyse(asked, Named(display, name))
        further = _further_seeds(requests, plan, display, truth, seeds)
        with display.step(COMPARE):
            page = _write(request, requests, acquisition, truth, truth_file is None, further)
        shutil.rmtree(request.output / SEEDS_FOLDER, ignore_errors=True)
    return page


def _expected(plans: Mapping[str, Plan], seeds: int) -> dict[str, float]:
    """Return about how long each step of the whole comparison takes."""
    steps: dict[str, float] = {}
    again = 0.0
    for number, (name, plan) in enumerate(plans.items()):
        of_run = predicted_seconds(plan, plan.request.workers or available_cores())
        alone = {step: 0.0 if step in SHARED_STEPS else s for step, s in of_run.items()}
        steps |= {Named.of(name, step): s for step, s in (alone if number else of_run).items()}
        again += (seeds - 1) * sum(alone.values())
    return steps | ({FURTHER_SEEDS: again} if seeds > 1 else {}) | {COMPARE: 1.0}


class Named:
    """Shows the steps of one of several runs under the name of that run.

    The display knows the steps of all of them already.
    """

    def __init__(self, display: Display, name: str) -> None:
        self.display = display
        self.name = name

    @staticmethod
    def of(run: str, step: str) -> str:
        """Return what a step of a run is called."""
        return f"{run}: {step}"

    def run(self, first: str) -> contextlib.AbstractContextManager[None]:
        """Leave the line to all runs together."""
        return contextlib.nullcontext()

    def expect(self, seconds: Mapping[str, float]) -> None:
        """Leave the outlook to that of all runs together."""

    def step(self, name: str) -> contextlib.AbstractContextManager[Progress]:
        """Show one step."""
        return self.display.step(self.of(self.name, name))

    def note(self, text: str) -> None:
        """Show a line."""
        self.display.note(f"{self.name}: {text}")


def _share(source: Request, target: Request, acquisition: Acquisition, groups: tuple) -> None:
    """Give a run the patterns that another has taken in, without reading the file again.

    Whether they serve is for that run to find out, by their fingerprints.
    """
    mark = ingest_fingerprint(source, acquisition)
    giver, taker = RunFolder(source.output), RunFolder(target.output)
    with only_writer(target.output):
        taker.recover()
        if complete_mark(taker.patterns(mark), "raw") == mark:
            return
        taker.prepare()
        patterns = taker.unfinished / "patterns.zarr"
        for store, shared in ((patterns, groups), (taker.analysis, ("acquisition",))):
            shutil.rmtree(store, ignore_errors=True)
            zarr.open_group(store, mode="a")
            origin = giver.patterns(mark) if store is patterns else giver.published_analysis
            for group in shared:
                if complete_mark(origin, group) is not None:
                    link_group(origin, store, group)


def _further_seeds(
    requests: Mapping[str, Request],
    plan: Plan,
    display: Display,
    truth: Truth | None,
    seeds: int,
) -> dict[str, list[SeedRun]]:
    """Analyse with further seeds, unless it was done before; return what each came to."""
    known = _known(next(iter(requests.values())).output.parent)
    asked = [
        (name, request.model_copy(update=_another_seed(request, name, number)))
        for name, request in requests.items()
        for number in range(1, seeds)
    ]
    found: dict[str, list[SeedRun]] = {name: [] for name in requests}
    missing = []
    for name, request in asked:
        mark = _seed_mark(request, plan.acquisition, truth)
        if mark in known:
            found[name].append(known[mark])
        else:
            missing.append((name, request, mark))
    if not missing:
        return found
    first = next(iter(requests.values()))
    with (
        display.step(FURTHER_SEEDS) as progress,
        # One set of workers for all of them: starting them takes as long as a small scan.
        open_workers_and_helpers(first, display.note, threads=plan.load.threads) as opened,
    ):
        for done, (name, request, mark) in enumerate(missing, start=1):
            _share(requests[name], request, plan.acquisition, FOR_EVERY_SEED)
            folder = run_pipeline(request, PlainRunner(NoDisplay()), opened)
            results = read_results(folder / "analysis.zarr")
            found[name].append(seed_run(results, request.seed, mark, truth))
            progress(done, len(missing))
    for runs in found.values():
        runs.sort(key=lambda run: run.seed)
    return found


def _another_seed(request: Request, name: str, number: int) -> dict[str, Any]:
    """Return what differs in a request with another seed."""
    seed = (request.seed + number) % SEEDS_END
    return {
        "seed": seed,
        "output": request.output.parent / SEEDS_FOLDER / f"{name}-{seed}",
        "orchestrate": "never",
        "crystals": (),
    }


def _seed_mark(request: Request, acquisition: Acquisition, truth: Truth | None) -> str:
    """Return the fingerprint of what one seed comes to."""
    run = request_fingerprint(request, ingest_fingerprint(request, acquisition))
    return fingerprint(run=run, truth=truth and truth.labels.tobytes().hex())


def _known(folder: Path) -> dict[str, SeedRun]:
    """Return what further seeds came to in an earlier comparison, by their fingerprints."""
    try:
        earlier = json.loads((folder / "comparison.json").read_text())
        runs = [SeedRun(**run) for f in earlier["filters"].values() for run in f["seeds"]]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {run.mark: run for run in runs}


def _write(
    request: Request,
    requests: Mapping[str, Request],
    acquisition: Acquisition,
    truth: Truth | None,
    truth_found: bool,
    further: Mapping[str, list[SeedRun]],
) -> Path:
    """Collect what every filter came to, and write the page."""
    from orimap.tasks.report.comparison.page import write_comparison

    filters = []
    for name, asked in requests.items():
        results = read_results(asked.output / "analysis.zarr")
        own = seed_run(results, asked.seed, _seed_mark(asked, acquisition, truth), truth)
        run = json.loads((asked.output / "run.json").read_text())
        filters.append(
            Filtered(name, results, run, [own, *further[name]], scores_of(results, truth))
        )
    return write_comparison(
        request.output,
        filters,
        truth,
        request=request.model_dump(mode="json", exclude={"filter"}),
        truth_found=truth_found,
    )
