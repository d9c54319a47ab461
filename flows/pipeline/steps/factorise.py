"""The steps from patterns to scored fits. Each reads stores and writes its groups."""

from functools import partial

import numpy as np

from orimap.flows.pipeline.runtime.run import Run
from orimap.tasks.errors import InputError
from orimap.tasks.factorise import stored_fits
from orimap.tasks.store import variables
from orimap.tasks.store.groups import fingerprint
from orimap.tasks.stream.blocks import Progress, broadcast
from orimap.tasks.stream.sizes import sketch_rank


def sketch(run: Run, progress: Progress) -> None:
    """Make the low-rank basis, of all counts and of the training half."""
    from orimap.tasks.factorise.sketch import sketch_patterns
    from orimap.tasks.factorise.weighting import poisson_weighting
    from orimap.tasks.patterns.beam.region import direct_beam_region

    found, patterns = run.folder.read("analysed"), run.patterns
    rank = sketch_rank(run.ks[-1], patterns.positions, int(np.prod(patterns.detector_shape)))
    run.marks["sketch"] = fingerprint(
        patterns=run.marks["filter"],
        weighting=run.request.weighting,
        direct_beam=run.request.direct_beam,
        counts=run.counts,
        seed=run.request.seed,
        rank=rank,
    )
    groups = run.sketch_groups
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
            stored_fits.write_sketch(
                run.folder.analysis,
                group,
                part,
                weighting,
                patterns.scan_shape,
                run.marks["sketch"],
                direct_beam=finding,
            )
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
    from orimap.tasks.factorise.fit_k import fit_on_worker

    l1 = run.request.l1
    for k in run.ks:
        run.marks[f"fit{k}"] = fingerprint(sketch=run.marks["sketch"], l1=l1, k=k)
    missing = run.missing_ks("fit", stored_fits.basis_fit_group)
    if not missing:
        return
    weighting = stored_fits.read_weighting(run.folder.read("sketch"))
    shared = [
        run.client.submit(
            stored_fits.read_sketches, run.folder.analysis, run.sketch_groups, pure=False
        ),
        *broadcast(run.client, weighting),
    ]
    works = {
        f"k = {k}": partial(
            fit_on_worker,
            run.client,
            *shared,
            k,
            l1,
            partial(stored_fits.write_basis_fit, run.folder.analysis, mark=run.marks[f"fit{k}"]),
        )
        # Large k take longest: first in, so that no worker ends alone with one.
        for k in sorted(missing, reverse=True)
    }
    run.runner.each("fit", works)


def score(run: Run, progress: Progress) -> None:
    """Give every fit exact weights, its loss and its held-out deviance, in one pass."""
    from orimap.tasks.factorise.exact_pass import exact_pass

    for k in run.ks:
        run.marks[f"score{k}"] = fingerprint(fit=run.marks[f"fit{k}"], counts=run.counts)
    missing = run.missing_ks("score", stored_fits.fit_group)
    if not missing:
        return
    found, stored = run.folder.read("analysed"), run.folder.read("sketch")
    weighting = stored_fits.read_weighting(stored)
    patterns = run.patterns
    entries = patterns.positions * weighting.valid.sum()
    # The 3x3 mean has up to nine times as many pixels that are not zero.
    neighbours = 9 if run.request.filter == "mean" else 1
    filled = min(1.0, (1 - float(found.attrs["zero_fraction"])) * neighbours)
    store = run.folder.analysis
    passed = exact_pass(
        run.client,
        patterns,
        weighting,
        partial(stored_fits.read_stack, store=store, ks=missing, valid=weighting.valid),
        missing,
        held_out=run.counts,
        seed=run.request.seed,
        l1_weights=run.request.l1[1],
        entries=entries * filled,
        progress=progress,
    )
    attrs = []
    for k in missing:
        made = run.folder.read(stored_fits.basis_fit_group(k)).attrs
        attrs.append(
            {"iterations": made["iterations"][0], "converged": bool(np.all(made["converged"]))}
        )
    datasets = stored_fits.fit_datasets(
        passed,
        (stored_fits.read_images(store, k, weighting.valid) for k in missing),
        attrs,
        weighting.valid,
        patterns.scan_shape,
        float(stored.attrs["squares"]),
    )
    for k, ds in zip(missing, datasets, strict=True):
        run.folder.write(stored_fits.fit_group(k), ds, run.marks[f"score{k}"])
