"""The one definition of the pipeline: from an acquisition to a decided k, maps and a report."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from orimap.cluster.processes.leftovers import clear_temporary
from orimap.flows.pipeline import results
from orimap.flows.pipeline.check import check, check_disk, disk_warning, saying_what_is_needed
from orimap.flows.pipeline.estimate import load_that_fits, predicted_seconds, predicted_steps
from orimap.flows.pipeline.index import index_complete
from orimap.flows.pipeline.plan import Plan
from orimap.flows.pipeline.refusal import tidy_after_refusal
from orimap.flows.pipeline.runtime.helpers import open_workers_and_helpers
from orimap.flows.pipeline.runtime.measure import Measurement, machine, versions
from orimap.flows.pipeline.runtime.run import Decided, Prepared, Run
from orimap.flows.pipeline.runtime.runner import StepRunner
from orimap.flows.pipeline.steps import conclude, decide, factorise, older_rules, prepare
from orimap.flows.pipeline.steps.orientations import (
    NOTHING,
    earlier_indexing,
    index_clusters,
    is_indexed,
    not_indexed_facts,
)
from orimap.flows.request.request import INDEX_FIELDS, Request
from orimap.tasks.errors import words_of
from orimap.tasks.index.indexing import Indexing
from orimap.tasks.store.groups import complete_mark, remove_group
from orimap.tasks.store.leftovers import clear_folder
from orimap.tasks.store.run_folder import RunFolder, only_writer
from orimap.tasks.store.variables import ORIENTATIONS
from orimap.tasks.stream.blocks import Progress

T = TypeVar("T")


class Step(Protocol):
    """Calls a step by its name, and gives back what the step returns."""

    def __call__(self, name: str, work: Callable[[Run, Progress], T]) -> T:
        """Run one step and measure it."""


def run_pipeline(request: Request, runner: StepRunner, opened: Any = None) -> Path:
    """Take one acquisition from file to report; ``runner`` calls each step.

    Parameters
    ----------
    request : Request
    runner : StepRunner
    opened : (distributed.Client, Executor), optional
        Workers and helpers that are open already (`open_workers_and_helpers`); by default those
        that the request asks for are opened.

    Returns
    -------
    Path
        The folder of the results.

    Raises
    ------
    InputError
        If the request or the input is at fault; before any long work, wherever it can be known.
    """
    plan = check(request)
    with only_writer(request.output), tidy_after_refusal(request.output):
        folder = RunFolder(request.output)
        folder.tell = runner.note
        clear_temporary()
        clear_folder(request.output)
        folder.recover()
        there = not request.restart and results.is_complete(folder, plan.fingerprint, request.keep)
        if there and _is_as_asked(plan, folder, runner):
            results.keep_only(folder, request.keep)
            return request.output
        check_disk(plan)
        for warning in (disk_warning(plan), results.lost_fits(folder, plan.ks)):
            if warning is not None:
                runner.note(warning)
        with saying_what_is_needed(plan):
            folder.prepare()
            if request.restart:
                folder.discard()
                folder.prepare()
            failed = _analyse(plan, folder, runner, opened)
            folder.publish()
            results.keep_only(folder, request.keep)
            if failed is not None:
                raise failed
    return request.output


def _is_as_asked(plan: Plan, folder: RunFolder, runner: StepRunner) -> bool:
    """Have complete results indexed as it is asked; False where unfinished work would be lost."""
    if plan.indexing is None or is_indexed(folder.published_analysis, plan.indexing):
        runner.note(f"{plan.request.output} already holds the results of this request.")
        return True
    if results.unfinished_work(folder):
        return False
    index_complete(folder, plan.indexing, runner, plan.request)
    return True


def _analyse(plan: Plan, folder: RunFolder, runner: StepRunner, opened: Any) -> Exception | None:
    """Call the steps one after the other; return what went wrong where all but indexing is done."""
    measured = Measurement()
    workers = (
        nullcontext(opened)
        if opened
        else open_workers_and_helpers(plan.request, runner.note, threads=plan.load.threads)
    )
    with measured_steps(plan.request, folder, runner, workers, measured) as (run, step):
        plan = replace(plan, load=load_that_fits(plan.request, plan.load, run.client))
        if plan.indexing is None:
            plan = replace(plan, indexing=_indexed_before(plan, run))
        runner.expect(predicted_seconds(plan, len(run.client.nthreads())))
        ingested = step("ingest", partial(prepare.ingest, plan=plan))
        centred = step("centre", partial(prepare.centre, ingested=ingested))
        prepared = step(
            "filter", partial(prepare.filter_patterns, ingested=ingested, centred=centred)
        )
        decided = _decide(plan, prepared, run, measured, step)
        measured.predicted(predicted_steps(plan.request, plan.load, len(run.client.nthreads())))
        name = plan.acquisition.path.name
        failed = complete(run, decided, plan.fingerprint, measured, step, name, plan.indexing)
        report(run, measured)
    return failed


def _indexed_before(plan: Plan, run: Run) -> Indexing | None:
    """Return what the clusters are indexed with where the request does not say it.

    That of the results which are replaced, if they are of the same patterns.
    """
    fields = {name: Request.model_fields[name].default for name in INDEX_FIELDS}
    told = [name for name, usual in fields.items() if getattr(run.request, name) != usual]
    if told:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in told)
        run.note(f"Of no effect without --crystal: {options}.")
    analysis = run.folder.published_analysis
    indexing, why = earlier_indexing(analysis)
    if (indexing or why) and complete_mark(analysis, "acquisition") != plan.ingest_fingerprint:
        indexing = None
        why = (
            "The orientations of the earlier results are left out, since these are of other "
            "patterns. Give --crystal to have the clusters indexed."
        )
    if why:
        run.note(why)
    return indexing


def _decide(plan: Plan, prepared: Prepared, run: Run, measured: Measurement, step: Step) -> Decided:
    """Fit and score every k and decide; look at more k where the best one touches an edge."""
    ks: Sequence[int] = plan.ks
    while True:
        fitted = step("sketch", partial(factorise.sketch, prepared=prepared, ks=ks))
        with measured.step("fit") as record:
            factorise.fit(run, fitted)
            record["reused"] = "fit" in run.reused
        step("score", partial(factorise.score, fitted=fitted))
        if run.request.strategy == "published":
            step("published", partial(older_rules.fit_as_published, prepared=prepared))
        decided = step("decide", partial(decide.decide, fitted=fitted))
        more = decide.widened(plan, decided)
        if more is None:
            return decided
        run.note(
            f"The best k ({decided.fitted_k}) touches the edge of {fitted.ks[0]} to "
            f"{fitted.ks[-1]}: looking at {more[0]} to {more[-1]}."
        )
        ks = more


@contextmanager
def measured_steps(
    request: Request,
    folder: RunFolder,
    runner: StepRunner,
    workers: Any,
    measured: Measurement,
) -> Iterator[tuple[Run, Step]]:
    """Open workers and helpers; give the run, and what calls a step on them and measures it."""
    with measured, workers as (client, helpers):
        run = Run(request, folder, runner, client, helpers)
        if client.dashboard_link:
            runner.note(f"Dask dashboard: {client.dashboard_link}")

        def step(name: str, work: Callable[[Run, Progress], T]) -> T:
            with measured.step(name) as record:
                result = runner.step(name, lambda progress: work(run, progress))
                record["reused"] = name in run.reused
            return result

        yield run, step


def complete(
    run: Run,
    decided: Decided,
    mark: str,
    measured: Measurement,
    step: Step,
    acquisition: str,
    indexing: Indexing | None,
) -> Exception | None:
    """Draw the maps of the decided fit and index; complete the results of a named acquisition.

    Returns
    -------
    Exception or None
        What went wrong as the clusters were indexed. The results are whole without: to be raised
        once they are in place.
    """
    step("clusters", partial(conclude.map_clusters, decided=decided))
    if run.request.filter == "epattern":
        step("reflections", partial(conclude.map_reflections, decided=decided))
    step("baseline", partial(conclude.compare_baseline, decided=decided))
    not_indexed, failed = None, None
    if indexing is None:
        remove_group(run.folder.analysis, ORIENTATIONS.path)  # left by another request
    else:
        store = decided.fitted.prepared.store
        try:
            not_indexed = step("index", partial(index_clusters, patterns=store, indexing=indexing))
        except Exception as error:
            failed = error
            remove_group(run.folder.analysis, ORIENTATIONS.path)
            why = f"{NOTHING}: an error came up ({words_of(error)}). All else is whole."
            not_indexed = not_indexed_facts(indexing, None, why)  # to be tried again
            run.note(why)
    run.runner.table("decision", decide.decision_rows(run, decided.fitted.ks))
    remarks = conclude.remarks(run, decided)
    measured.facts(
        request=run.request.model_dump(mode="json"),
        versions=versions(),
        machine=machine(),
        dashboard=run.client.dashboard_link,
        notes=remarks,
    )
    results.finish(run, decided, mark, acquisition, remarks, not_indexed)
    return failed


def report(run: Run, measured: Measurement) -> None:
    """Write the report and the record of the run beside results that are complete."""
    with measured.step("report"):
        run.runner.step("report", lambda _progress: results.write_report(run, measured))
    results.write_record(run, measured)
    for figure in sorted((run.folder.unfinished / "figures").glob("*.png")):
        run.runner.image(figure.stem, figure)
