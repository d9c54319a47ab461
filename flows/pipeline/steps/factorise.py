"""The steps from patterns to scored fits. Each reads stores and writes its groups."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from orimap.flows.pipeline.runtime.run import LARGEST_K, Fitted, Prepared, Run
from orimap.tasks.errors import InputError
from orimap.tasks.factorise import stored_fits
from orimap.tasks.store import variables
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.stream.blocks import Progress, broadcast, submit
from orimap.tasks.stream.sizes import sketch_rank

# The attribute of a scored fit with all that were scored in the same pass.
SCORED_WITH = "scored_with"


def sketch(run: Run, progress: Progress, prepared: Prepared, ks: Sequence[int]) -> Fitted:
    """Make the low-rank basis, of all counts and of the training half; return what can be fitted.

    There are fewer numbers of components than in ``ks`` where the patterns span fewer dimensions.
    """
    patterns = prepared.patterns
    rank = sketch_rank(ks[-1], patterns.positions, int(np.prod(patterns.detector_shape)))
    mark = fingerprint(
        patterns=prepared.fingerprint,
        weighting=run.request.weighting,
        direct_beam=run.request.direct_beam,
        counts=prepared.counts,
        seed=run.request.seed,
        rank=rank,
    )
    if not _sketch_serves(run, prepared, mark, ks):
        run.reused.discard("sketch")
        _write_sketch(run, progress, prepared, rank, mark)
    least = stored_fits.least_directions(run.folder.analysis, prepared.sketch_groups)
    if least == 0:
        raise InputError(
            "enough counts to hold half of them out",
            "a half without any beside the direct beam",
            "analyse them all with --counts no",
        )
    fitted = _what_can_be_fitted(run, prepared, mark, ks, least)
    if ks[-1] > least:
        run.note(f"The patterns span only {least} dimensions: k ends at {fitted.ks[-1]}.")
    return fitted


def _what_can_be_fitted(
    run: Run, prepared: Prepared, mark: str, ks: Sequence[int], least: int
) -> Fitted:
    """Return those numbers of components that a sketch of so many directions serves."""
    most_k = LARGEST_K
    if ks[-1] > least:
        most_k = least
        ks = [k for k in ks if k <= least] or [least]
    return Fitted(prepared, tuple(ks), most_k, mark, run.request.l1)


def _sketch_serves(run: Run, prepared: Prepared, mark: str, ks: Sequence[int]) -> bool:
    """Tell whether all of the sketch that is still needed is there.

    Only fits need that of the training half: finished runs do not keep it, but with --keep all.
    """
    whole, *halves = prepared.sketch_groups
    if not run.can_reuse("sketch", whole, mark):
        return False
    if all(run.can_reuse("sketch", group, mark) for group in halves):
        return True
    if run.request.keep == "all":
        return False
    least = stored_fits.least_directions(run.folder.analysis, prepared.sketch_groups)
    fitted = _what_can_be_fitted(run, prepared, mark, ks, least)
    return not _unscored(run, fitted)


def _unscored(run: Run, fitted: Fitted) -> list[int]:
    """Return the k whose fit has no exact weights and losses yet."""
    return run.missing("score", fitted.ks, stored_fits.fit_group, fitted.score_fingerprint)


def _write_sketch(run: Run, progress: Progress, prepared: Prepared, rank: int, mark: str) -> None:
    """Sketch the patterns, and write what was found."""
    from orimap.tasks.factorise.sketch import sketch_patterns
    from orimap.tasks.factorise.weighting import poisson_weighting
    from orimap.tasks.patterns.beam.region import direct_beam_region

    found, patterns = run.folder.read("analysed"), prepared.patterns
    mean = variables.detector_mean.read(found).values
    valid = variables.detector_mask.read(found).values == 0
    beam, finding = np.zeros_like(valid), "the direct beam is fitted like everything else"
    if run.request.direct_beam == "auto":
        beam, finding = direct_beam_region(mean, valid)
    # Pixels are weighted by their noise, to which read-out adds.
    weighting = poisson_weighting(
        mean + patterns.floor, valid, beam, poisson=run.request.weighting == "poisson"
    )
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
        held_out=prepared.counts,
        progress=progress,
    )
    for group, part in zip(prepared.sketch_groups, made, strict=True):
        stored_fits.write_sketch(
            run.folder.analysis,
            group,
            part,
            weighting,
            patterns.scan_shape,
            mark,
            direct_beam=finding,
            counts=prepared.counts,
            least_directions=min(len(half.values) for half in made),
        )


def fit(run: Run, fitted: Fitted) -> None:
    """Fit every k, one Dask task each.

    What comes of a fit to the sketch is its exact weights and losses: where these are there, the
    fit itself is no longer needed, unless all is to be kept.
    """
    from orimap.tasks.factorise.fit_k import fit_on_worker

    needed = fitted.ks if run.request.keep == "all" else _unscored(run, fitted)
    missing = run.missing("fit", needed, stored_fits.basis_fit_group, fitted.fit_fingerprint)
    if not missing:
        run.reused.add("fit")
        return
    weighting = stored_fits.read_weighting(run.folder.read("sketch"))
    sketches = submit(
        run.client,
        "read sketches",
        stored_fits.read_sketches,
        run.folder.analysis,
        fitted.prepared.sketch_groups,
    )
    (shared,) = broadcast(run.client, weighting)
    works = {
        f"k = {k}": partial(
            fit_on_worker,
            run.client,
            sketches,
            shared,
            k,
            fitted.l1,
            partial(
                stored_fits.write_basis_fit, run.folder.analysis, mark=fitted.fit_fingerprint(k)
            ),
        )
        # Large k take longest: first in, so that no worker ends alone with one.
        for k in sorted(missing, reverse=True)
    }
    run.runner.each("fit", works)


def score(run: Run, progress: Progress, fitted: Fitted) -> None:
    """Give every fit exact weights, its loss and its held-out deviance.

    In one pass over the patterns, unless some of the fits that were scored together are left.
    """
    for ks, missing in _passes(run, fitted):
        _score(run, progress, fitted, ks, missing)


def _passes(run: Run, fitted: Fitted) -> list[tuple[list[int], list[int]]]:
    """Return the fits of each pass over the patterns, and of which of them the scores are missing.

    Fits that were scored in one pass with others, which are there, have the same places among them
    again: the last bits of what is summed depend on that.
    """
    missing = _unscored(run, fitted)
    passes = []
    for k in sorted({*fitted.ks} - {*missing}):
        if not missing:
            break
        ks = [*run.folder.attributes(stored_fits.fit_group(k)).get(SCORED_WITH, ())]
        if again := [each for each in ks if each in missing]:
            passes.append((ks, again))
            missing = [each for each in missing if each not in again]
    return [*passes, (missing, missing)] if missing else passes


def _score(
    run: Run, progress: Progress, fitted: Fitted, ks: Sequence[int], missing: Sequence[int]
) -> None:
    """Score fits in one pass, and write those that are missing."""
    from orimap.tasks.factorise.exact_pass import exact_pass

    found, stored = run.folder.read("analysed"), run.folder.read("sketch")
    weighting = stored_fits.read_weighting(stored)
    patterns = fitted.prepared.patterns
    entries = patterns.positions * weighting.valid.sum()
    # The 3x3 mean has up to nine times as many pixels that are not zero.
    neighbours = 9 if run.request.filter == "mean" else 1
    filled = min(1.0, (1 - float(found.attrs["zero_fraction"])) * neighbours)
    store = run.folder.analysis
    passed = exact_pass(
        run.client,
        patterns,
        weighting,
        partial(stored_fits.read_stack, store=store, ks=ks, valid=weighting.valid, wanted=missing),
        ks,
        held_out=fitted.prepared.counts,
        seed=run.request.seed,
        l1_weights=run.request.l1[1],
        entries=entries * filled,
        progress=progress,
    )
    attrs = []
    for k in missing:
        made = run.folder.attributes(stored_fits.basis_fit_group(k))
        attrs.append(
            {
                "iterations": made["iterations"][0],
                "converged": bool(np.all(made["converged"])),
                SCORED_WITH: [*ks],
            }
        )
    datasets = stored_fits.fit_datasets(
        passed.take([ks.index(k) for k in missing]),
        (stored_fits.read_images(store, k, weighting.valid) for k in missing),
        attrs,
        weighting.valid,
        patterns.scan_shape,
        float(stored.attrs["squares"]),
    )
    for k, ds in zip(missing, datasets, strict=True):
        run.folder.write(stored_fits.fit_group(k), ds, fitted.score_fingerprint(k))
