"""Decide anew over the fits of a finished run, and draw what follows; nothing is fitted again.

The file of the acquisition is not needed: the patterns and everything that the fits were made with
are in the folder, and so are the fingerprints of its groups.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import zarr

from orimap.flows.pipeline.pipeline import complete, measured_steps, report
from orimap.flows.pipeline.plan import request_fingerprint
from orimap.flows.pipeline.results import root_of, unfinished_work
from orimap.flows.pipeline.runtime.helpers import open_workers_and_helpers
from orimap.flows.pipeline.runtime.measure import Measurement
from orimap.flows.pipeline.runtime.run import Fitted, Ingested, Prepared, Run
from orimap.flows.pipeline.runtime.runner import StepRunner
from orimap.flows.pipeline.runtime.workers import NOTHING_ASKED, are_threads
from orimap.flows.pipeline.steps import older_rules
from orimap.flows.pipeline.steps.decide import decide
from orimap.flows.pipeline.steps.orientations import earlier_indexing
from orimap.flows.pipeline.steps.prepare import is_centred
from orimap.flows.request.names import with_new_names
from orimap.flows.request.request import Request, laid_over
from orimap.tasks.decide.choose_k import find_strategy
from orimap.tasks.decide.evidence.published import check_size
from orimap.tasks.errors import InputError
from orimap.tasks.factorise import stored_fits
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.store.groups import complete_mark, group_attributes, open_group
from orimap.tasks.store.run_folder import RunFolder, only_writer
from orimap.tasks.store.whole.results import require_whole_results
from orimap.tasks.stream.blocks import Progress

# Where the fits were computed does not matter for the decision: it is made here.
HERE = {**NOTHING_ASKED, "restart": False}


@dataclass(frozen=True)
class Answer:
    """What was decided.

    Parameters
    ----------
    patterns : int
        Number of distinct patterns.
    components : int
        Of the fit that is used.
    strategy, confidence : str
    reasons : list of str
    crystal : bool
        Whether there is one at all.
    countable : bool
        Whether there are enough positions to count.
    """

    patterns: int
    components: int
    strategy: str
    confidence: str
    reasons: list[str]
    crystal: bool
    countable: bool

    @classmethod
    def of(cls, analysis: Path) -> "Answer":
        """Read the answer that a decision has in a store of results."""
        decision = open_group(analysis, "decision")
        facts = decision.attrs
        components = int(facts["fitted_k"])
        # With maps there may be fewer (strongest nowhere) or more (split).
        patterns = int(facts.get("chosen_patterns", decision["k_distinct"].sel(k=components)))
        with suppress(FileNotFoundError):
            patterns = int(open_group(analysis, "clusters").sizes["cluster"])
        return cls(
            patterns,
            components,
            facts["strategy"],
            facts["confidence"],
            facts["reasons"],
            # Earlier versions did not ask.
            bool(facts.get("crystal_found", True)),
            bool(facts.get("countable", True)),
        )


def redecide(
    directory: Path, changes: Mapping[str, Any], runner: StepRunner, *, dry_run: bool = False
) -> tuple[Answer, Answer]:
    """Decide anew from the fits in the folder of a finished run.

    Parameters
    ----------
    directory : Path
    changes : mapping
        Fields of the request that are to be others than stored. A strategy without a number
        (``distinct``, ``components``) decides, even where one was asked for before.
    runner : StepRunner
    dry_run : bool
        Decide, and leave the results as they are.

    Returns
    -------
    before, after : Answer

    Raises
    ------
    InputError
        If the folder does not hold complete results with all their fits and patterns, or if the
        changes are at fault. The results stay as they are.
    """
    root_of(RunFolder(directory))
    with only_writer(directory):
        folder = RunFolder(directory)
        folder.recover()
        require_whole_results(directory, sums=True)
        root = root_of(folder)
        request = _changed_request(root["request"], changes, directory)
        fitted = _stored_fits(folder, request)
        _check(request, fitted, folder)
        before = Answer.of(folder.published_analysis)
        folder.discard()
        folder.prepare()
        try:
            _decide_anew(request, fitted, folder, runner, root["acquisition"], dry_run=dry_run)
            after = Answer.of(folder.analysis)
        except BaseException:
            folder.discard()
            raise
        if dry_run:
            folder.discard()
        else:
            folder.publish()
    return before, after


def _decide_anew(
    request: Request,
    fitted: Fitted,
    folder: RunFolder,
    runner: StepRunner,
    acquisition: str,
    *,
    dry_run: bool,
) -> None:
    """Call the steps from the decision to the report."""
    measured = Measurement()
    raw = zarr.open_array(fitted.prepared.store, path="raw/pattern_intensity", mode="r")
    threads = are_threads(request, raw.nbytes)
    workers = open_workers_and_helpers(request, runner.note, threads=threads)
    with measured_steps(request, folder, runner, workers, measured) as (run, step):
        indexing, lost = earlier_indexing(folder.published_analysis)
        indexed = indexing is not None
        runner.expect(_expected(request, folder, indexed=indexed, dry_run=dry_run))
        step("stored fits", partial(_take_fits, fitted=fitted))
        run.note(
            f"Decided anew from stored fits of {fitted.ks[0]} to {fitted.ks[-1]} components; "
            "nothing was fitted again."
        )
        if request.strategy == "published":
            step("published", partial(older_rules.fit_as_published, prepared=fitted.prepared))
        decided = step("decide", partial(decide, fitted=fitted))
        if dry_run:
            return
        if lost:
            run.note(lost)
        asked = request_fingerprint(request, fitted.prepared.ingested.fingerprint)
        # A run that is asked for the same could look at other k: it would not end here.
        mark = fingerprint(asked=asked, ks=fitted.ks, by="decide")
        complete(run, decided, mark, measured, step, acquisition, indexing)
        report(run, measured)


def _expected(
    request: Request, folder: RunFolder, *, indexed: bool, dry_run: bool
) -> dict[str, float]:
    """Return about how long each step takes: as long as when the results were made."""
    earlier: dict[str, float] = {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        steps = json.loads((folder.root / "run.json").read_text())["steps"]
        earlier = {step["name"]: float(step["seconds"]) for step in steps}
    published = ["published"] if request.strategy == "published" else []
    reflections = ["reflections"] if request.filter == "epattern" else []
    index = ["index"] if indexed else []
    drawn = [] if dry_run else ["clusters", *reflections, "baseline", *index, "report"]
    names = ["stored fits", *published, "decide", *drawn]
    return {name: earlier.get(name, 0.0) for name in names}


def _changed_request(stored: dict[str, Any], changes: Mapping[str, Any], output: Path) -> Request:
    """Return the stored request with changes; the folder may have been moved since."""
    fields = with_new_names({**stored, **HERE, "output": output})
    if "strategy" in changes:
        fields |= {"distinct": None, "components": None}
    return Request.read(**laid_over(fields, changes))


def _stored_fits(folder: RunFolder, request: Request) -> Fitted:
    """Return the fits of finished results, with the fingerprints of what they were made from.

    Raises
    ------
    InputError
        If the patterns or one of the fits are not there any more.
    """
    analysis, prepared = folder.published_analysis, stored_patterns(folder, request)
    ks = [int(k) for k in open_group(analysis, "decision")["k"].values]
    fits = [stored_fits.fit_group(k) for k in ks]
    found = {group: complete_mark(analysis, group) for group in ("analysed", "sketch", *fits)}
    missing = [group for group, mark in found.items() if mark is None]
    if missing:
        raise InputError(
            f"every fit of {ks[0]} to {ks[-1]} components, complete, in {analysis}",
            f"no {', '.join(missing)}",
            "run orimap run again with the acquisition's file: it makes what is missing",
        )
    return Fitted(prepared, tuple(ks), ks[-1], str(found["sketch"]), request.l1)


def stored_patterns(folder: RunFolder, request: Request) -> Prepared:
    """Return the patterns of finished results, with their fingerprints.

    Raises
    ------
    InputError
        If they are not there any more.
    """
    analysis, patterns = folder.published_analysis, folder.root / "patterns.zarr"
    ingest = complete_mark(patterns, "raw")
    if ingest is None or ingest != complete_mark(analysis, "acquisition"):
        raise InputError(
            f"the patterns that were analysed ({patterns}), for the mean pattern of each cluster",
            "others" if ingest else "none that are complete",
            "run orimap run again with the acquisition's file and --keep fits; what is still valid "
            "is used again",
        )
    # Earlier versions did not say so, and kept the sketch of the training half.
    half = complete_mark(analysis, "sketch_training") is not None
    counts = bool(group_attributes(analysis, "sketch").get("counts", half))
    return Prepared(
        Ingested(patterns, ingest, counts),
        is_centred(request, open_group(patterns, "beam").attrs),
        request.filter,
        request.epattern_profile,
        str(complete_mark(analysis, "analysed")),
    )


def _check(request: Request, fitted: Fitted, folder: RunFolder) -> None:
    """Check all that can be known before any work.

    Raises
    ------
    InputError
        If the strategy or the number asked for cannot be had, or work would be lost.
    """
    find_strategy(request.strategy)
    forced, last = request.components, fitted.ks[-1]
    if forced is not None and forced not in fitted.ks:
        raise InputError(
            f"a number of components that was fitted ({fitted.ks[0]} to {fitted.ks[-1]})",
            f"--components {forced}",
            f"choose one of these, or fit it as well: orimap run ... --k with {forced} in it",
        )
    if request.distinct is not None and request.distinct > last:
        raise InputError(
            f"no more distinct patterns than the largest fit has components ({last})",
            f"--distinct {request.distinct}",
            f"choose a smaller one, or fit more: orimap run ... --k {fitted.ks[0]}:"
            f"{request.distinct + 2}",
        )
    if request.strategy == "published":
        check_size(fitted.prepared.patterns.scan_shape)
    if unfinished_work(folder):
        raise InputError(
            "a folder in which no run was interrupted",
            f"the unfinished work of one in {folder.unfinished}",
            "finish that run with the same command as before, or remove this folder",
        )


def _take_fits(run: Run, progress: Progress, fitted: Fitted) -> None:
    """Take over what was made before the decision, as it is."""
    prepared = fitted.prepared
    sketch, *training = prepared.sketch_groups
    marks = {"acquisition": prepared.ingested.fingerprint, "analysed": prepared.fingerprint}
    marks |= {sketch: fitted.sketch}
    marks |= {stored_fits.fit_group(k): fitted.score_fingerprint(k) for k in fitted.ks}
    # Of use to a run that fits more; without --keep all they are not there.
    for group in training:
        run.folder.reuse(group, fitted.sketch)
    for k in fitted.ks:
        run.folder.reuse(stored_fits.basis_fit_group(k), fitted.fit_fingerprint(k))
    for done, (group, mark) in enumerate(marks.items(), start=1):
        if not run.folder.reuse(group, mark):
            raise InputError(
                f"the group /{group} of the results, complete",
                "none",
                "run orimap run again with the acquisition's file: it makes what is missing",
            )
        progress(done, len(marks))
    run.reused.add("stored fits")
