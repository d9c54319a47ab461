"""The steps of a run. Each reads stores and writes one kind of group; none passes arrays on."""

import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from orimap.flows.request import Request
from orimap.flows.runner import StepRunner
from orimap.tasks import fit_store, variables
from orimap.tasks.acquisition import Acquisition
from orimap.tasks.choose_k import Decision, choose_k
from orimap.tasks.errors import InputError
from orimap.tasks.evidence import Evidence
from orimap.tasks.memory import chunk_bytes_for
from orimap.tasks.patterns import PatternSource
from orimap.tasks.reduction import stored_dtype
from orimap.tasks.sketch import sketch_rank
from orimap.tasks.stores import RunFolder, complete_mark, fingerprint
from orimap.tasks.streaming import Progress, broadcast

# Where k is widened when the best one touches an edge of the range.
WIDEN_BY = 10
LARGEST_K = 60


@dataclass
class Run:
    """One run under way: what was asked, where things are, which k are looked at."""

    request: Request
    acquisition: Acquisition
    folder: RunFolder
    ks: list[int]
    client: Any = None
    runner: StepRunner | None = None
    counts: bool = False
    marks: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    reused: set[str] = field(default_factory=set)
    # More components than the patterns span directions cannot be fitted; the sketch tells.
    most_k: int = LARGEST_K

    def note(self, text: str) -> None:
        """Record something the report must say, and show it."""
        self.notes.append(text)
        self.runner.note(text)

    def can_reuse(self, step: str, group: str, mark: str) -> bool:
        """Return whether a complete group with this fingerprint serves again."""
        again = not self.request.restart and self.folder.reuse(group, mark)
        if again:
            self.reused.add(step)
        return again

    @property
    def store(self) -> Path:
        """The pattern store."""
        return self.folder.patterns(self.marks["ingest"])

    @property
    def patterns(self) -> PatternSource:
        """How workers read the patterns, filtered."""
        return PatternSource.open(self.store, self.request.filter)


def ingest(run: Run, progress: Progress) -> None:
    """Write the acquisition into patterns.zarr, verified, and what was found to /acquisition."""
    from orimap.tasks.ingest import ingest_acquisition

    mark = run.marks["ingest"]
    target = run.folder.unfinished / "patterns.zarr"
    if complete_mark(target, "raw") != mark:
        # Left by another request that was killed: it must not be published with this one.
        shutil.rmtree(target, ignore_errors=True)
    raw_is_there = complete_mark(run.store, "raw") == mark
    if raw_is_there and run.can_reuse("ingest", "acquisition", mark):
        return
    request, shape = run.request, reduced_shapes(run.request, run.acquisition)
    dtype = stored_dtype(run.acquisition.dtype, request.bin)
    ds = ingest_acquisition(
        run.client,
        run.acquisition,
        target,
        mark,
        crop=request.crop,
        roi=request.roi,
        bin=request.bin,
        mask=request.mask,
        chunk_bytes=chunk_bytes_for(shape[0], dtype.itemsize * shape[1][0] * shape[1][1]),
        progress=progress,
    )
    if not ds["detector_mean"].values.any():
        raise InputError(
            "patterns with some intensity",
            f"every value of {run.acquisition.path.name} is 0 (or negative, or not finite)",
            "check that this is the file of the acquisition, and --signal or --dataset",
        )
    run.folder.write("acquisition", ds, mark)


