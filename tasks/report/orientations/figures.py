"""Draw orientations: maps in the colours of directions, indices over patterns, boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from orimap.tasks.report.figures.images import (
    IN_PIXELS,
    NO_LABEL,
    NO_PATTERN,
    DetectorGrid,
    ScanGrid,
    label_image,
    pattern_levels,
)
from orimap.tasks.report.figures.palette import NO_CLUSTER, NOT_MEASURED, rgb
from orimap.tasks.report.figures.style import (
    DARK,
    INK,
    NARROWEST,
    QUIET,
    bare,
    draw_colour_bar,
    draw_pattern_bar,
    draw_scale_bar,
    mark_map,
    mark_pattern,
    place_axes,
    plain,
    show_map,
    write_title,
)
from orimap.tasks.report.orientations.colours import colour_key
from orimap.tasks.report.orientations.directions import (
    ALONG,
    CrystalKey,
    cluster_direction_colours,
    corner_names,
)

# Of each pattern the indices of so many reflections are written, the brightest that have room.
MOST_INDICES, ROOM = 10, 0.13
MARKED, TWIN = "#38d6ff", "#ff3b30"


def direction_maps_figure(
    labels: np.ndarray,
    rotation: np.ndarray,
    phase: np.ndarray,
    crystals: Sequence[CrystalKey],
    scan: ScanGrid,
) -> Figure:
    """Draw the maps of the crystal directions along z, x and y of the sample, with colour keys.

    Parameters
    ----------
    labels : (scan_y, scan_x) array of int
    rotation, phase, crystals
        As of `cluster_direction_colours`.
    scan : ScanGrid
    """
    width, height = scan.box(labels.shape, 2.7, 3.4)
    pitch, key = max(width, 1.8) + 0.2, 1.35
    rows = -(-len(crystals) // 3)
    figure = Figure(figsize=(3 * pitch + 0.1, height + 0.9 + rows * (key + 0.6)))
    for n, (name, along) in enumerate(ALONG.items()):
        axes = place_axes(figure, 0.05 + n * pitch, 0.27, width, height)
        colours = cluster_direction_colours(rotation, phase, crystals, along)
        table = np.where(np.isfinite(colours), colours, rgb([NO_CLUSTER])[0])
        table = np.concatenate([table, rgb([NOT_MEASURED, NO_CLUSTER])])
        show_map(axes, table[labels], f"along {name}")
        mark_map(axes)
    draw_scale_bar(figure.axes[0], labels.shape, scan)
    for n, crystal in enumerate(crystals):
        row, column = divmod(n, 3)
        top = height + 1.12 + row * (key + 0.6)
        _draw_key(figure, 0.4 + column * pitch, top, key, crystal)
    return figure


def _draw_key(figure: Figure, left: float, top: float, size: float, crystal: CrystalKey) -> None:
    """Draw the sector of a crystal in its colours, with the indices of its corners."""
    image, corners = colour_key(crystal.turns)
    tall, wide = image.shape[:2]
    scale = size / max(tall, wide)
    axes = place_axes(figure, left, top, wide * scale, tall * scale)
    axes.imshow(image, aspect="auto", extent=(0, 1, 1, 0))
    axes.axis("off")
    axes.set_title(plain(crystal.name), loc="left", fontsize=9, color=INK, pad=16)
    for (x, y), name in zip(corners, corner_names(crystal), strict=True):
        below = y > 0.5
        axes.annotate(
            name, (x, y), (0, -4 if below else 4), textcoords="offset points",
            ha="center", va="top" if below else "bottom", fontsize=8, color=INK,
            annotation_clip=False,
        )  # fmt: skip


def phases_figure(
    labels: np.ndarray,
    phase: np.ndarray,
    names: Sequence[str],
    colours: Sequence[str],
    scan: ScanGrid,
) -> Figure:
    """Draw the map of crystals.

    Parameters
    ----------
    labels : (scan_y, scan_x) array of int
    phase : (cluster,) int array
        -1 where no crystal explains a cluster.
    names, colours : sequences of str
        Of the crystals.
    scan : ScanGrid
    """
    from matplotlib.patches import Patch

    width, height = scan.box(labels.shape, 3.4, 4.0)
    figure = Figure(figsize=(max(width, NARROWEST) + 0.1, height + 0.6 + 0.2 * (len(names) + 1)))
    axes = place_axes(figure, 0.05, 0.05, width, height)
    of_position = np.where(labels >= 0, np.append(phase, NO_LABEL)[labels], labels)
    show_map(axes, label_image(of_position, colours))
    mark_map(axes)
    draw_scale_bar(axes, labels.shape, scan)
    shown = [*zip(names, colours, strict=True), ("none of these", NO_CLUSTER)]
    axes.legend(
        handles=[
            Patch(facecolor=colour, edgecolor=QUIET, linewidth=0.5, label=plain(name))
            for name, colour in shown
        ],
        loc="upper left", bbox_to_anchor=(0, -0.42 / height), fontsize=8, frameon=False,
        borderaxespad=0, borderpad=0, handlelength=0.8, handletextpad=0.4,
    )  # fmt: skip
    return figure


@dataclass(frozen=True)
class Spots:
    """Simulated reflections: of which cluster, their indices, places and amplitudes."""

    cluster: np.ndarray
    hkl: np.ndarray
    position: np.ndarray
    amplitude: np.ndarray


def indexed_patterns_figure(
    patterns: np.ndarray,
    spots: Spots,
    titles: Sequence[str],
    *,
    colours: Sequence[str],
    detector: DetectorGrid = IN_PIXELS,
    mask: np.ndarray | None = None,
) -> Figure:
    """Draw simulated reflections with indices over the measured pattern of each cluster.

    Parameters
    ----------
    patterns : (cluster, dy, dx) array
    spots : Spots
    titles : sequence of str
        What is written above each.
    colours : sequence of str
        Of the clusters.
    detector : DetectorGrid
    mask : (dy, dx) array, optional
        Pixels to leave out of the patterns.
    """
    count = len(patterns)
    columns = min(count, 3)
    rows = -(-count // columns)
    size = 2.9
    tall = size * patterns.shape[1] / patterns.shape[2]
    pitch, block = size + 0.15, tall + 0.33
    figure = Figure(figsize=(columns * pitch + 0.05, rows * block + 0.1))
    for cluster, pattern in enumerate(patterns):
        row, column = divmod(cluster, columns)
        axes = place_axes(figure, 0.07 + column * pitch, 0.27 + row * block, size, tall)
        axes.imshow(pattern_levels(pattern, mask), cmap="gray", vmin=0, vmax=1, aspect="auto")
        bare(axes, colours[cluster], 2.5)
        mark_pattern(axes, cluster)
        draw_pattern_bar(axes, pattern.shape, detector)
        write_title(axes, plain(titles[cluster]))
        own = np.flatnonzero(spots.cluster == cluster)
        if own.size:
            _draw_spots(axes, spots, own)
        axes.set_xlim(-0.5, pattern.shape[1] - 0.5)
        axes.set_ylim(pattern.shape[0] - 0.5, -0.5)
    return figure


def _draw_spots(axes: Axes, spots: Spots, own: np.ndarray) -> None:
    """Circle the reflections of one pattern, the larger the brighter; write some indices."""
    y, x = spots.position[own].T
    axes.scatter(
        x, y, s=18 + 60 * spots.amplitude[own], facecolors="none", edgecolors=MARKED,
        linewidths=0.8,
    )  # fmt: skip
    sides = np.ptp(axes.get_xlim()), np.ptp(axes.get_ylim())
    written: list[np.ndarray] = []
    for n in own[np.argsort(-spots.amplitude[own], kind="stable")]:
        at = spots.position[n][::-1] / sides
        near = any((np.abs(at - each) < (1.9 * ROOM, 0.7 * ROOM)).all() for each in written)
        on_bar = at[0] < 0.42 and at[1] > 0.84
        if near or on_bar or not 0.08 < at[0] < 0.92 or at[1] < 0.07:
            continue
        written.append(at)
        axes.annotate(
            " ".join(str(each).replace("-", "−") for each in spots.hkl[n]),
            spots.position[n][::-1], (0, 5), textcoords="offset points", ha="center", va="bottom",
            fontsize=7, color="#ffffff",
            path_effects=[withStroke(linewidth=1.6, foreground="#000000", alpha=0.75)],
        )  # fmt: skip
        if len(written) == MOST_INDICES:
            return


def boundaries_figure(
    labels: np.ndarray,
    pairs: np.ndarray,
    angle: np.ndarray,
    twin: np.ndarray,
    scan: ScanGrid,
) -> Figure:
    """Draw the boundaries between clusters in the colour of their misorientation.

    Parameters
    ----------
    labels : (scan_y, scan_x) array of int
    pairs : (boundary, 2) int array
        The lower number first.
    angle : (boundary,) array, degrees
        NaN where it is not known: drawn thin.
    twin : (boundary,) array of bool
        Sigma 3, drawn red.
    scan : ScanGrid
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    width, height = scan.box(labels.shape, 4.0, 4.6)
    figure = Figure(figsize=(max(width, NARROWEST) + 1.0, height + 0.6))
    axes = place_axes(figure, 0.05, 0.05, width, height)
    shade = label_image(np.where(labels == NO_PATTERN, NO_PATTERN, NO_LABEL), [DARK])
    shade[labels >= 0] = 1
    show_map(axes, shade)
    mark_map(axes)
    draw_scale_bar(axes, labels.shape, scan)
    known = angle[np.isfinite(angle)]
    scale = ScalarMappable(Normalize(0, max(float(known.max(initial=0)), 1.0)), "viridis_r")
    for (first, second), turn, is_twin in zip(pairs, angle, twin, strict=True):
        x, y = boundary_lines(labels, int(first), int(second))
        colour = TWIN if is_twin else scale.to_rgba(turn) if np.isfinite(turn) else QUIET
        axes.plot(x, y, color=colour, lw=2.2 if np.isfinite(turn) else 0.7)
    axes.set_xlim(-0.5, labels.shape[1] - 0.5)
    axes.set_ylim(labels.shape[0] - 0.5, -0.5)
    place = place_axes(figure, max(width, 1.0) + 0.2, 0.05, 0.1, height)
    bar = draw_colour_bar(scale, place)
    bar.set_label("misorientation (degrees)", fontsize=8, color=INK)
    return figure


