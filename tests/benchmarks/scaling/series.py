"""The large series: 10 TB in 10 million patterns on 64 nodes, and what of it breaks first."""

from collections.abc import Mapping
from typing import Any

from cluster_step import Outcome
from predict import CORES, MEMORY_BYTES, NODES, cluster_of, predict
from scan import Scan, Way
from words import markdown, number_of, size_of, time_of
from workloads import SINGLE, Steps

from orimap.tasks.patterns.source import MOST_GROUPS
from orimap.tasks.stream.memory import StepMemory, predict_steps
from orimap.tasks.stream.sizes import CANDIDATES_AT_MOST

SERIES = Scan((2500, 4000), 512, item_bytes=4, entries=4500.0)
# The names of steps in the prediction of memory.
MEMORY_OF = {
    "ingest": "ingest",
    "sketch": "sketch",
    "fits": "fit",
    "exact pass": "score",
    "held-out": "score",
}
# Fits of what is mended see a sample of positions.
FITTED = 500_000
BUSY = ("worker", "store", "scheduler", "command")


def series_page(costs: Mapping[str, Any]) -> list[str]:
    """Return the tables of the series, with what they say."""
    memory = predict_steps(SERIES.load(SERIES.entries))
    parts = [
        f"orimap refuses to begin with fewer than {size_of(hungriest(memory)[1])} a worker (step "
        f"{hungriest(memory)[0]}). What {CORES} workers a node would take without that, and then "
        "what as many workers take as it lets in:"
    ]
    found = {}
    for cores in (CORES, let_in(memory)):
        found[cores] = predict(SERIES, costs, cluster_of(NODES * cores, costs, cores))
        parts += [
            f"**{NODES} nodes of {cores} workers, {MEMORY_BYTES / cores / 1e9:.0f} GB each:** "
            f"{time_of(sum(one.seconds for one in found[cores].values()))} in all.",
            step_table(found[cores], memory, MEMORY_BYTES / cores),
        ]
    way = mended_way()
    mended = predict(SERIES, costs, cluster_of(NODES * CORES, costs), way)
    parts += [
        "What breaks first, and what would mend it:",
        breaks_table(costs, found[CORES], memory),
        f"Predicted for {NODES} nodes of {CORES} workers with all of it mended (orimap does not do "
        f"it yet): as many groups a pass as workers; coordinates and weights not "
        f"gathered; fits on {number_of(way.fitted_positions)} positions.",
        comparison_table(found[CORES], mended),
    ]
    return parts


def hungriest(memory: Mapping[str, StepMemory]) -> tuple[str, int]:
    """Return the step that needs most memory of a worker, and how much."""
    name = max(memory, key=lambda step: memory[step].worker)
    return name, memory[name].worker


