"""Draw what one pattern is made of, and patterns along a line (Cao et al. 2025, Fig. 5c and d)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import FuncNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from orimap.tasks.report.figures.clusters import show_overlapping
from orimap.tasks.report.figures.images import IN_PIXELS, DetectorGrid, ScanGrid
from orimap.tasks.report.figures.palette import cluster_colours
from orimap.tasks.report.figures.scan_maps import write_number
from orimap.tasks.report.figures.style import (
    GRID,
    INK,
    MASKED,
    NARROWEST,
    QUIET,
    bare,
    draw_colour_bar,
    draw_pattern_bar,
    mark_pattern,
    place_axes,
    plain,
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
    colours: Sequence[str],
    detector: DetectorGrid = IN_PIXELS,
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
    colours : sequence of str
        Of the clusters.
    detector : DetectorGrid
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
    images = []
    for i, part in enumerate(panels):
        axes = place_axes(figure, 0.08 + i * pitch, 0.3, size, height)
        images.append(
            show_map(
                axes, part.values, part.title, cmap=RESIDUAL_COLOURS if part.signed else "gray",
                norm=root_norm(limit, signed=part.signed),
            )
        )  # fmt: skip
        if not part.signed:
            draw_pattern_bar(axes, measured.shape, detector, written=i == 0)
        if part.cluster is not None:
            mark_pattern(axes, part.cluster)
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
    # The outer numbers end where the bar does: nothing is cut off.
    labels = bar.ax.get_xticklabels()
    labels[-1].set_horizontalalignment("right")
    labels[0].set_horizontalalignment("left")


def line_figure(
    labels: np.ndarray,
    ratio: np.ndarray,
    position: np.ndarray,
    patterns: np.ndarray,
    shares: np.ndarray,
    errors: np.ndarray,
    scan: ScanGrid,
    *,
    colours: Sequence[str] | None = None,
    detector: DetectorGrid = IN_PIXELS,
    fitted: np.ndarray | None = None,
    cluster_names: Sequence[str] = (),
) -> Figure:
    """Draw patterns along a line, the shares along it, and where it lies, enlarged.

    Parameters
    ----------
    labels, ratio : (scan_y, scan_x) arrays
        Cluster; second share over first.
    position : (point, 2) array of int
        Rows and columns.
    patterns : (point, dy, dx) array
    shares, errors : (point, cluster) arrays
    scan : ScanGrid
    colours : sequence of str
        Of the clusters.
    detector : DetectorGrid
    fitted : (dy, dx) array of bool, optional
        Pixels that the fit saw; the direct beam is brighter than the scale.
    cluster_names : sequence of str
        Of clusters that have one.
    """
    colours = colours or cluster_colours(shares.shape[1])
    count = len(patterns)
    names = [chr(ord("a") + i) for i in range(count)]
    tile = min(1.3, 11.2 / count - 0.06)
    tall = tile * patterns.shape[1] / patterns.shape[2]
    width, height = scan.box(labels.shape, 2.5, 2.9)
    box = box_around(position, labels.shape)
    inside = labels[box[0] : box[1], box[2] : box[3]]
    zoom_width, zoom_height = scan.box(inside.shape, 2.9, 2.9)
    room = max(height, zoom_height, 2.2)
    pitch = max(width, NARROWEST - 0.1) + 0.2
    left = pitch + max(zoom_width, 2.0) + 0.85
    figure = Figure(figsize=(max(count * (tile + 0.06) + 0.1, left + 3.2), room + tall + 1.15))
    full = figure.get_figwidth()

    overview = place_axes(figure, 0.05, 0.3, width, height)
    show_overlapping(overview, labels, ratio, colours, scan)
    for lw, colour in ((3.2, "#000000"), (1.4, "#ffffff")):
        corner = (box[2] - 0.5, box[0] - 0.5)
        size = box[3] - box[2], box[1] - box[0]
        overview.add_patch(Rectangle(corner, *size, fill=False, edgecolor=colour, lw=lw))
    overview.set_xlim(-0.5, labels.shape[1] - 0.5)
    overview.set_ylim(labels.shape[0] - 0.5, -0.5)

    zoom = place_axes(figure, 0.05 + pitch, 0.3, zoom_width, zoom_height)
    _show_box(zoom, labels, ratio, colours, scan, box)
    _draw_line(zoom, position, names, size=max(inside.shape))

    _draw_shares(
        place_axes(figure, left, 0.42, full - left - 0.15, room - 0.24),
        _distance(position, scan), shares, errors, names, scan.units, cluster_names, colours,
    )  # fmt: skip

    limit = max(brightest(np.median(patterns, axis=0), fitted), brightest(patterns.mean(0), fitted))
    top = room + 1.05
    step = (full - 0.1) / count
    for i, (pattern, name) in enumerate(zip(patterns, names, strict=True)):
        axes = place_axes(figure, 0.05 + i * step, top, tile, tall)
        show_map(axes, pattern, name, cmap="gray", norm=root_norm(limit))
        draw_pattern_bar(axes, pattern.shape, detector, written=i == 0)
        label = int(labels[tuple(position[i])])
        bare(axes, colours[label] if label >= 0 else MASKED, 2.2)
        if label >= 0:
            mark_pattern(axes, label)
    return figure


def box_around(position: np.ndarray, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return first and end row and column of a square around a line, within the scan.

    Parameters
    ----------
    position : (point, 2) array of int
        Rows and columns.
    shape : (int, int)
        Of the scan.
    """
    low, high = position.min(axis=0), position.max(axis=0)
    # A third of the line's length shows beside it.
    side = int(np.max(high - low)) + 1
    side += 2 * max(2, round(side / 6))
    edges = []
    for first, last, size in zip(low, high, shape, strict=True):
        start = int(np.clip((first + last + 1 - side) // 2, 0, max(0, size - side)))
        edges += [start, min(size, start + side)]
    return edges[0], edges[1], edges[2], edges[3]


def _show_box(
    axes: Axes,
    labels: np.ndarray,
    ratio: np.ndarray,
    colours: Sequence[str],
    scan: ScanGrid,
    box: tuple[int, int, int, int],
) -> None:
    """Show part of the map of clusters, darker where they overlap, its rows and columns named."""
    part = slice(box[0], box[1]), slice(box[2], box[3])
    show_overlapping(axes, labels[part], ratio[part], colours, scan, "the box, enlarged")
    # What a pointer explores are whole maps.
    axes.patch.set_gid(None)
    axes.images[0].set_extent((box[2] - 0.5, box[3] - 0.5, box[1] - 0.5, box[0] - 0.5))
    axes.set_xlim(box[2] - 0.5, box[3] - 0.5)
    axes.set_ylim(box[1] - 0.5, box[0] - 0.5)


def _draw_line(axes: Axes, position: np.ndarray, names: Sequence[str], size: int) -> None:
    """Draw a line over a map, a letter at both of its ends."""
    halo = [withStroke(linewidth=3.2, foreground="#000000")]
    axes.plot(
        position[:, 1], position[:, 0], color="#ffffff", lw=1.6, marker="o", ms=3.2,
        path_effects=halo, scalex=False, scaley=False,
    )  # fmt: skip
    step = position[-1] - position[0]
    unit = step / max(1e-9, float(np.hypot(*step)))
    for end, sign in ((0, -1), (-1, 1)):
        y, x = position[end] + sign * unit * 0.06 * size
        axes.text(
            x, y, names[end], color="#ffffff", fontsize=10, fontweight="bold", ha="center",
            va="center", path_effects=[withStroke(linewidth=2.4, foreground="#000000")],
        )  # fmt: skip


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
    colours: Sequence[str],
) -> None:
    """Draw the shares of the clusters that matter along a line, with their errors."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, labelsize=9, color=QUIET)
    for cluster in np.flatnonzero(shares.max(axis=0, initial=0) >= 0.1):
        bars = errors[:, cluster] if np.isfinite(errors[:, cluster]).any() else None
        axes.errorbar(
            distance, shares[:, cluster], yerr=bars, color=colours[cluster], marker="o", ms=4.5,
            lw=1.8, capsize=2.5, label=f"cluster {plain(cluster_text(int(cluster), clusters))}",
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
