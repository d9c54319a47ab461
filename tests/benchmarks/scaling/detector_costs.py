"""Measure what depends on the detector: ingestion, passes over patterns, iterations of a fit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import cloudpickle
import numpy as np
from at_once import AtOnce

from orimap.tasks.acquire.ingest.blocks.gather_blocks import ScanTotals
from orimap.tasks.acquire.ingest.blocks.ingest_block import ingest_block
from orimap.tasks.acquire.ingest.ingest import ingest_acquisition
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.factorise import exact_pass, sketch
from orimap.tasks.factorise.fit_k import ReadySketch
from orimap.tasks.factorise.kernels.predictions import Stack, absolute_errors, poisson_deviances
from orimap.tasks.factorise.kernels.products import products
from orimap.tasks.factorise.nmf import factorise
from orimap.tasks.factorise.weighting import Weighting, poisson_weighting
from orimap.tasks.patterns.beam.region import direct_beam_region
from orimap.tasks.patterns.rows import Rows
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.scan import plan_scan
from orimap.tasks.stream.sizes import sketch_rank, stack_columns

# One full batch of patterns.
SCAN = (16, 32)
KS = range(1, 21)
RANK = sketch_rank(KS[-1], SCAN[0] * SCAN[1], 10**6)
SEED = 0
LONG_ENOUGH_SECONDS, MOST_CALLS = 0.5, 20


def least(work: Callable[[], Any], *, at_least: int = 2) -> float:
    """Return the processor time of the fastest of a few calls.

    The first may compile, and other programs on the machine take its caches: what is short is
    repeated for half a second.
    """
    found: list[float] = []
    while len(found) < at_least or (sum(found) < LONG_ENOUGH_SECONDS and len(found) < MOST_CALLS):
        started = process_time()
        work()
        found.append(process_time() - started)
    return min(found)


def ingested(side: int, folder: Path) -> tuple[AtOnce, PatternSource, Weighting]:
    """Simulate a scan and ingest it; return what was seen, the patterns and their weighting."""
    counts = plan_scan(ScanRecipe(scan=SCAN, detector=(side, side))).patterns(slice(None))
    # As the large series has them: four bytes a pixel.
    np.save(folder / "scan.npy", counts.astype(np.uint32))
    client, store = AtOnce(), folder / "patterns.zarr"
    found = ingest_acquisition(client, open_acquisition(folder / "scan.npy"), store, "mark")
    valid = found.detector_mask.values == 0
    mean = found.detector_mean.values
    weighting = poisson_weighting(mean, valid, direct_beam_region(mean, valid)[0])
    return client, PatternSource.open(store, "raw"), weighting


def all_rows(source: PatternSource, weighting: Weighting) -> tuple[Rows, Rows]:
    """Return the rows of one batch, and the half of their counts that is held out."""
    batch = next(source.read(source.blocks(), weighting.valid, SEED))
    return batch.rows, batch.test


def detector(side: int, folder: Path) -> dict:
    """Measure everything that depends on the detector: passes, sums and an iteration of a fit."""
    client, source, weighting = ingested(side, folder)
    rows, test = all_rows(source, weighting)
    entries, pixels, blocks = rows.nnz, len(weighting.pixel), source.blocks()
    return {
        "pixels": pixels,
        "patterns": source.positions,
        "entries_a_pattern": entries / source.positions,
        **ingest_costs(client, source),
        **pass_costs(source, weighting, entries),
        **score_costs(rows, test, weighting),
        **fit_costs(source, weighting),
        "patterns_a_block": blocks[0].positions,
    }


def ingest_costs(client: AtOnce, source: PatternSource) -> dict:
    """Return seconds and bytes of ingestion, by pattern, and of what a worker tells, by pixel."""
    pixels, plan = int(np.prod(source.detector_shape)), client.seen["_Given"].last
    ingesting = least(lambda: [ingest_block(block, plan) for block in source.blocks()])
    record = client.seen["ingest_blocks"].last[0][0]
    found = record.sums
    # The blocks of a large scan lie in one of its parts each, those of this one in many.
    one_part = replace(found.sums, regions=dict([*found.sums.regions.items()][:1]))
    none = found.candidate_values[..., :0]
    record = replace(record, sums=replace(found, sums=one_part, candidate_values=none))
    totals = ScanTotals(source.scan_shape, source.detector_shape, np.zeros((0, 2), int))
    totals.add(record)
    stored = {
        group: sum(f.stat().st_size for f in (source.store / group).rglob("*") if f.is_file())
        for group in ("raw", "sparse")
    }
    return {
        "ingest_seconds_a_pattern": ingesting / source.positions,
        "stored_bytes_a_pattern": stored["raw"] / source.positions,
        "sparse_bytes_a_pattern": stored["sparse"] / source.positions,
        "record_bytes_a_pixel": len(cloudpickle.dumps(record)) / pixels,
        "record_bytes_a_pattern": 8 * found.candidate_values.shape[-1],
        "record_ns_a_pixel": 1e9 * least(lambda: totals.add(record)) / pixels,
    }


def pass_costs(source: PatternSource, weighting: Weighting, entries: int) -> dict:
    """Return seconds of reading and of the passes of the sketch, by entry."""
    blocks, pixels = source.blocks(), len(weighting.pixel)
    directions = np.random.default_rng(0).standard_normal((pixels, RANK)).astype(np.float32)
    shared = (source, weighting, directions, None)
    read = least(lambda: list(source.read(blocks, weighting.valid)))
    halves = least(lambda: list(source.read(blocks, weighting.valid, SEED)))
    empty = least(lambda: sketch._gram([], *shared))
    gram = least(lambda: sketch._gram(blocks, *shared))
    project = least(lambda: sketch._project(blocks, *shared))
    table = least(lambda: weighting.on_pixels(directions))
    sums = np.zeros((2, pixels, RANK))
    return {
        "read_ns_an_entry": 1e9 * read / entries,
        "halves_ns_an_entry": 1e9 * (halves - read) / entries,
        "gram_ns_an_entry_direction": 1e9 * (gram - read - empty) / entries / RANK,
        "project_ns_an_entry_direction": 1e9 * (project - read - table) / entries / RANK,
        "gram_task_ns_a_number": 1e9 * empty / pixels / RANK,
        "project_task_ns_a_number": 1e9 * table / pixels / RANK,
        "add_ns_a_number": 1e9 * least(lambda: sums[0] + sums[1]) / pixels / RANK,
    }


def score_costs(rows: Rows, test: Rows, weighting: Weighting) -> dict:
    """Return seconds of the exact pass, by entry and column of the table of all components."""
    rng, pixels, entries = np.random.default_rng(0), len(weighting.pixel), rows.nnz
    columns = stack_columns(KS)
    mean = (np.asarray(rows.sum(axis=0)).ravel() / rows.shape[0]).astype(np.float32)
    stack = Stack.empty(KS, pixels)
    for number, k in enumerate(KS):
        stack.put(number, mean * (0.5 + rng.random((k, pixels), np.float32)) / k)
    weights = rng.random((rows.shape[0], columns), np.float32)
    prepare = least(lambda: exact_pass.Prepared.of(stack, weighting), at_least=1)
    prepared = exact_pass.Prepared.of(stack, weighting)
    weighted = exact_pass._on_pixels(rows, weighting.pixel**2)
    solve = least(lambda: products(weighted, stack.table))
    loss = least(lambda: absolute_errors(rows, weights, stack, prepared.sums))
    fitted = (weighting.fitted, prepared.fitted_sums)
    held_out = least(lambda: poisson_deviances(test, weights, stack, *fitted))
    return {
        "solve_ns_an_entry_column": 1e9 * solve / entries / columns,
        "loss_ns_an_entry_column": 1e9 * loss / entries / columns,
        "held_out_ns_an_entry_column": 1e9 * held_out / entries / columns,
        "prepare_ns_a_number": 1e9 * prepare / pixels / columns,
    }


def fit_costs(source: PatternSource, weighting: Weighting) -> dict:
    """Return seconds of an iteration of the largest fit, by number of the sketch and component."""
    (made,) = sketch.sketch_patterns(AtOnce(), source, weighting, RANK, seed=SEED, held_out=False)
    patterns = ReadySketch.of(made, weighting).patterns

    def iterate(times: int) -> float:
        return least(lambda: factorise(patterns, KS[-1], tolerance=0, max_iterations=times))

    size = sum(patterns.shape) * KS[-1] * patterns.rank
    return {"iteration_ns": 1e9 * (iterate(6) - iterate(1)) / 5 / size}
