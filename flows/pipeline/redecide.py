"""Decide anew over the fits of a finished run, and draw what follows; nothing is fitted again.

The file of the acquisition is not needed: the patterns and everything that the fits were made with
are in the folder, and so are the fingerprints of its groups.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zarr

from orimap.flows.pipeline.pipeline import (
    complete,
    decide_number,
    measured_steps,
    report,
    request_mark,
)
from orimap.flows.pipeline.runtime.measure import Measurement
from orimap.flows.pipeline.runtime.run import Run
from orimap.flows.pipeline.runtime.runner import StepRunner
from orimap.flows.pipeline.runtime.workers import NOTHING_ASKED
from orimap.flows.pipeline.steps.prepare import is_centred
from orimap.flows.request.request import Request
from orimap.tasks.decide.choose_k import find_strategy
from orimap.tasks.decide.evidence.published import check_size
from orimap.tasks.errors import InputError
from orimap.tasks.factorise import stored_fits
from orimap.tasks.store.groups import complete_mark, fingerprint, open_group
from orimap.tasks.store.run_folder import RunFolder, only_writer
from orimap.tasks.stream.blocks import Progress

# How the fits were computed has no say in how the decision is.
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
    """

    patterns: int
    components: int
    strategy: str
    confidence: str
    reasons: list[str]

    @classmethod
    def of(cls, analysis: Path) -> "Answer":
        """Read the answer that a decision has in a store of results."""
        decision = open_group(analysis, "decision")
        facts = decision.attrs
        components = int(facts["fitted_k"])
        # With maps there may be fewer (strongest nowhere) or more (split).
        patterns = int(decision["k_distinct"].sel(k=components))
        with suppress(FileNotFoundError):
            patterns = int(open_group(analysis, "clusters").sizes["cluster"])
        return cls(patterns, components, facts["strategy"], facts["confidence"], facts["reasons"])