def reduced_shapes(
    request: Request, acquisition: Acquisition
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the shapes of scan and detector after --roi, --crop and --bin."""

    def part(region: tuple[int, int, int, int] | None, shape: tuple[int, int]) -> tuple[int, int]:
        if region is None:
            return shape
        return min(region[1], shape[0]) - region[0], min(region[3], shape[1]) - region[2]

    detector = part(request.crop, acquisition.detector_shape)
    return (
        part(request.roi, acquisition.scan_shape),
        (detector[0] // request.bin, detector[1] // request.bin),
    )


def filter_patterns(run: Run, progress: Progress) -> None:
    """Write the filtered patterns beside the raw ones."""
    from orimap.tasks.filters import write_mean

    if complete_mark(run.store, "mean") == run.marks["filter"] and not run.request.restart:
        run.reused.add("filter")
        return
    write_mean(run.client, run.store, run.marks["filter"], progress=progress)


def sketch(run: Run, progress: Progress) -> None:
    """Make the low-rank basis, of all counts and of the training half."""
    from orimap.tasks.direct_beam import direct_beam_region
    from orimap.tasks.sketch import poisson_weighting, sketch_patterns

    found = run.folder.read("acquisition")
    asked = run.request.counts
    run.counts = bool(found.attrs["counts_like"]) if asked == "auto" else asked == "yes"
    if run.counts and run.acquisition.dtype.kind == "f":
        raise InputError(
            "whole numbers of electrons for --counts yes",
            f"values of type {run.acquisition.dtype}",
            "leave --counts at auto",
        )
    patterns = run.patterns
    rank = sketch_rank(run.ks[-1], patterns.positions, int(np.prod(patterns.detector_shape)))
    run.marks["sketch"] = fingerprint(
        ingest=run.marks["ingest"],
        filter=run.request.filter,
        weighting=run.request.weighting,
        direct_beam=run.request.direct_beam,
        counts=run.counts,
        seed=run.request.seed,
        rank=rank,
    )
    groups = ["sketch", "sketch_training"] if run.counts else ["sketch"]
    if not all(run.can_reuse("sketch", group, run.marks["sketch"]) for group in groups):
        run.reused.discard("sketch")
        mean = variables.detector_mean.read(found).values
        valid = variables.detector_mask.read(found).values == 0
        beam, finding = np.zeros_like(valid), "the direct beam is fitted like everything else"
        if run.request.direct_beam == "auto":
            beam, finding = direct_beam_region(mean, valid)
        weighting = poisson_weighting(mean, valid, beam, poisson=run.request.weighting == "poisson")
        if not weighting.fitted.any():
            raise InputError(
                "some intensity beside the direct beam and the masked pixels",
                "none in any pattern",
                "check --mask and --crop, or keep the direct beam with --direct-beam keep",
            )
        made = sketch_patterns(
            run.client,
            patterns,
            weighting,
            rank,
            seed=run.request.seed,
            held_out=run.counts,
            progress=progress,
        )
        for group, part in zip(groups, made, strict=True):
            ds = fit_store.sketch_dataset(part, weighting, patterns.scan_shape)
            ds.attrs["direct_beam"] = finding
            run.folder.write(group, ds, run.marks["sketch"])
    ranks = [run.folder.read(group).sizes["direction"] for group in groups]
    if min(ranks) == 0:
        raise InputError(
            "enough counts to hold half of them out",
            "a half without any beside the direct beam",
            "analyse them all with --counts no",
        )
    if run.ks[-1] > min(ranks):
        run.most_k = min(ranks)
        run.ks = [k for k in run.ks if k <= min(ranks)] or [min(ranks)]
        run.note(f"The patterns span only {min(ranks)} dimensions: k ends at {run.ks[-1]}.")


def fit(run: Run) -> None:
    """Fit every k, one Dask task each."""
    from orimap.tasks.fits import fit_on_worker

    l1 = run.request.l1
    for k in run.ks:
        run.marks[f"fit{k}"] = fingerprint(sketch=run.marks["sketch"], l1=l1, k=k)
    missing = [
        k
        for k in run.ks
        if not run.can_reuse("fit", fit_store.basis_fit_group(k), run.marks[f"fit{k}"])
    ]
    if not missing:
        return
    run.reused.discard("fit")
    weighting = fit_store.read_weighting(run.folder.read("sketch"))
    groups = ["sketch", "sketch_training"] if run.counts else ["sketch"]
    sketches = [fit_store.read_sketch(run.folder.read(group), weighting) for group in groups]
    shared = broadcast(run.client, sketches, weighting)
    works = {
        f"k = {k}": partial(
            fit_on_worker,
            run.client,
            *shared,
            k,
            l1,
            partial(_keep_fit, run.folder.analysis, run.marks[f"fit{k}"]),
        )
        # Large k take longest: first in, so that no worker ends alone with one.
        for k in sorted(missing, reverse=True)
    }
    run.runner.each("fit", works)


def _keep_fit(store: Path, mark: str, k: int, fits: list, weighting: Any) -> None:
    """Write a fit from the worker that made it."""
    fit_store.write_basis_fit(store, k, fits, weighting, mark)


def score(run: Run, progress: Progress) -> None:
    """Give every fit exact weights, its loss and its held-out deviance, in one pass."""
    from orimap.tasks.exact import exact_pass

    for k in run.ks:
        run.marks[f"score{k}"] = fingerprint(fit=run.marks[f"fit{k}"], counts=run.counts)
    missing = [
        k
        for k in run.ks
        if not run.can_reuse("score", fit_store.fit_group(k), run.marks[f"score{k}"])
    ]
    if not missing:
        return
    run.reused.discard("score")
    found, stored = run.folder.read("acquisition"), run.folder.read("sketch")
    weighting = fit_store.read_weighting(stored)
    read = [fit_store.read_images(run.folder.analysis, k, weighting.valid) for k in missing]
    patterns = run.patterns
    entries = patterns.positions * weighting.valid.sum()
    # The 3x3 mean has up to nine times as many pixels that are not zero.
    neighbours = 9 if run.request.filter == "mean" else 1
    filled = min(1.0, (1 - float(found.attrs["zero_fraction"])) * neighbours)
    passed = exact_pass(
        run.client,
        patterns,
        weighting,
        [list(half) for half in zip(*read, strict=True)],
        seed=run.request.seed,
        l1_weights=run.request.l1[1],
        entries=entries * filled,
        progress=progress,
    )
    attrs = []
    for k in missing:
        made = run.folder.read(fit_store.basis_fit_group(k)).attrs
        attrs.append(
            {"iterations": made["iterations"][0], "converged": bool(np.all(made["converged"]))}
        )
    datasets = fit_store.fit_datasets(
        passed,
        [halves[0] for halves in read],
        attrs,
        weighting.valid,
        patterns.scan_shape,
        float(stored.attrs["squares"]),
    )
    for k, ds in zip(missing, datasets, strict=True):
        run.folder.write(fit_store.fit_group(k), ds, run.marks[f"score{k}"])


def decide(run: Run, progress: Progress) -> Decision:
    """Compare the components of every k and decide; write /decision."""
    evidence = _gather_evidence(run, progress)
    decision = choose_k(evidence, run.request.strategy, run.request.decided_k)
    run.marks["decision"] = fingerprint(
        scores=[run.marks[f"score{k}"] for k in run.ks],
        strategy=run.request.strategy,
        forced=run.request.decided_k,
    )
    ds = evidence.dataset()
    interest = evidence.interest
    slow = [k for k in run.ks if not run.folder.read(fit_store.fit_group(k)).attrs["converged"]]
    if slow:
        run.note(f"Stopped at the largest number of iterations, not converged: k = {slow}.")
    ds.attrs.update(
        strategy=decision.strategy,
        fitted_k=decision.fitted_k,
        knee=interest.knee,
        range_low=interest.low,
        range_high=interest.high,
        reasons=decision.reasons,
        criteria=[asdict(criterion) for criterion in decision.criteria],
        confidence=decision.confidence,
        runner_up=decision.runner_up,
        drop_threshold=decision.drop_threshold,
        not_converged=slow,
    )
    run.folder.write("decision", ds, run.marks["decision"])
    return decision


def _gather_evidence(run: Run, progress: Progress) -> Evidence:
    """Compare components on the workers, one task per k, and collect every score."""
    from orimap.tasks.clusters import compare_components

    left_out = _left_out(run)
    futures = [
        run.client.submit(
            compare_components, run.folder.analysis, fit_store.fit_group(k), left_out, pure=False
        )
        for k in run.ks
    ]
    components = []
    for done, future in enumerate(futures, start=1):
        components.append(future.result())
        progress(done, len(futures))
    fits = [run.folder.read(fit_store.fit_group(k)) for k in run.ks]
    deviance = None
    if run.counts:
        deviance = np.stack([variables.scan_held_out_deviance.read(f).values.ravel() for f in fits])
    return Evidence(
        np.array(run.ks),
        np.array([f.attrs["loss"] for f in fits]),
        np.array([f.attrs["loss_error"] for f in fits]),
        float(run.folder.read("acquisition").attrs["mean_intensity"]),
        np.array([f.attrs["relative_error"] for f in fits]),
        deviance,
        components,
    )


def _left_out(run: Run) -> np.ndarray:
    """Return the pixels that say nothing about orientation: masked ones and the direct beam."""
    weighting = fit_store.read_weighting(run.folder.read("sketch"))
    return fit_store.on_detector(weighting.fitted, weighting.valid) == 0


def widened(run: Run, decision: Decision) -> list[int] | None:
    """Return the k to look at next when the best one touches an edge; None when it does not."""
    first, last = run.ks[0], run.ks[-1]
    most = min(run.most_k, largest_k(*reduced_shapes(run.request, run.acquisition)))
    if first == last or run.request.decided_k is not None:
        return None
    if run.request.strategy != "evidence":
        return None
    if decision.fitted_k == last and last < most:
        return list(range(first, min(most, last + WIDEN_BY) + 1))
    if decision.fitted_k == first and first > 1:
        return list(range(max(1, first - WIDEN_BY), last + 1))
    return None


def largest_k(scan_shape: tuple[int, int], detector_shape: tuple[int, int]) -> int:
    """Return the largest number of components that a scan can tell apart at all."""
    return max(1, min(int(np.prod(scan_shape)) - 1, int(np.prod(detector_shape))))


def map_clusters(run: Run, progress: Progress) -> None:
    """Draw the maps of the decided fit; write /clusters and /overlap."""
    from orimap.tasks import clusters
    from orimap.tasks.maps import map_clusters as draw
    from orimap.tasks.merge import merge_components

    mark = fingerprint(decision=run.marks["decision"], fitted=_fitted_k(run))
    run.marks["clusters"] = mark
    if all(run.can_reuse("clusters", group, mark) for group in ("clusters", "overlap")):
        return
    run.reused.discard("clusters")
    fitted = run.folder.read(fit_store.fit_group(_fitted_k(run)))
    pattern = variables.component_pattern.read(fitted).values.astype(float)
    weight = variables.scan_weight.read(fitted).values
    merged = merge_components(pattern, weight, _left_out(run))
    maps = draw(weight, merged.component_cluster)
    mean = clusters.mean_patterns(
        run.client, run.patterns, maps.label, len(maps.size), progress=progress
    )
    mask = variables.detector_mask.read(run.folder.read("acquisition")).values > 0
    ds = clusters.clusters_dataset(
        maps, mean, clusters.representatives(pattern, weight, maps), mask
    )
    run.folder.write("clusters", ds, mark)
    run.folder.write("overlap", clusters.overlap_dataset(maps), mark)


def remarks(run: Run) -> list[str]:
    """Return what was left out, sampled or assumed, for the report and the results."""
    found, fitted = run.folder.read("acquisition"), _fitted_k(run)
    facts = run.folder.read(fit_store.fit_group(fitted)).attrs
    said = [*run.notes]
    finding = run.folder.read("sketch").attrs["direct_beam"]
    said.append(finding[0].upper() + finding[1:] + ".")
    if run.request.counts != "auto" and run.counts != found.attrs["counts_like"]:
        said.append(
            f"The values were taken {'as' if run.counts else 'not as'} counts because of --counts "
            f"{run.request.counts}; their Fano factor says otherwise."
        )
    if facts["loss_error"] > 0:
        said.append(
            f"The loss was taken from a sample of {facts['loss_positions']} positions; its "
            "standard error is in the table of every k."
        )
    if facts["empty_components"]:
        said.append(f"{facts['empty_components']} components of the fit used are empty.")
    unplaced = run.folder.read("clusters").attrs["clusters_without_position"]
    if unplaced:
        said.append(
            f"{unplaced} of the distinct patterns is strongest nowhere and was left out of the map."
        )
    return said


def _fitted_k(run: Run) -> int:
    return int(run.folder.read("decision").attrs["fitted_k"])


def compare_baseline(run: Run, _progress: Progress) -> None:
    """Write /baseline: k-means and scree beside our map."""
    from orimap.tasks.baseline import baseline

    mark = fingerprint(clusters=run.marks["clusters"], kind="baseline")
    if run.can_reuse("baseline", "baseline", mark):
        return
    label = variables.cluster_label.read(run.folder.read("clusters")).values
    count = int(label.max()) + 1
    ds = baseline(run.folder.analysis, label, count, seed=run.request.seed)
    run.folder.write("baseline", ds, mark)


def decision_rows(run: Run, ks: Iterable[int]) -> list[dict]:
    """Return the table that explains the decision, one row per k."""
    ds = run.folder.read("decision")
    rows = []
    for k in ks:
        row = ds.sel(k=k)
        rows.append(
            {
                "k": int(k),
                "loss": float(row["k_component_loss"]),
                "held-out drop": float(row["k_held_out_drop"]),
                "distinct": int(row["k_distinct"]),
                "background": int(row["k_background"]),
                "in range": bool(row["k_in_range"]),
                "used": int(k) == ds.attrs["fitted_k"],
            }
        )
    return rows
