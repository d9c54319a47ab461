"""Draw how ways of deciding compare: how often k is right, how far off it is, how good maps are."""

from collections import Counter
from pathlib import Path

import numpy as np
from rows import Row
from summary import summarise
from ways import WAYS

OURS, OTHERS, FAINT = "#0b6e99", "#8a8a8a", "#d9d9d9"
# Errors beyond this are drawn at the edge.
FARTHEST = 10


def draw(part: list[Row], path: Path) -> None:
    """Draw the rows into a PNG, one line for each way."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    ways = [way for way in WAYS if any(row.way == way.name for row in part)]
    figure, (shares, errors, maps) = plt.subplots(
        1,
        3,
        sharey=True,
        figsize=(12, 1.6 + 0.42 * len(ways)),
        width_ratios=(1.0, 1.1, 1.0),
        layout="constrained",
    )
    for place, way in enumerate(ways):
        of_way = [row for row in part if row.way == way.name]
        colour = OURS if way.strategy == "evidence" else OTHERS
        _draw_shares(shares, place, of_way, colour)
        _draw_errors(errors, place, of_way, colour)
        _draw_maps(maps, place, of_way, colour)
    shares.set(xlim=(0, 100), xlabel="scans (%)", title="k exact (full), within one (faint)")
    edge = np.arange(-FARTHEST, FARTHEST + 1, 5)
    errors.set_xticks(
        edge,
        [
            f"≤{e}" if e == edge[0] else f"≥+{e}" if e == edge[-1] else f"{e:+d}" if e else "0"
            for e in edge
        ],
    )
    errors.set(xlabel="k − true k", title="error of k (area: number of scans)")
    errors.axvline(0, color="black", linewidth=0.9, zorder=1)
    errors.set_xlim(-FARTHEST - 1, FARTHEST + 1)
    maps.set(xlim=(-0.02, 1.02), xlabel="adjusted Rand index", title="maps (bar: median)")
    scans = Counter(row.way for row in part)
    titles = [f"{way.title}  ({scans[way.name]})" for way in ways]
    shares.set_yticks(range(len(ways)), titles)
    shares.set_ylim(len(ways) - 0.4, -0.6)
    for axes in (shares, errors, maps):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.title.set_fontsize(11)
        axes.grid(axis="x", color=FAINT, linewidth=0.6)
        axes.set_axisbelow(True)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _draw_shares(axes, place: int, of_way: list[Row], colour: str) -> None:
    """Draw a bar of scans with exact k over one of scans within one of it."""
    summary = summarise(of_way)
    axes.barh(place, 100 * summary.within_one, height=0.62, color=colour, alpha=0.3)
    axes.barh(place, 100 * summary.exact, height=0.62, color=colour)
    axes.annotate(
        f"{100 * summary.exact:.0f}, {100 * summary.within_one:.0f}",
        (100 * summary.within_one, place),
        xytext=(4, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
    )


def _draw_errors(axes, place: int, of_way: list[Row], colour: str) -> None:
    """Draw a disc for every error, its area the share of scans with it."""
    errors = [row.k - row.k_true for row in of_way if row.k is not None]
    counts = Counter(int(np.clip(error, -FARTHEST, FARTHEST)) for error in errors)
    axes.scatter(
        list(counts),
        [place] * len(counts),
        s=[900 * number / len(of_way) for number in counts.values()],
        color=colour,
        alpha=0.8,
        zorder=2,
        linewidths=0,
    )


def _draw_maps(axes, place: int, of_way: list[Row], colour: str) -> None:
    """Draw a dot for every map, spread so that they can be told apart, and their median."""
    aris = [row.ari for row in of_way if row.ari is not None]
    spread = np.random.default_rng(0).uniform(-0.22, 0.22, len(aris))
    axes.scatter(aris, place + spread, s=12, color=colour, alpha=0.6, linewidths=0)
    if aris:
        axes.plot([np.median(aris)] * 2, [place - 0.32, place + 0.32], color="black", linewidth=2)