def redecide(
    directory: Path, changes: Mapping[str, Any], runner: StepRunner, *, dry_run: bool = False
) -> tuple[Answer, Answer]:
    """Decide anew from the fits in the folder of a finished run.

    Parameters
    ----------
    directory : Path
    changes : mapping
        Fields of the request that are to be others than stored. A strategy without ``decided_k``
        decides, even where a number was forced before.
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
    _root(RunFolder(directory))
    with only_writer(directory):
        folder = RunFolder(directory)
        folder.recover()
        root = _root(folder)
        run = _stored_run(folder, _changed_request(root["request"], changes, directory), runner)
        _check(run)
        before = Answer.of(folder.published_analysis)
        folder.discard()
        folder.prepare()
        try:
            _decide_anew(run, root["acquisition"], dry_run=dry_run)
            after = Answer.of(folder.analysis)
        except BaseException:
            folder.discard()
            raise
        if dry_run:
            folder.discard()
        else:
            folder.publish()
    return before, after


def _decide_anew(run: Run, acquisition: str, *, dry_run: bool) -> None:
    """Call the steps from the decision to the report."""
    measured = Measurement()
    with measured_steps(run, measured) as step:
        step("stored fits", _take_fits)
        run.note(
            f"Decided anew from stored fits of {run.ks[0]} to {run.ks[-1]} components; nothing was "
            "fitted again."
        )
        decide_number(run, step)
        if dry_run:
            return
        asked = request_mark(run.request, run.marks["ingest"])
        # A run that is asked for the same could look at other k: it would not end here.
        complete(run, fingerprint(asked=asked, ks=run.ks, by="decide"), measured, step, acquisition)
    report(run, measured)


def _root(folder: RunFolder) -> dict[str, Any]:
    """Return what the root of complete results tells.

    Raises
    ------
    InputError
        If there are none.
    """
    root: dict[str, Any] = {}
    with suppress(FileNotFoundError):
        root = dict(zarr.open_group(folder.published_analysis, mode="r").attrs)
    if root.get("status") == "complete":
        return root
    if not folder.root.is_dir():
        found = f"there is no folder {folder.root}"
    elif (folder.unfinished / "moving").exists():
        return root  # about to be put in place
    else:
        found = f"{folder.root} holds none that are complete"
    raise InputError(
        "the folder of a finished run, with analysis.zarr in it",
        found,
        "name the folder that was given to orimap run as --output, or let that run finish",
    )


def _changed_request(stored: dict[str, Any], changes: Mapping[str, Any], output: Path) -> Request:
    """Return the stored request with changes; the folder may have been moved since."""
    fields = {**stored, **HERE, "output": output}
    if "strategy" in changes:
        fields["decided_k"] = None
    return Request.read(**fields | dict(changes))


def _stored_run(folder: RunFolder, request: Request, runner: StepRunner) -> Run:
    """Return the run whose results are in a folder, with the fingerprints of its groups.

    Raises
    ------
    InputError
        If its patterns or one of its fits are not there any more.
    """
    analysis, patterns = folder.published_analysis, folder.root / "patterns.zarr"
    ingest = complete_mark(patterns, "raw")
    if ingest is None or ingest != complete_mark(analysis, "acquisition"):
        raise InputError(
            f"the patterns that were analysed ({patterns}), for the mean pattern of each cluster",
            "others" if ingest else "none that are complete",
            "run orimap run again with the acquisition's file; what still holds is used again",
        )
    ks = [int(k) for k in open_group(analysis, "decision")["k"].values]
    groups = {"filter": "analysed", "sketch": "sketch"}
    groups |= {f"fit{k}": stored_fits.basis_fit_group(k) for k in ks}
    groups |= {f"score{k}": stored_fits.fit_group(k) for k in ks}
    marks = {name: complete_mark(analysis, group) for name, group in groups.items()}
    missing = [group for name, group in groups.items() if marks[name] is None]
    if missing:
        raise InputError(
            f"every fit of {ks[0]} to {ks[-1]} components, complete, in {analysis}",
            f"no {', '.join(missing)}",
            "run orimap run again with the acquisition's file: it makes what is missing",
        )
    run = Run(request, None, folder, ks, runner=runner, marks={"ingest": ingest, **marks})
    run.counts = complete_mark(analysis, "sketch_training") is not None
    run.centred = is_centred(request, open_group(patterns, "beam").attrs)
    return run


def _check(run: Run) -> None:
    """Check all that can be known before any work.

    Raises
    ------
    InputError
        If the strategy or the number asked for cannot be had, or work would be lost.
    """
    find_strategy(run.request.strategy)
    forced = run.request.decided_k
    if forced is not None and forced not in run.ks:
        raise InputError(
            f"a number of components that was fitted ({run.ks[0]} to {run.ks[-1]})",
            f"--decided-k {forced}",
            f"choose one of these, or fit it as well: orimap run ... --k with {forced} in it",
        )
    if run.request.strategy == "published":
        check_size(run.patterns.scan_shape)
    if _unfinished_work(run.folder):
        raise InputError(
            "a folder in which no run was interrupted",
            f"the unfinished work of one in {run.folder.unfinished}",
            "finish that run with the same command as before, or remove this folder",
        )


def _unfinished_work(folder: RunFolder) -> bool:
    """Tell whether an interrupted run left something that the complete results do not hold."""
    if (folder.unfinished / "patterns.zarr").exists():
        return True
    groups = [*folder.analysis.glob("*fits/k*"), *folder.analysis.glob("sketch*")]
    names = [str(group.relative_to(folder.analysis)) for group in groups]
    return any(
        complete_mark(folder.analysis, name) != complete_mark(folder.published_analysis, name)
        for name in names
    )


def _take_fits(run: Run, progress: Progress) -> None:
    """Take over what was made before the decision, as it is."""
    marks = {"acquisition": run.marks["ingest"], "analysed": run.marks["filter"]}
    marks |= dict.fromkeys(run.sketch_groups, run.marks["sketch"])
    marks |= {stored_fits.basis_fit_group(k): run.marks[f"fit{k}"] for k in run.ks}
    marks |= {stored_fits.fit_group(k): run.marks[f"score{k}"] for k in run.ks}
    for done, (group, mark) in enumerate(marks.items(), start=1):
        if not run.folder.reuse(group, mark):
            raise InputError(
                f"the group /{group} of the results, complete",
                "none",
                "run orimap run again with the acquisition's file: it makes what is missing",
            )
        progress(done, len(marks))
    run.reused.add("stored fits")