def bending_figure(labels: np.ndarray, turn: np.ndarray, scan: ScanGrid) -> Figure:
    """Draw how far positions are turned inside their grains.

    Parameters
    ----------
    labels : (scan_y, scan_x) array of int
    turn : (scan_y, scan_x) array, degrees
        NaN where no grain bends: grey.
    scan : ScanGrid
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    width, height = scan.box(labels.shape, 4.0, 4.6)
    figure = Figure(figsize=(max(width, NARROWEST) + 1.0, height + 0.6))
    axes = place_axes(figure, 0.05, 0.05, width, height)
    largest = float(np.nanmax(np.abs(turn), initial=0.05))
    scale = ScalarMappable(Normalize(-largest, largest), "RdBu_r")
    shade = label_image(np.where(labels == NO_PATTERN, NO_PATTERN, NO_LABEL), [DARK])
    is_bent = np.isfinite(turn)
    shade[is_bent] = scale.to_rgba(turn[is_bent])[:, : shade.shape[2]]
    show_map(axes, shade)
    mark_map(axes)
    draw_scale_bar(axes, labels.shape, scan)
    bar = draw_colour_bar(scale, place_axes(figure, max(width, 1.0) + 0.2, 0.05, 0.1, height))
    bar.set_label("turn about the axis of the grain (degrees)", fontsize=8, color=INK)
    return figure


def boundary_lines(labels: np.ndarray, first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the edges between positions of two clusters, with NaN between them."""
    x, y = [np.zeros(0)], [np.zeros(0)]
    for axis in (0, 1):
        left = np.take(labels, range(labels.shape[axis] - 1), axis)
        right = np.take(labels, range(1, labels.shape[axis]), axis)
        meet = ((left == first) & (right == second)) | ((left == second) & (right == first))
        row, column = np.nonzero(meet)
        gap = np.full(len(row), np.nan)
        # Between rows the edge lies across, between columns upright.
        if axis == 0:
            x.append(np.stack([column - 0.5, column + 0.5, gap], 1).ravel())
            y.append(np.stack([row + 0.5, row + 0.5, gap], 1).ravel())
        else:
            x.append(np.stack([column + 0.5, column + 0.5, gap], 1).ravel())
            y.append(np.stack([row - 0.5, row + 0.5, gap], 1).ravel())
    return np.concatenate(x), np.concatenate(y)
