"""Let orimap sweep a prepared scan: what ``contest.py`` starts as a process of its own.

    python ask_orimap.py WAY SCAN.zarr PREPARED --warm-up SCAN.zarr PREPARED --ks 2 3 ...
        --output FOLDER --launched SECONDS [--repeats 3]

Workers are started, then they sweep a tiny scan, so that kernels are compiled and libraries
loaded; neither is part of the sweep. Before every sweep the same workers read the store once,
plainly.
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import orimap_sweep as ours
from distributed import get_task_stream
from peers.answers import Answer, Fit, libraries
from threadpoolctl import threadpool_info

from orimap.cluster.local import available_cores, process_client
from orimap.flows.pipeline.runtime.measure import versions


def main() -> None:
    """Warm up, then read and sweep in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("way", choices=["orimap", "orimap-held-out", "orimap-run"])
    parser.add_argument("scan", type=Path)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--warm-up", type=Path, nargs=2, required=True)
    parser.add_argument("--ks", type=int, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--launched", type=float, required=True, help="monotonic clock")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    workers = available_cores()
    with process_client(workers) as client:
        answer = Answer(arguments.output, start_up_seconds=time.monotonic() - arguments.launched)
        clock = ours.Clock()
        sweep_once(client, arguments.way, ours.prepare(client, *arguments.warm_up, [2, 3]), [2, 3])
        answer.warm_up_seconds = clock.lap()
        prepared = ours.prepare(client, arguments.scan, arguments.prepared, arguments.ks)
        found = measure(client, arguments, prepared, answer)
        of_a_worker = next(iter(client.run(threadpool_info).values()))
        answer.threads = {"processes": workers, "libraries": libraries(of_a_worker)}
        answer.versions = versions()
        answer.write()
    keep(found, prepared, arguments.output)


def measure(
    client: Any, arguments: argparse.Namespace, prepared: ours.Prepared, answer: Answer
) -> ours.Sweep:
    """Read and sweep as often as asked for; the answer is the median of the sweeps."""
    sweeps, seconds, cpu = [], [], []
    for _ in range(arguments.repeats):
        answer.reads.append(ours.read_all(client, prepared.patterns))
        before, started = processor_seconds(client), time.monotonic()
        sweeps.append(sweep_once(client, arguments.way, prepared, arguments.ks))
        ended = time.monotonic()
        answer.windows.append((started, ended))
        # What follows the last stage only makes ready what is scored; the peers' is not timed.
        seconds.append(sum(sweeps[-1].stages.values()))
        cpu.append(processor_seconds(client) - before)
    answer.reads_here = [ours.read_here(prepared.patterns) for _ in range(arguments.repeats)]
    middle = int(np.argsort(seconds)[len(seconds) // 2])
    found = sweeps[middle]
    answer.seconds, answer.all_seconds = seconds[middle], seconds
    answer.cpu_seconds, answer.stages = statistics.median(cpu), found.stages
    answer.load = os.getloadavg()[0]
    answer.fits = [Fit(k, found.fit_seconds.get(k), found.iterations.get(k)) for k in arguments.ks]
    return found


def sweep_once(client: Any, way: str, prepared: ours.Prepared, ks: list[int]) -> ours.Sweep:
    """Sweep; tell the seconds of each fit from what the scheduler saw of its task."""
    with get_task_stream(client) as seen:
        if way == "orimap-run":
            found = ours.sweep_as_run(prepared)
        else:
            found = ours.sweep(client, prepared, ks, held_out=way == "orimap-held-out")
    for task in seen.data:
        name = str(task["key"])
        if name.startswith("fit-k"):
            found.fit_seconds[int(name[5:].split("-")[0])] = sum(
                part["stop"] - part["start"]
                for part in task["startstops"]
                if part["action"] == "compute"
            )
    return found


def processor_seconds(client: Any) -> float:
    """Return what this process and the workers have used so far."""
    return time.process_time() + sum(client.run(time.process_time).values())


def keep(found: ours.Sweep, prepared: ours.Prepared, folder: Path) -> None:
    """Write the factors of every k for whoever scores them."""
    for k, (weights, patterns) in found.factors.items():
        np.savez(folder / f"k{k:02d}.npz", weights=weights, patterns=patterns)
    for images in found.training_images:
        fitted = prepared.weighting.fitted
        weighted = images[:, fitted] * prepared.weighting.pixel[fitted]
        np.savez(folder / f"training-k{len(images):02d}.npz", patterns=weighted)


if __name__ == "__main__":
    main()
