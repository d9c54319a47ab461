"""Measure what the model of the cluster is fed with, on one core: seconds and bytes of every step.

    python tests/benchmarks/scaling/measure.py COSTS.json [PART ...]

Parts are detector-128, detector-256, detector-512, fits, command and scheduler; each takes some ten
seconds of processor time and is entered in the file when it is done, with its date. All times are
processor time of this process, not time on the clock: other programs on the machine change them
little. Zarr decompresses in threads of its own, which count.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import process_time

import cloudpickle
import numpy as np
import xarray as xr
from at_once import AtOnce, Seen
from detector_costs import KS, RANK, SEED, all_rows, detector, ingested, least
from threadpoolctl import threadpool_limits

from orimap.cluster.local import process_client
from orimap.flows.pipeline.runtime.measure import machine, versions
from orimap.tasks.acquire.ingest.ingest import ingest_acquisition
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.factorise import exact_pass, sketch
from orimap.tasks.factorise.fit_k import ReadySketch, fit_components
from orimap.tasks.factorise.kernels.predictions import Stack
from orimap.tasks.factorise.kernels.products import products
from orimap.tasks.factorise.weighting import Weighting
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store.groups import open_group, write_group
from orimap.tasks.stream.blocks import map_blocks

# A scan of so many positions shows what it costs that there are many.
LARGE_SCAN = (2500, 4000)
NO_OPS, MOVED, MOVED_BYTES = 300, 20, 8_000_000


def main() -> None:
    """Measure the parts that were asked for, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("parts", nargs="*", metavar="PART", help="one or more of the parts")
    arguments = parser.parse_args()
    unknown = set(arguments.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    for name in arguments.parts or PARTS:
        with tempfile.TemporaryDirectory(prefix="orimap-scaling-") as folder:
            started = process_time()
            with threadpool_limits(1):  # as workers compute
                measured = PARTS[name](Path(folder))
        enter(arguments.file, name, measured)
        print(f"{name}: {process_time() - started:.0f} s of processor time", flush=True)


def enter(file: Path, name: str, measured: dict) -> None:
    """Put one part into the file, with when and where it was measured."""
    costs = json.loads(file.read_text()) if file.exists() else {}
    here = {name: fact for name, fact in machine().items() if name != "platform"}
    costs["machine"] = {**here, "processor": processor(), "versions": versions()}
    costs[name] = {"measured": datetime.now(UTC).date().isoformat(), **measured}
    file.write_text(json.dumps(costs, indent=1) + "\n")


def processor() -> str:
    """Return what the system calls the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")


def fits(folder: Path) -> dict:
    """Measure what does not depend on the detector: iterations of all fits, weights, messages."""
    client, source, weighting = ingested(128, folder)
    both = sketch.sketch_patterns(client, source, weighting, RANK, seed=SEED, held_out=True)
    ready = [ReadySketch.of(one, weighting) for one in both]
    made = {k: [fit_components(one, weighting, k, (0.0, 0.0)) for one in ready] for k in KS}
    stacks = [Stack.of([made[k][half].images for k in KS]) for half in (0, 1)]
    seen = [whole_tasks(source, weighting, stacks, folder) for _ in range(4)]
    tasks = {name: min((one[name] for one in seen), key=cost) for name in seen[0]}
    rows, _ = all_rows(source, weighting)
    prepared = exact_pass.Prepared.of(stacks[0], weighting)
    numerators = products(exact_pass._on_pixels(rows, weighting.pixel**2), stacks[0].table)
    numerators *= weighting.row_factor(rows)[:, None]

    def solve() -> None:
        for number, gram in enumerate(prepared.grams):
            exact_pass.solve_weights(numerators[:, stacks[0].columns(number)].T, gram)

    large = PatternSource(source.store, "raw", LARGE_SCAN, (512, 512), (5, 6), sparse=True)
    blocks = large.blocks()
    many, few = (len(cloudpickle.dumps(blocks[:n])) for n in (301, 1))
    return {
        "iterations": {k: [fit.iterations for fit in made[k]] for k in KS},
        "solve_seconds_a_position": least(solve) / rows.shape[0],
        "message_bytes_a_block": (many - few) / 300,
        "tasks": {name: described(one, source) for name, one in tasks.items()},
    }


def whole_tasks(
    source: PatternSource, weighting: Weighting, stacks: list[Stack], folder: Path
) -> dict[str, Seen]:
    """Do every step but the fits; return what is known of all their tasks, by function."""
    client, options = AtOnce(), {"seed": SEED, "held_out": True}
    ingest_acquisition(client, open_acquisition(folder / "scan.npy"), source.store, "mark")
    sketch.sketch_patterns(client, source, weighting, RANK, **options)
    exact_pass.exact_pass(client, source, weighting, stacks.__getitem__, KS, **options)
    return client.seen


def cost(seen: Seen) -> float:
    """Return what the tasks of a function took."""
    return seen.seconds


def described(seen: Seen, source: PatternSource) -> dict:
    """Return what is known of the tasks of one function."""
    return {
        "tasks": seen.tasks,
        "seconds_a_pattern": seen.seconds / source.positions,
        "message_bytes": seen.message_bytes,
        "result_bytes": seen.result_bytes,
    }


def command(folder: Path) -> dict:
    """Measure what one process does alone: an orthonormal basis, SVD and writing."""
    rng = np.random.default_rng(0)
    table = rng.standard_normal((2**17, RANK))
    size = table.size * RANK
    ds = xr.Dataset({"scan_weight": (("position", "component"), table.astype(np.float32))})
    store = folder / "analysis.zarr"
    written = least(lambda: write_group(store, "fit", ds, None))
    read = least(lambda: open_group(store, "fit").load())
    stored = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    return {
        "basis_ns": 1e9 * least(lambda: sketch.orthonormal(table)) / size,
        "svd_ns": 1e9 * least(lambda: np.linalg.svd(table, full_matrices=False)) / size,
        "write_ns_a_byte": 1e9 * written / ds.nbytes,
        "read_ns_a_byte": 1e9 * read / ds.nbytes,
        "stored_share": stored / ds.nbytes,
    }


def scheduler(_folder: Path) -> dict:
    """Measure what scheduler and client need, both in this process: a task, and a byte."""
    with process_client(1, "1 GiB") as client:
        list(map_blocks(client, nothing, range(20)))
        task = least(lambda: list(map_blocks(client, nothing, range(NO_OPS)))) / NO_OPS
        moved = least(lambda: [None for _ in map_blocks(client, array, range(MOVED))])
    return {
        "task_seconds": task,
        # It passes through the scheduler and is taken by the client: half the time for each.
        "process_bytes_a_second": 2 * MOVED * MOVED_BYTES / (moved - MOVED * task),
    }


def nothing(_number: int) -> None:
    """Do nothing."""


def array(_number: int) -> np.ndarray:
    """Return an array to move."""
    return np.ones(MOVED_BYTES // 8)


PARTS: dict[str, Callable[[Path], dict]] = {
    **{f"detector-{side}": partial(detector, side) for side in (128, 256, 512)},
    "fits": fits,
    "command": command,
    "scheduler": scheduler,
}

if __name__ == "__main__":
    main()
