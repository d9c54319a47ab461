"""Draw what one pattern is made of, and patterns along a line (Cao et al. 2025, Fig. 5c and d)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import FuncNorm
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from orimap.tasks.report.figures.clusters import show_overlapping
from orimap.tasks.report.figures.images import ScanGrid
from orimap.tasks.report.figures.palette import cluster_colours
from orimap.tasks.report.figures.scan_maps import write_number
from orimap.tasks.report.figures.style import (
    INK,
    MASKED,
    QUIET,
    bare,
    draw_colour_bar,
    place_axes,
    show_map,
)
from orimap.tasks.report.words import cluster_text, figure_text

# A contribution below this share of the pattern's intensity gets no panel of its own.
SHOWN_SHARE = 0.01
RESIDUAL_COLOURS = "RdBu_r"


def root_norm(limit: float, *, signed: bool = False) -> FuncNorm:
    """Return the colour scale of patterns: the root of the intensity, sign kept."""
    return FuncNorm(
        (lambda v: np.sign(v) * np.sqrt(np.abs(v)), lambda v: np.sign(v) * np.square(v)),
        vmin=-limit if signed else 0,
        vmax=limit,
    )


def brightest(pattern: np.ndarray, fitted: np.ndarray | None) -> float:
    """Return the largest intensity beside the direct beam, which the scale need not show."""
    inside = pattern if fitted is None or not fitted.any() else pattern[fitted]
    return float(inside.max(initial=0)) or float(pattern.max(initial=0)) or 1.0


@dataclass(frozen=True)
class Part:
    """One panel of a decomposition.

    Parameters
    ----------
    title : str
    values : (dy, dx) array
    caption : str
    cluster : int or None
        Whose colour frames it.
    signed : bool
        Whether values may be negative (a residual).
    """

    title: str
    values: np.ndarray
    caption: str = ""
    cluster: int | None = None
    signed: bool = False


def parts_of(
    contributions: np.ndarray,
    shares: np.ndarray,
    errors: np.ndarray,
    background: np.ndarray,
    *,
    units: str,
) -> list[Part]:
    """Choose what gets a panel: each cluster with a visible part, the others in one, background.

    Parameters
    ----------
    contributions : (cluster, dy, dx) array
    shares, errors : (cluster,) arrays
    background : (dy, dx) array
    units : str
        Unit of the intensity.
    """
    sums = contributions.sum(axis=(1, 2))
    total = max(float(sums.sum() + background.sum()), 1e-300)
    parts = []
    order = np.argsort(-shares, kind="stable")
    shown = [c for c in order[:4] if sums[c] >= SHOWN_SHARE * total]
    # The two that overlap always; a third or fourth where it can be seen.
    shown = shown[:2] + [c for c in shown[2:] if sums[c] >= 5 * SHOWN_SHARE * total]
    for cluster in shown:
        error = f" ± {errors[cluster]:.2f}" if np.isfinite(errors[cluster]) else ""
        caption = f"share {shares[cluster]:.2f}{error}\n{figure_text(sums[cluster])} {units}"
        parts.append(Part("", contributions[cluster], caption, int(cluster)))
    others = np.setdiff1d(np.arange(len(sums)), shown)
    rest = contributions[others].sum(axis=0)
    for title, values in (("other clusters", rest), ("background", background)):
        if values.sum() >= SHOWN_SHARE * total:
            parts.append(Part(title, values, f"{figure_text(values.sum())} {units}"))
    return parts


def decomposition_figure(
    measured: np.ndarray,
    parts: Sequence[Part],
    residual: np.ndarray,
    *,
    units: str,
    clusters: int,
    fitted: np.ndarray | None = None,
) -> Figure:
    """Draw a pattern as the sum of its parts, all on one scale.

    Parameters
    ----------
    measured, residual : (dy, dx) arrays
        ``measured`` = sum of the parts + ``residual``.
    parts : sequence of Part
    units : str
        Unit of the intensity.
    clusters : int
        Number of clusters, which decides their colours.
    fitted : (dy, dx) array of bool, optional
        Pixels that the fit saw; the direct beam is brighter than the scale.
    """
    limit = brightest(np.sum([part.values for part in parts], axis=0), fitted)
    total = f"{figure_text(measured.sum())} {units}"
    panels = [
        Part("measured", measured, total),
        *parts,
        Part("residual", residual, f"{figure_text(residual.sum())} {units}", signed=True),
    ]
    size = min(2.1, 11.2 / len(panels) - 0.28)
    height = size * measured.shape[0] / measured.shape[1]
    pitch = size + 0.28
    figure = Figure(figsize=(len(panels) * pitch - 0.1, height + 1.15))
    colours = cluster_colours(clusters)
    images = []
    for i, part in enumerate(panels):
        axes = place_axes(figure, 0.08 + i * pitch, 0.3, size, height)
        images.append(
            show_map(
                axes, part.values, part.title, cmap=RESIDUAL_COLOURS if part.signed else "gray",
                norm=root_norm(limit, signed=part.signed),
            )
        )  # fmt: skip
        if part.cluster is not None:
            bare(axes, colours[part.cluster], 2.5)
            write_number(axes, part.cluster, colours[part.cluster])
        axes.set_xlabel(part.caption, fontsize=8, color=INK, labelpad=4, loc="left")
        if i:
            figure.text(
                (0.08 + i * pitch - 0.14) / figure.get_figwidth(),
                1 - (0.3 + height / 2) / figure.get_figheight(),
                "=" if i == 1 else "+", ha="center", va="center", fontsize=14, color=INK,
            )  # fmt: skip
    for place, image, label in ((0, images[0], "intensity"), (len(panels) - 1, images[-1], "")):
        bar_axes = place_axes(figure, 0.08 + place * pitch, height + 0.77, size, 0.09)
        _root_bar(image, bar_axes, limit, signed=not label)
    return figure


def _root_bar(image: ScalarMappable, place: Axes, limit: float, *, signed: bool) -> None:
    """Draw a colour bar with a few round numbers, which stand apart on a root scale."""
    bar = draw_colour_bar(image, place, "horizontal")
    quarter = float(f"{limit / 4:.1g}")
    whole = float(f"{limit:.1g}") if float(f"{limit:.1g}") <= limit else 4 * quarter
    ticks = [0.0, quarter, min(whole, limit)]
    bar.set_ticks([-ticks[-1], *ticks[::2]] if signed else ticks)
    bar.set_ticklabels([figure_text(v, 2) for v in bar.get_ticks()])


def line_figure(
    labels: np.ndarray,
    ratio: np.ndarray,
    position: np.ndarray,
    patterns: np.ndarray,
    shares: np.ndarray,
    errors: np.ndarray,
    scan: ScanGrid,
    *,
    fitted: np.ndarray | None = None,
    cluster_names: Sequence[str] = (),
) -> Figure:
    """Draw patterns along a line, the shares along it, and where the line lies.

    Parameters
    ----------
    labels, ratio : (scan_y, scan_x) arrays
        Cluster; second share over first.
    position : (point, 2) array of int
        Rows and columns.
    patterns : (point, dy, dx) array
    shares, errors : (point, cluster) arrays
    scan : ScanGrid
    fitted : (dy, dx) array of bool, optional
        Pixels that the fit saw; the direct beam is brighter than the scale.
    cluster_names : sequence of str
        Of clusters that have one.
    """
    count, clusters = len(patterns), shares.shape[1]
    colours = cluster_colours(clusters)
    names = [chr(ord("a") + i) for i in range(count)]
    tile = min(1.3, 11.2 / count - 0.06)
    tall = tile * patterns.shape[1] / patterns.shape[2]
    width, height = scan.box(labels.shape, 3.4, 2.9)
    total = count * (tile + 0.06) + 0.1
    figure = Figure(figsize=(max(total, width + 4.6), height + tall + 1.15))
    full = figure.get_figwidth()

    overview = place_axes(figure, 0.05, 0.3, width, height)
    show_overlapping(overview, labels, ratio, colours, scan)
    halo = [withStroke(linewidth=3.2, foreground="#000000")]
    overview.plot(
        position[:, 1], position[:, 0], color="#ffffff", lw=1.6, marker="o", ms=2.6,
        path_effects=halo,
    )  # fmt: skip
    step = position[-1] - position[0]
    unit = step / max(1e-9, float(np.hypot(*step)))
    for end, sign in ((0, -1), (-1, 1)):
        y, x = position[end] + sign * unit * 0.045 * max(labels.shape)
        overview.text(
            x, y, names[end], color="#ffffff", fontsize=10, fontweight="bold", ha="center",
            va="center", path_effects=[withStroke(linewidth=2.4, foreground="#000000")],
        )  # fmt: skip
    overview.set_xlim(-0.5, labels.shape[1] - 0.5)
    overview.set_ylim(labels.shape[0] - 0.5, -0.5)

    left = width + 0.85
    _draw_shares(
        place_axes(figure, left, 0.42, full - left - 0.15, height - 0.24),
        _distance(position, scan), shares, errors, names, scan.units, cluster_names,
    )  # fmt: skip

    limit = max(brightest(np.median(patterns, axis=0), fitted), brightest(patterns.mean(0), fitted))
    top = height + 1.05
    pitch = (full - 0.1) / count
    for i, (pattern, name) in enumerate(zip(patterns, names, strict=True)):
        axes = place_axes(figure, 0.05 + i * pitch, top, tile, tall)
        show_map(axes, pattern, name, cmap="gray", norm=root_norm(limit))
        label = int(labels[tuple(position[i])])
        bare(axes, colours[label] if label >= 0 else MASKED, 2.2)
    return figure


def _distance(position: np.ndarray, scan: ScanGrid) -> np.ndarray:
    """Return how far each point is from the first, in the unit of the scan."""
    steps = (position - position[0]) * np.array([scan.step_y, scan.step_x])
    return np.hypot(*steps.T)


def _draw_shares(
    axes: Axes,
    distance: np.ndarray,
    shares: np.ndarray,
    errors: np.ndarray,
    names: Sequence[str],
    units: str,
    clusters: Sequence[str],
) -> None:
    """Draw the shares of the clusters that matter along a line, with their errors."""
    colours = cluster_colours(shares.shape[1])
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9, color=QUIET)
    for cluster in np.flatnonzero(shares.max(axis=0, initial=0) >= 0.1):
        bars = errors[:, cluster] if np.isfinite(errors[:, cluster]).any() else None
        axes.errorbar(
            distance, shares[:, cluster], yerr=bars, color=colours[cluster], marker="o", ms=4.5,
            lw=1.8, capsize=2.5, label=f"cluster {cluster_text(int(cluster), clusters)}",
        )  # fmt: skip
    axes.set_ylim(0, max(1.1, float(shares.max(initial=0)) * 1.08))
    axes.set_ylabel("share", color=INK)
    axes.set_xlabel(f"distance ({'positions' if units == 'px' else units})", color=INK)
    above = axes.secondary_xaxis("top")
    above.set_xticks(distance, names)
    above.tick_params(labelsize=9, color=QUIET, colors=INK, length=2)
    above.spines["top"].set_visible(False)
    axes.legend(
        loc="center left", fontsize=8.5, frameon=True, framealpha=0.85, edgecolor="none",
        labelcolor=INK,
    )  # fmt: skip
