"""Make the tables of the README from what ``measure.py`` wrote.

    python tests/benchmarks/scaling/table.py [COSTS.json]

Prints them and puts them into README.md beside this script, below the line that says so. Half a
minute of processor time, most of it for the 10 TB series.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from predict import (
    CORES,
    MEMORY_BYTES,
    NODE_BYTES_A_SECOND,
    NODES,
    STORE_BYTES_A_SECOND,
    cluster_of,
    predict,
)
from scan import Scan
from series import SERIES, series_page
from words import markdown, number_of, size_of, time_of
from workloads import Steps

FOLDER = Path(__file__).parent
MARK = "<!-- Below this line: made by table.py -->"
SWEEP = Scan((128, 128), 256)
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FEW = 2
SIZES = {
    "scan positions": [Scan((side, side), 256) for side in (64, 128, 256, 512)],
    "detector pixels": [Scan((128, 128), side) for side in (128, 256, 512, 1024)],
    "largest k": [Scan((128, 128), 256, k_max) for k_max in (10, 20, 40)],
}


def main() -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("costs", type=Path, nargs="?", default=FOLDER / "results" / "costs.json")
    costs = json.loads(parser.parse_args().costs.read_text())
    text = "\n\n".join(page(costs)) + "\n"
    print(text)
    readme = FOLDER / "README.md"
    readme.write_text(readme.read_text().split(MARK)[0] + f"{MARK}\n\n{text}")


def page(costs: Mapping[str, Any]) -> list[str]:
    """Return all tables, with what they show."""
    n, pixels = SWEEP.positions, SWEEP.side
    return [
        f"## Measured {measured(costs)}",
        "What one core takes:",
        costs_table(costs),
        "Whole tasks against the sum of their parts, as the model takes them:",
        check_table(costs),
        f"## Time against workers: {n:,} patterns of {pixels}×{pixels} pixels, k to {SWEEP.k_max}",
        sweep_table(costs),
        f"## Time against the size of a scan, on {FEW} workers",
        sizes_table(costs),
        "## What goes through the scheduler",
        traffic_table({"the scan above": SWEEP, "10 TB series": SERIES}, costs),
        f"## The 10 TB series: {number_of(SERIES.positions)} patterns of {SERIES.side}×"
        f"{SERIES.side} pixels × {SERIES.item_bytes} bytes on {NODES} nodes",
        f"Assumed: {CORES} cores and {MEMORY_BYTES / 1e9:.0f} GB a node, "
        f"{NODE_BYTES_A_SECOND / 1e9:g} GB/s network a node, {STORE_BYTES_A_SECOND / 1e9:g} GB/s "
        f"file system, cores as fast as the one measured, {SERIES.entries:,.0f} pixels of a "
        "pattern not zero.",
        *series_page(costs),
    ]


def measured(costs: Mapping[str, Any]) -> str:
    """Say when and on what the costs were measured."""
    dates = sorted({part["measured"] for part in costs.values() if "measured" in part})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"{when} on one core of {costs['machine']['processor']}"


def costs_table(costs: Mapping[str, Any]) -> str:
    """Return what was measured, by detector."""
    of = [costs[f"detector-{side}"] for side in (128, 256, 512)]
    rows = {
        "pixels of a pattern not zero": ("entries_a_pattern", "{:,.0f}"),
        "ingestion, ms a pattern": ("ingest_seconds_a_pattern", None),
        "reading, ns a pixel not zero": ("read_ns_an_entry", "{:.3g}"),
        "halves, ns a pixel not zero": ("halves_ns_an_entry", "{:.3g}"),
        "gram, ns a pixel not zero and direction": ("gram_ns_an_entry_direction", "{:.2f}"),
        "project, ns a pixel not zero and direction": ("project_ns_an_entry_direction", "{:.2f}"),
        "solve, ns a pixel not zero and column": ("solve_ns_an_entry_column", "{:.2f}"),
        "loss, ns a pixel not zero and column": ("loss_ns_an_entry_column", "{:.2f}"),
        "held-out, ns a pixel not zero and column": ("held_out_ns_an_entry_column", "{:.2f}"),
        "iteration of a fit, ns a (n + m)·k·rank": ("iteration_ns", "{:.2f}"),
    }
    lines = []
    for title, (key, form) in rows.items():
        cells = [form.format(one[key]) if form else f"{1e3 * one[key]:.2f}" for one in of]
        lines.append((title, *cells))
    alone, fits, scheduler = costs["command"], costs["fits"], costs["scheduler"]
    iterations = [sum(one) / len(one) for one in fits["iterations"].values()]
    rest = (
        f"Weights of all fits {1e6 * fits['solve_seconds_a_position']:.0f} µs a position; fits of "
        f"k = 1 to {len(iterations)} {min(iterations):.0f} to {max(iterations):.0f} iterations, on "
        f"average {sum(iterations) / len(iterations):.0f}; an orthonormal basis "
        f"{alone['basis_ns']:.2g} ns and SVD {alone['svd_ns']:.2g} ns a row × rank²; writing "
        f"{alone['write_ns_a_byte']:.2g} ns a byte; scheduler and client "
        f"{1e3 * scheduler['task_seconds']:.2g} ms a task that does nothing; a process "
        f"moves {scheduler['process_bytes_a_second'] / 1e9:.2g} GB/s."
    )
    head = ("", *(f"{side}×{side}" for side in (128, 256, 512)))
    return f"{markdown(head, lines)}\n\n{rest}"


def check_table(costs: Mapping[str, Any]) -> str:
    """Return what whole tasks took where parts were measured, beside what the model says."""
    seen = costs["fits"]["tasks"]
    scan = Scan((16, 32), 128, item_bytes=4)
    steps = Steps(scan, costs)
    told = {
        "ingest_blocks": [steps.ingest()],
        "_gram": 2 * [steps.gram(False), steps.gram(True)],
        "_project": [steps.project(False), steps.project(True)],
        "_solve_and_score": [steps.exact(last=False)],
        "_hold_out": [steps.held_out()],
    }
    lines = []
    for name, parts in told.items():
        model = sum(sum(step.seconds) for step in parts) / scan.positions
        whole = seen[name]["seconds_a_pattern"]
        lines.append((name, f"{1e6 * whole:.0f}", f"{1e6 * model:.0f}", f"{model / whole:.2f}"))
    return markdown(("", "measured, µs a pattern", "model, µs a pattern", "ratio"), lines)


def sweep_table(costs: Mapping[str, Any]) -> str:
    """Return times of all steps for every number of workers, and how much faster it is."""
    lines, alone = [], None
    for workers in WORKERS:
        found = predict(SWEEP, costs, cluster_of(workers, costs))
        swept = sum(one.seconds for name, one in found.items() if name != "ingest")
        alone = alone or swept
        lines.append(
            (
                str(workers),
                *(f"{time_of(one.seconds)} ({one.limit})" for one in found.values()),
                time_of(swept),
                f"{alone / swept:.1f}",
            )
        )
    steps = ("ingest", "sketch", "fits", "exact pass", "held-out")
    return markdown(("workers", *steps, "without ingestion", "times faster"), lines)


def sizes_table(costs: Mapping[str, Any]) -> str:
    """Return times of all steps as each size grows."""
    lines = []
    for title, scans in SIZES.items():
        for scan in scans:
            found = predict(scan, costs, cluster_of(FEW, costs))
            lines.append(
                (
                    title,
                    f"{scan.positions:,}",
                    f"{scan.side}×{scan.side}",
                    str(scan.k_max),
                    *(time_of(one.seconds) for one in found.values()),
                    time_of(sum(one.seconds for one in found.values())),
                )
            )
    steps = ("ingest", "sketch", "fits", "exact pass", "held-out")
    return markdown(("varied", "n", "m", "k to", *steps, "all"), lines)


def traffic_table(scans: Mapping[str, Scan], costs: Mapping[str, Any]) -> str:
    """Return tasks and bytes of a task, as submitted and as returned, of every kind of task."""
    lines = []
    for title, scan in scans.items():
        steps = Steps(scan, costs)
        kinds = {
            "ingest": steps.ingest(),
            "gram (summed on workers)": steps.gram(True),
            "project": steps.project(True),
            "fits": steps.fits(),
            "exact pass": steps.exact(last=False),
            "held-out": steps.held_out(),
        }
        for name, step in kinds.items():
            tasks = len(step.seconds)
            returned = 0 if step.summed else step.result_bytes
            lines.append(
                (
                    f"{title}: {name}",
                    f"{tasks:,}",
                    time_of(sum(step.seconds) / tasks),
                    size_of(step.message_bytes),
                    size_of(returned),
                    size_of(tasks * (step.message_bytes + returned)),
                )
            )
    head = ("", "tasks", "time of a task", "a task as submitted", "its result", "all")
    return markdown(head, lines)


if __name__ == "__main__":
    main()
