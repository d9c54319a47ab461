"""The steps from an acquisition to the patterns that are analysed: ingested, centred, filtered."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from orimap.flows.pipeline.plan import Plan
from orimap.flows.pipeline.runtime.run import Ingested, Prepared, Run
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.rows import mask_after_moves
from orimap.tasks.patterns.source import LISTS, PatternSource
from orimap.tasks.store import variables
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.store.groups import complete_mark, open_group, write_group
from orimap.tasks.stream.blocks import Block, Progress


def ingest(run: Run, progress: Progress, plan: Plan) -> Ingested:
    """Write the acquisition into patterns.zarr, verified, and what was found to /acquisition."""
    from orimap.tasks.acquire.ingest.ingest import ingest_acquisition

    mark, request = plan.ingest_fingerprint, plan.request
    target = run.folder.unfinished / "patterns.zarr"
    if complete_mark(target, "raw") != mark:
        # Left by another request that was killed: it must not be published with this one.
        shutil.rmtree(target, ignore_errors=True)
    if not request.restart:
        run.folder.leave_damaged_patterns(mark)
    raw_is_there = complete_mark(run.folder.patterns(mark), "raw") == mark
    if not (raw_is_there and run.can_reuse("ingest", "acquisition", mark)):
        for note in plan.correction.notes:
            run.runner.note(note)
        ds = ingest_acquisition(
            run.client,
            plan.acquisition,
            target,
            mark,
            crop=request.crop,
            roi=request.roi,
            bin=request.bin,
            mask=request.mask,
            correction=plan.correction,
            chunk_bytes=plan.chunk_bytes,
            progress=progress,
        )
        if not ds["detector_mean"].values.any():
            raise InputError(
                "patterns with some intensity",
                f"every value of {plan.acquisition.path.name} is 0 (or negative, or not finite)",
                "check that this is the file of the acquisition, and --signal or --dataset",
            )
        run.folder.write("acquisition", ds, mark)
    return Ingested(run.folder.patterns(mark), mark, _are_counts(run, plan))


def _are_counts(run: Run, plan: Plan) -> bool:
    """Return whether the values are analysed as Poisson counts."""
    asked = plan.request.counts
    if asked == "auto":
        return bool(run.folder.read("acquisition").attrs["counts_like"])
    return asked == "yes"


def centre(run: Run, progress: Progress, ingested: Ingested) -> bool:
    """Measure where the direct beam is in every pattern; return whether patterns are centred."""
    from orimap.tasks.patterns.beam.shift import measure_descan

    store = ingested.store
    mark = fingerprint(ingest=ingested.fingerprint, measured="direct beam")
    run.reused.add("centre")
    if complete_mark(store, "beam") != mark or run.request.restart:
        run.reused.discard("centre")
        found = run.folder.read("acquisition")
        descan = measure_descan(
            run.client,
            PatternSource.open(store, "raw"),
            variables.detector_mean.read(found).values,
            variables.detector_mask.read(found).values == 0,
            progress=progress,
        )
        place = (descan.disc.y, descan.disc.x)
        ds = variables.dataset(
            {
                variables.scan_beam_shift: descan.position - np.array(place, np.float32),
                variables.scan_beam_drift: descan.smooth - np.array(place, np.float32),
                variables.scan_pixel_shift: descan.pixel_shift,
            },
            reference_y=place[0],
            reference_x=place[1],
            disc_radius_px=descan.disc.radius,
            wander_px=descan.wander_px,
            error_px=descan.error_px,
            scatter_px=descan.scatter_px,
            found=descan.found,
            worthwhile=descan.worthwhile,
            finding=descan.finding,
        )
        write_group(store, "beam", ds, mark)
    beam = open_group(store, "beam")
    run.folder.add("acquisition", beam[[variables.scan_beam_shift.name]])
    asked = run.request.centre
    if asked == "yes" and not beam.attrs["found"]:
        raise InputError(
            "a direct beam to centre the patterns on",
            beam.attrs["finding"],
            "leave --centre at auto, or give --centre no",
        )
    return is_centred(run.request, beam.attrs)


def is_centred(request: Request, beam: Mapping[str, Any]) -> bool:
    """Return whether patterns are centred, by what was asked for and what was found of the beam."""
    return bool(beam["worthwhile"]) if request.centre == "auto" else request.centre == "yes"


def filter_patterns(run: Run, progress: Progress, ingested: Ingested, centred: bool) -> Prepared:
    """Filter the patterns, and find out what they are like as they are analysed."""
    request = run.request
    drawn_as = _drawn_as(request, ingested)
    mark = fingerprint(
        ingest=ingested.fingerprint,
        filter=request.filter,
        centred=centred,
        **(drawn_as if request.filter == "epattern" else {}),
    )
    prepared = Prepared(ingested, centred, request.filter, request.epattern_profile, mark)
    run.reused.add("filter")
    if request.filter == "mean":
        _average(run, progress, ingested)
    elif request.filter == "epattern":
        prepared = _register(run, progress, prepared)
    _describe(run, prepared)
    return prepared


def _drawn_as(request: Request, ingested: Ingested) -> dict[str, Any]:
    """Return what the patterns that ePattern draws depend on."""
    return {
        "lengths": request.epattern_lengths,
        "profile": request.epattern_profile,
        "halves": ingested.counts,
        "seed": request.seed if ingested.counts else None,
    }


def _average(run: Run, progress: Progress, ingested: Ingested) -> None:
    """Write the 3x3 means beside the raw patterns; centring them is left to the reading."""
    from orimap.tasks.patterns.filters import write_mean

    mark = fingerprint(ingest=ingested.fingerprint, filter="mean")
    if complete_mark(ingested.store, "mean") != mark or run.request.restart:
        run.reused.discard("filter")
        write_mean(run.client, ingested.store, mark, progress=progress)


def _register(run: Run, progress: Progress, prepared: Prepared) -> Prepared:
    """Register the reflections of every pattern, draw the patterns anew; return where they are."""
    from orimap.tasks.patterns.filters import write_drawn
    from orimap.tasks.patterns.reflections.encode import Encoder
    from orimap.tasks.patterns.reflections.stored_list import write_reflections
    from orimap.tasks.patterns.register import register_scan

    request, ingested = run.request, prepared.ingested
    drawn_as = _drawn_as(request, ingested)
    mark = fingerprint(
        ingest=ingested.fingerprint, **{k: v for k, v in drawn_as.items() if k != "profile"}
    )
    groups = LISTS if prepared.counts else LISTS[:1]
    marks = {**dict.fromkeys(groups, mark), "epattern": prepared.fingerprint}
    if not request.restart and all(complete_mark(ingested.store, g) == m for g, m in marks.items()):
        return prepared
    run.reused.discard("filter")
    # What another request made of the same patterns stays until this run is complete.
    run.folder.separate_patterns(ingested.fingerprint, keep=("raw", "sparse", "mean", "beam"))
    ingested = replace(ingested, store=run.folder.patterns(ingested.fingerprint))
    prepared = replace(prepared, ingested=ingested)
    store = ingested.store
    found, beam = run.folder.read("acquisition"), open_group(store, "beam")
    valid = variables.detector_mask.read(found).values == 0
    middle = np.array([beam.attrs["reference_y"], beam.attrs["reference_x"]], np.float32)
    place = middle + variables.scan_beam_drift.read(beam).values
    lengths = _lengths(request, ingested, valid, place, beam.attrs)
    lists = register_scan(
        run.client,
        PatternSource.open(store, "raw"),
        Encoder(lengths, valid, ingested.counts),
        place,
        halves=ingested.counts,
        seed=request.seed,
        progress=lambda done, of: progress(done, 2 * of),
    )
    if lists[0].is_direct.all():
        raise InputError(
            "reflections beside the direct beam for --filter epattern",
            f"none in any of {len(lists[0])} patterns (discs of {lengths.disc_radius:.1f} px)",
            "analyse the patterns as they are with --filter raw, or their means with mean",
        )
    for group, registered in zip(groups, lists, strict=True):
        write_reflections(
            store,
            group,
            registered,
            prepared.patterns.scan_shape,
            mark,
            lengths=lengths,
            units=found.attrs["intensity_units"],
            threshold_units="1" if ingested.counts else None,
        )
    write_drawn(
        run.client,
        prepared.patterns,
        marks["epattern"],
        progress=lambda done, of: progress(of + done, 2 * of),
    )
    return prepared


def _lengths(
    request: Request,
    ingested: Ingested,
    valid: np.ndarray,
    place: np.ndarray,
    beam: Mapping[str, Any],
) -> Lengths:
    """Return ePattern's lengths; the paper's where there is no disc to measure."""
    from orimap.tasks.patterns.register import reflection_radius, sample_positions

    if request.epattern_lengths == "paper" or not beam["found"]:
        return Lengths.of_width(valid.shape[1])
    raw = PatternSource.open(ingested.store, "raw")
    y, x = np.unravel_index(sample_positions(raw.scan_shape), raw.scan_shape)
    sample = [raw.images(Block(i, i + 1, j, j + 1))[0] for i, j in zip(y, x, strict=True)]
    radius = reflection_radius(
        np.stack(sample), place[y, x], valid, beam["disc_radius_px"], counts=ingested.counts
    )
    return Lengths.of_disc(radius, beam["disc_radius_px"])


def _describe(run: Run, prepared: Prepared) -> None:
    """Write /analysed: mean and mask of the patterns as they are analysed."""
    from orimap.tasks.patterns.filters import analysed_dataset

    if run.can_reuse("filter", "analysed", prepared.fingerprint):
        return
    run.reused.discard("filter")
    found = run.folder.read("acquisition")
    if run.request.filter != "epattern" and not prepared.centred:
        ds = found[[variables.detector_mean.name, variables.detector_mask.name]].load()
        ds.attrs = {name: found.attrs[name] for name in ("mean_intensity", "zero_fraction")}
    else:
        mask = variables.detector_mask.read(found).values
        if prepared.centred:
            moves = variables.scan_pixel_shift.read(open_group(prepared.store, "beam")).values
            mask = mask_after_moves(mask, moves)
        ds = analysed_dataset(run.client, prepared.patterns, mask)
    run.folder.write("analysed", ds, prepared.fingerprint)