def let_in(memory: Mapping[str, StepMemory]) -> int:
    """Return how many workers of a node have the memory that every step needs."""
    return min(CORES, int(MEMORY_BYTES // hungriest(memory)[1]))


def mended_way() -> Way:
    """Return a way that leaves nothing large to one process."""
    return Way(
        most_groups=NODES * CORES,
        gathered=False,
        fitted_positions=FITTED,
    )


def step_table(
    found: Mapping[str, Outcome], memory: Mapping[str, StepMemory], worker_bytes: float
) -> str:
    """Return one row for each step."""
    lines = []
    for name, one in found.items():
        needed = memory[MEMORY_OF[name]]
        too_much = " **too much**" if needed.worker > worker_bytes else ""
        longest = sorted(one.waited.items(), key=lambda item: -item[1])[:3]
        waited = ", ".join(f"{what} {time_of(s)}" for what, s in longest if s > 0.1)
        busy = (f"{100 * one.busy[what]:.0f}" for what in BUSY)
        lines.append(
            (
                name,
                time_of(one.seconds),
                f"{one.tasks:,}",
                one.limit,
                waited,
                " / ".join(busy),
                size_of(one.moved["store"]),
                size_of(one.moved["scheduler"]),
                size_of(needed.worker) + too_much,
                size_of(needed.command),
            )
        )
    head = (
        *("step", "time", "tasks of the largest graph", "limited by", "waited for"),
        f"busy: {' / '.join(BUSY)}, %",
        *("through the store", "through the scheduler", "memory of a worker", "of the command"),
    )
    return markdown(head, lines)


def comparison_table(found: Mapping[str, Outcome], mended: Mapping[str, Outcome]) -> str:
    """Return times and limits of the same steps, done in two ways."""
    lines = [
        (
            name,
            *(time_of(found[name].seconds), found[name].limit),
            *(time_of(one.seconds), one.limit, f"{one.tasks:,}"),
        )
        for name, one in mended.items()
    ]
    lines.append(
        (
            *("all", time_of(sum(one.seconds for one in found.values())), ""),
            *(time_of(sum(one.seconds for one in mended.values())), "", ""),
        )
    )
    return markdown(("step", "as it is", "limited by", "mended", "limited by", "tasks"), lines)


def breaks_table(
    costs: Mapping[str, Any], found: Mapping[str, Outcome], memory: Mapping[str, StepMemory]
) -> str:
    """Say what does not bear the series, with numbers, the worst first."""
    steps = Steps(SERIES, costs)
    n, share = SERIES.positions, MEMORY_BYTES / CORES
    svd = costs["command"]["svd_ns"] * 1e-9 * steps.rank**2
    gathering = max(("sketch", "score"), key=lambda name: memory[name].command)
    gathered = SINGLE * CANDIDATES_AT_MOST * n
    lines = [
        (
            "memory of a worker in fits and deciding: sketches whole, n × rank each",
            f"{size_of(memory['fit'].worker)} and {size_of(memory['decide'].worker)} of "
            f"{size_of(share)}; orimap refuses the run",
            f"{number_of(min(largest(share, 'fit'), largest(share, 'decide')))} patterns on "
            f"{size_of(share)}",
            "keep the sketch in single precision; fit on a sample of positions, for the exact "
            "pass solves the weights of all",
        ),
        (
            "candidates for hot pixels, gathered by the command",
            size_of(gathered),
            f"{number_of(MEMORY_BYTES / (gathered / n))} patterns",
            "gather the candidates that are hot after a sample, or their sums",
        ),
        (
            "fits: one task each, as long as that of the largest k",
            f"{SERIES.k_max} of {NODES * CORES:,} workers; {time_of(found['fits'].seconds)}, "
            f"at {steps.iterations(SERIES.k_max):.0f} iterations (both halves)",
            f"more than {SERIES.k_max} workers are never used",
            "a sample of positions; both halves a task each; several threads for a fit",
        ),
        (
            f"passes: at most {MOST_GROUPS:,} tasks",
            f"{MOST_GROUPS:,} for {NODES * CORES:,} workers",
            f"{MOST_GROUPS:,} workers",
            "at least as many groups as workers",
        ),
        (
            "SVD of n × rank in the command, one after the other for both halves",
            f"{time_of(svd * n)} each on one core",
            f"{number_of(60 / svd)} patterns take 1 min",
            "the rank × rank products are summed as the coordinates come; their eigenvectors do",
        ),
        (
            "memory of the command: gathers n × rank (sketch), n × components (exact pass)",
            f"{size_of(memory['sketch'].command)} and {size_of(memory['score'].command)} of "
            f"{size_of(MEMORY_BYTES)}",
            f"{number_of(largest(MEMORY_BYTES, gathering, 'command'))} patterns on "
            f"{size_of(MEMORY_BYTES)}",
            "workers write coordinates and weights of their blocks themselves",
        ),
    ]
    return markdown(("what", "here", "breaks at", "mended by"), lines, text=True)


def largest(allowed: float, step: str, of: str = "worker") -> int:
    """Return the largest number of patterns of which a step fits this memory."""
    low, high = 1, 10**6
    while high - low > 1:
        rows = (low + high) // 2
        scan = Scan((rows, 1000), SERIES.side, SERIES.k_max, SERIES.item_bytes)
        needed = getattr(predict_steps(scan.load(SERIES.entries))[step], of)
        low, high = (rows, high) if needed <= allowed else (low, rows)
    return 1000 * low
