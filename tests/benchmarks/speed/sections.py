"""From what contestants measured to the figures and ratios of one size."""

from dataclasses import replace
from typing import Any

from contest import Outcome
from extrapolate import sweep_seconds
from results import Ratio
from ways import REFERENCE, Way

# Errors and maps must not get worse at all; what differs in the last digits is the machine.
CLOSE = 0.002


def row_of(outcome: Outcome, ks: list[int], known_iterations: dict[int, int]) -> dict[str, Any]:
    """Return the figures of one contestant, before its factors are scored."""
    row: dict[str, Any] = {"seconds": None, "extrapolated": None, "failure": outcome.failure}
    answer = outcome.answer
    if answer is None:
        return row
    seconds, cpu_seconds, how = answer.seconds, answer.cpu_seconds, None
    if not answer.stages and (estimate := sweep_seconds(answer.fits, ks, known_iterations)):
        of_cpu = [replace(fit, seconds=fit.cpu_seconds) for fit in answer.fits]
        cpu_seconds = sweep_seconds(of_cpu, ks, known_iterations).seconds
        seconds, how = estimate.seconds, estimate.how
    whole = [fit for fit in answer.fits if not fit.sampled]
    return row | {
        "seconds": seconds,
        "extrapolated": how,
        "all_seconds": answer.all_seconds,
        "cpu_seconds": cpu_seconds,
        "stages": answer.stages,
        "peak_bytes": outcome.peak_bytes,
        "start_up_seconds": answer.start_up_seconds,
        "warm_up_seconds": answer.warm_up_seconds,
        "fit_seconds": {fit.k: fit.seconds for fit in whole},
        "iterations": {fit.k: fit.iterations for fit in whole},
        "load": answer.load,
        "threads": answer.threads,
        "versions": answer.versions,
    }


def scaled(row: dict[str, Any], factor: float, origin: str, grows_with: str) -> dict[str, Any]:
    """Return the figures of a way on a larger scan, from those on a smaller one."""
    if not row.get("seconds"):
        return {"seconds": None, "extrapolated": None, "failure": f"no figures of {origin} either"}
    how = f"{factor:.3g} times the {origin} scan's, as there are so many times its {grows_with}"
    before = row["extrapolated"]
    grown = ("seconds", "cpu_seconds", "peak_bytes")
    return {
        **{name: factor * row[name] if row.get(name) else None for name in grown},
        "extrapolated": f"{how}; those {before}" if before else how,
        "failure": None,
    }


def growth(way: Way, figures: dict[str, Any], smaller: dict[str, Any]) -> float:
    """Return how many times more work a scan is than a smaller one."""
    name = "filled_entries" if way.cost_grows_with == "entries not 0" else "entries"
    return figures["scan"][name] / smaller["scan"][name]


COSTS = {
    "seconds": lambda row: row.get("seconds"),
    "processor time": lambda row: row.get("cpu_seconds"),
    "peak memory": lambda row: row.get("peak_bytes"),
    # Together: some load most of what they are at first use.
    "start-up and warm-up": lambda row: (
        row.get("start_up_seconds", 0) + row.get("warm_up_seconds", 0)
    ),
}


def ratios_of(figures: dict[str, Any]) -> dict[str, Ratio]:
    """Return all ratios of a section: to orimap, and to one plain read of the store."""
    ways, found = figures["ways"], {}
    read = figures.get("plain_read", {}).get("workers")
    ours = ways.get(REFERENCE, {})
    for name, row in ways.items():
        of_us = name.startswith(REFERENCE)
        if not row.get("seconds"):
            continue
        loose = bool(row["extrapolated"])
        if read:
            better = "lower" if of_us else None
            found[f"{name} / plain read: seconds"] = Ratio(
                row["seconds"] / read, better, extrapolated=loose
            )
            for stage, seconds in row.get("stages", {}).items():
                found[f"{name}, {stage} / plain read: seconds"] = Ratio(seconds / read, better)
        if name == REFERENCE or not ours.get("seconds"):
            continue
        better = "lower" if of_us else "higher"
        for what, value_of in COSTS.items():
            if value_of(row) and value_of(ours):
                found[f"{name} / {REFERENCE}: {what}"] = Ratio(
                    value_of(row) / value_of(ours), better, extrapolated=loose
                )
        if not of_us:
            found |= _quality_ratios(name, row, ours, figures["k_true"])
    if "held_out" in figures:
        found |= _held_out_ratios(figures["held_out"])
    return found


def _quality_ratios(
    name: str, row: dict[str, Any], ours: dict[str, Any], k_true: int
) -> dict[str, Ratio]:
    """Compare errors at the worst k, up to the true number and beyond, and the map at it."""
    found = {}
    both = _common(ours.get("relative_error", {}), row.get("relative_error", {}))
    parts = {
        "up to the true k": [a / b for k, (a, b) in both.items() if k <= k_true],
        "beyond the true k": [a / b for k, (a, b) in both.items() if k > k_true],
    }
    for part, values in parts.items():
        if values:
            found[f"{REFERENCE} / {name}: relative error, worst k {part}"] = Ratio(
                max(values), "lower", CLOSE
            )
    if row.get("ari") and ours.get("ari"):
        found[f"{REFERENCE} / {name}: ARI at the true k"] = Ratio(
            ours["ari"] / row["ari"], "higher", CLOSE
        )
    return found


def _held_out_ratios(held_out: dict[str, dict[int, float]]) -> dict[str, Ratio]:
    """Compare the held-out deviance at the worst k."""
    (ours, *_), names = held_out.values(), list(held_out)
    found = {}
    for name in names[1:]:
        both = _common(ours, held_out[name])
        if both:
            found[f"{names[0]} / {name}: held-out deviance, worst k"] = Ratio(
                max(a / b for a, b in both.values()), "lower", CLOSE
            )
    return found


def _common(ours: dict, theirs: dict) -> dict[int, tuple[float, float]]:
    """Pair what both have, by k."""
    theirs = {int(k): value for k, value in theirs.items()}
    return {int(k): (value, theirs[int(k)]) for k, value in ours.items() if int(k) in theirs}
