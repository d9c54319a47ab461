"""All that the benchmark asks of orimap. Where its functions change, only this has to follow."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from orimap.flows.pipeline.check import check
from orimap.flows.pipeline.runtime.run import Prepared as PreparedPatterns
from orimap.flows.pipeline.runtime.run import Run
from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner
from orimap.flows.pipeline.steps import factorise
from orimap.flows.pipeline.steps import prepare as preparation
from orimap.flows.request.request import Request
from orimap.tasks.factorise import stored_fits
from orimap.tasks.factorise.exact_pass import exact_pass
from orimap.tasks.factorise.fit_k import fit_on_worker
from orimap.tasks.factorise.kernels.predictions import Stack
from orimap.tasks.factorise.sketch import sketch_patterns
from orimap.tasks.factorise.weighting import Weighting, poisson_weighting
from orimap.tasks.patterns.beam.region import direct_beam_region
from orimap.tasks.patterns.rows import Rows
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store import variables
from orimap.tasks.store.groups import open_group
from orimap.tasks.store.run_folder import RunFolder
from orimap.tasks.store.sparse_patterns import opened
from orimap.tasks.stream.blocks import Block, broadcast, map_blocks, silent
from orimap.tasks.stream.sizes import sketch_rank

SEED = 0
NO_PENALTY = (0.0, 0.0)


@dataclass(frozen=True)
class Prepared:
    """A scan, ingested, with all that is known before its sweep.

    Parameters
    ----------
    run : Run
    prepared : PreparedPatterns
        How the patterns are analysed.
    weighting : Weighting
    filled : float
        Share of the valid pixels that are not 0.
    """

    run: Run
    prepared: PreparedPatterns
    weighting: Weighting
    filled: float

    @property
    def patterns(self) -> PatternSource:
        """The patterns."""
        return self.prepared.patterns

    @property
    def filled_entries(self) -> float:
        """How many valid pixels of all patterns are not 0."""
        return self.filled * self.patterns.positions * np.count_nonzero(self.weighting.valid)


@dataclass
class Sweep:
    """What one sweep found.

    Parameters
    ----------
    factors : dict
        For each k scan weights (positions, k) and component patterns (k, fitted pixels) whose
        product is the weighted matrix.
    training_images : list of (k, valid pixels) arrays
        Component patterns of the training half in counts, where it was fitted.
    iterations : dict
        Of each k, to all counts.
    stages : dict
        Seconds of the sketch, of all fits, and of the exact pass.
    fit_seconds : dict
        Seconds of the fit of each k on its worker, where they can be told.
    """

    factors: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    training_images: list[np.ndarray] = field(default_factory=list)
    iterations: dict[int, int] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)
    fit_seconds: dict[int, float] = field(default_factory=dict)


def prepare(client: Any, scan_file: Path, folder: Path, ks: Sequence[int]) -> Prepared:
    """Ingest a scan as ``orimap run`` does, or take up what an earlier call has ingested."""
    request = Request.read(
        file=scan_file, output=folder, k=(ks[0], ks[-1]), seed=SEED, orchestrate="never"
    )
    plan = check(request)
    run = Run(request, RunFolder(folder), PlainRunner(NoDisplay()), client)
    run.folder.prepare()
    ingested = preparation.ingest(run, silent, plan)
    centred = preparation.centre(run, silent, ingested)
    prepared = preparation.filter_patterns(run, silent, ingested, centred)
    found = run.folder.read("analysed")
    mean = variables.detector_mean.read(found).values
    valid = variables.detector_mask.read(found).values == 0
    beam, _ = direct_beam_region(mean, valid)
    filled = 1 - float(found.attrs["zero_fraction"])
    return Prepared(run, prepared, poisson_weighting(mean, valid, beam), filled)


def sweep(client: Any, prepared: Prepared, ks: Sequence[int], *, held_out: bool = False) -> Sweep:
    """Sketch the patterns, fit every k, and solve every position exactly.

    Sketch and fits go through a store on disk, as they do in a run.
    """
    patterns, weighting = prepared.patterns, prepared.weighting
    store = prepared.run.folder.root / "sweep.zarr"
    groups = ["sketch", "sketch_training"][: 1 + held_out]
    found, clock = Sweep(), Clock()
    rank = sketch_rank(ks[-1], patterns.positions, int(np.prod(patterns.detector_shape)))
    sketches = sketch_patterns(client, patterns, weighting, rank, seed=SEED, held_out=held_out)
    for group, sketch in zip(groups, sketches, strict=True):
        stored_fits.write_sketch(store, group, sketch, weighting, patterns.scan_shape, "made")
    found.stages["sketch"] = clock.lap()

    shared = client.submit(stored_fits.read_sketches, store, groups, pure=False)
    (weights_of_pixels,) = broadcast(client, weighting)
    keep = partial(stored_fits.write_basis_fit, store, mark="made")
    with ThreadPoolExecutor(len(ks)) as pool:  # they wait for Dask, they do not compute
        waiting = [
            pool.submit(fit_on_worker, client, shared, weights_of_pixels, k, NO_PENALTY, keep)
            for k in sorted(ks, reverse=True)
        ]
        for one in waiting:
            one.result()
    found.stages["fits"] = clock.lap()

    passed = exact_pass(
        client,
        patterns,
        weighting,
        partial(stored_fits.read_stack, store=store, ks=ks, valid=weighting.valid),
        ks,
        held_out=held_out,
        seed=SEED,
        entries=prepared.filled_entries,
    )
    found.stages["exact pass"] = clock.lap()

    for k, weights in zip(ks, passed.weights, strict=True):
        facts = open_group(store, stored_fits.basis_fit_group(k)).attrs
        found.iterations[k] = int(facts["iterations"][0])
        images = stored_fits.read_images(store, k, weighting.valid)
        found.factors[k] = weighted(weights, images, sketches[0].row_factor, weighting)
        if held_out:
            found.training_images.append(stored_fits.read_images(store, k, weighting.valid, 1))
    return found


def sweep_as_run(prepared: Prepared) -> Sweep:
    """Do the steps of ``orimap run``: both halves of the counts, everything stored."""
    run = prepared.run
    run = replace(run, request=run.request.model_copy(update={"restart": True}))
    found, clock = Sweep(), Clock()
    first, last = run.request.k
    fitted = factorise.sketch(run, silent, prepared.prepared, range(first, last + 1))
    found.stages["sketch"] = clock.lap()
    factorise.fit(run, fitted)
    found.stages["fits"] = clock.lap()
    factorise.score(run, silent, fitted)
    found.stages["exact pass"] = clock.lap()

    stored = run.folder.read("sketch")
    row_factor = stored_fits.read_sketch(stored, prepared.weighting).row_factor
    for k in fitted.ks:
        fit = run.folder.read(stored_fits.fit_group(k))
        images = variables.component_pattern.read(fit).values[:, prepared.weighting.valid]
        weights = variables.scan_weight.read(fit).values.reshape(-1, k)
        found.factors[k] = weighted(weights, images, row_factor, prepared.weighting)
        found.iterations[k] = int(fit.attrs["iterations"])
    return found


def weighted(
    weights: np.ndarray, images: np.ndarray, row_factor: np.ndarray, weighting: Weighting
) -> tuple[np.ndarray, np.ndarray]:
    """Turn weights and component images in counts into factors of the weighted matrix."""
    fitted = weighting.fitted
    return weights * row_factor[:, None], images[:, fitted] * weighting.pixel[fitted]


def weighted_rows(prepared: Prepared, half: bool = False) -> Iterator[tuple[np.ndarray, Rows]]:
    """Yield the matrix that all contestants factorise, a few rows at once.

    Parameters
    ----------
    prepared : Prepared
    half : bool
        The training half of the counts instead of all.

    Yields
    ------
    positions : array of int
    rows : (positions, fitted pixels) array or CSR matrix
    """
    patterns, weighting = prepared.patterns, prepared.weighting
    for batch in patterns.read(patterns.blocks(), weighting.valid, SEED if half else None):
        rows = batch.train if half else batch.rows
        whole = weighting.apply(rows, weighting.row_factor(rows))
        if not isinstance(whole, np.ndarray):
            whole = whole.tocsr()
        yield batch.numbers, whole[:, np.flatnonzero(weighting.fitted)]


def component_sums(prepared: Prepared, patterns: np.ndarray) -> np.ndarray:
    """Return the counts in each component pattern (k, fitted pixels) of the weighted matrix."""
    weighting = prepared.weighting
    return patterns @ (1 / weighting.pixel[weighting.fitted])


def held_out_deviance(client: Any, prepared: Prepared, images: list[np.ndarray]) -> list[float]:
    """Return the Poisson deviance of the test half a position and fitted pixel, for every k.

    Parameters
    ----------
    client : distributed.Client
    prepared : Prepared
    images : list of (k, valid pixels) arrays
        Component patterns in counts, found in the training half. The weights are solved for in
        the training half by the same function, whoever found the patterns.
    """
    entries = prepared.filled_entries
    passed = exact_pass(
        client,
        prepared.patterns,
        prepared.weighting,
        partial(stack_of, images=images),  # those of all counts are not asked about
        [len(part) for part in images],
        held_out=True,
        seed=SEED,
        entries=entries,
    )
    fitted = np.count_nonzero(prepared.weighting.fitted)
    return [float(of_k.mean() / fitted) for of_k in passed.deviance]


def stack_of(_half: int, images: list[np.ndarray]) -> Stack:
    """Stack the same images for both halves, on a worker."""
    return Stack.of(images)


def images_in_counts(prepared: Prepared, patterns: np.ndarray) -> np.ndarray:
    """Put component patterns (k, fitted pixels) of the weighted matrix on all valid pixels."""
    weighting = prepared.weighting
    images = np.zeros((len(patterns), len(weighting.pixel)))
    images[:, weighting.fitted] = patterns / weighting.pixel[weighting.fitted]
    return images


def read_all(client: Any, patterns: PatternSource) -> float:
    """Return the seconds of one plain read of the store by the workers."""
    clock = Clock()
    for _ in map_blocks(client, read_block, patterns.blocks(), patterns):
        pass
    return clock.lap()


def read_block(block: Block, patterns: PatternSource) -> int:
    """Read one block of dense patterns, and nothing else."""
    return opened(patterns.store, "raw", "pattern_intensity")[block.slices].nbytes


def read_here(patterns: PatternSource) -> float:
    """Return the seconds of one plain read of the store by this process alone."""
    clock = Clock()
    for block in patterns.blocks():
        read_block(block, patterns)
    return clock.lap()


class Clock:
    """Tells the seconds since it was looked at last."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        last, self._last = self._last, time.perf_counter()
        return self._last - last
