"""Draw the maps of a scan and the patterns of its clusters.

One function a figure: arrays in, a matplotlib ``Figure`` out, never shown on a screen. Panels are
placed in inches, which is several times faster than letting matplotlib find a layout.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from orimap.tasks.report.figures.images import (
    IN_PIXELS,
    NO_LABEL,
    NO_PATTERN,
    DetectorGrid,
    ScanGrid,
    label_image,
    match_labels,
    pattern_levels,
)
from orimap.tasks.report.figures.palette import cluster_colours, rgb
from orimap.tasks.report.figures.style import (
    DARK,
    INK,
    NARROWEST,
    QUIET,
    bare,
    draw_colour_bar,
    draw_map_legend,
    draw_pattern_bar,
    draw_scale_bar,
    legend_height,
    mark_map,
    mark_pattern,
    number_clusters,
    place_axes,
    show_map,
    write_title,
)
from orimap.tasks.report.words import cluster_text, count_text, percent_text, score_text

WRITTEN_FROM = 0.8  # inches: a pattern of this size has room for the length of its scale bar
# Cao et al. (2025), Fig. 5, names these colours for the five levels; the shades are ours, chosen
# as far apart as they can be for colour-blind readers too (CIEDE2000 of 11 or more).
LEVEL_COLOURS = {
    75: "#b3001b",
    80: "#ffa22b",
    85: "#fff68f",
    90: "#5f9016",
    95: "#3b82f6",
}


def cluster_map_figure(
    labels: np.ndarray, colours: Sequence[str], scan: ScanGrid, names: Sequence[str] = ()
) -> Figure:
    """Draw the map of clusters with their numbers, a scale bar, and the names that some have.

    Parameters
    ----------
    labels : (scan_y, scan_x) array of int
        -1 for no cluster, -2 for no pattern, as in all maps of clusters here.
    colours : sequence of str
        Of each cluster.
    scan : ScanGrid
    names : sequence of str
        Of the clusters, empty where one has none.
    """
    width, height = scan.box(labels.shape, 4.6, 5.4)
    room = 0.5 + legend_height(labels, names, width)
    wide = max(width, NARROWEST if any(names) else 1.2)
    figure = Figure(figsize=(wide + 0.1, height + room))
    axes = place_axes(figure, 0.05, 0.05, width, height)
    _show_clusters(axes, labels, colours, scan, names)
    return figure


def _show_clusters(
    axes: Axes,
    labels: np.ndarray,
    colours: Sequence[str],
    scan: ScanGrid,
    names: Sequence[str],
) -> None:
    """Show a map of clusters with numbers, scale bar and legend."""
    show_map(axes, label_image(labels, colours))
    mark_map(axes)
    number_clusters(axes, labels, colours)
    draw_scale_bar(axes, labels.shape, scan)
    draw_map_legend(axes, labels, names, colours)


def clusters_figure(
    labels: np.ndarray,
    patterns: np.ndarray,
    scan: ScanGrid,
    *,
    colours: Sequence[str] | None = None,
    detector: DetectorGrid = IN_PIXELS,
    names: Sequence[str] = (),
    mask: np.ndarray | None = None,
) -> Figure:
    """Draw the map of clusters and beside it the pattern of each, framed in its colour.

    Parameters
    ----------
    labels : (scan_y, scan_x) array of int
    patterns : (cluster, dy, dx) array
    scan : ScanGrid
    colours : sequence of str
    detector : DetectorGrid
    names : sequence of str
        Of the clusters, empty where one has none.
    mask : (dy, dx) array, optional
        Pixels to leave out of the patterns.
    """
    colours = colours or cluster_colours(len(patterns))
    count = len(patterns)
    map_width, map_height = scan.box(labels.shape, 5.2, 5.6)
    room, caption, gap = max(map_height, 3.2), 0.22, 0.12
    sizes = [
        min(1.9, 6.4 / columns - gap, room / -(-count // columns) - caption - gap)
        for columns in range(1, count + 1)
    ]
    columns = int(np.argmax(np.round(sizes, 6))) + 1
    size = max(sizes[columns - 1], 0.35)
    rows = -(-count // columns)
    left = max(map_width, 1.0) + 0.35
    below = 0.5 + legend_height(labels, names, map_width)
    height = max(map_height + below, rows * (size + caption + gap) + 0.1)
    figure = Figure(figsize=(left + columns * (size + gap) + 0.05, height))
    axes = place_axes(figure, 0.05, 0.05, map_width, map_height)
    _show_clusters(axes, labels, colours, scan, names)
    for cluster, pattern in enumerate(patterns):
        row, column = divmod(cluster, columns)
        top = 0.07 + row * (size + caption + gap)
        tile = place_axes(figure, left + column * (size + gap), top, size, size)
        tile.imshow(pattern_levels(pattern, mask), cmap="gray", vmin=0, vmax=1)
        bare(tile, colours[cluster], 3)
        mark_pattern(tile, cluster)
        draw_pattern_bar(tile, pattern.shape, detector, written=size >= WRITTEN_FROM)
        share = 100 * np.count_nonzero(labels == cluster) / labels.size
        tile.set_xlabel(
            f"{cluster_text(cluster)}   {share:.1f} %", fontsize=8, color=INK, labelpad=4
        )
    return figure


def show_overlapping(
    axes: Axes,
    labels: np.ndarray,
    ratio: np.ndarray,
    colours: Sequence[str],
    scan: ScanGrid,
    title: str = "cluster; darker = more of a second",
) -> None:
    """Show clusters, darker the more of a second pattern there is, with a scale bar."""
    share = np.nan_to_num(np.clip(ratio, 0, 1))
    darkened = label_image(labels, colours) * (1 - 0.85 * share)[..., None]
    show_map(axes, darkened, title)
    mark_map(axes)
    draw_scale_bar(axes, labels.shape, scan)
    draw_map_legend(axes, labels)


def overlap_figure(
    labels: np.ndarray,
    ratio: np.ndarray,
    level: np.ndarray,
    colours: Sequence[str],
    scan: ScanGrid,
) -> Figure:
    """Draw where a second pattern is present: beside the clusters, as a ratio and by levels.

    Parameters
    ----------
    labels, ratio, level : (scan_y, scan_x) arrays
        Cluster; second share over first, 0..1; highest of 75, 80, 85, 90, 95 reached, else 0.
    colours : sequence of str
        Of the clusters.
    scan : ScanGrid
    """
    width, height = scan.box(labels.shape, 3.7, 4.2)
    top, pitch = 0.3, max(width, NARROWEST) + 0.3
    legend = legend_height(labels)
    figure = Figure(figsize=(3 * pitch, height + top + 0.55 + legend))
    first, second, third = (
        place_axes(figure, 0.05 + i * pitch, top, width, height) for i in range(3)
    )
    show_overlapping(first, labels, ratio, colours, scan)
    missing = labels == NO_PATTERN
    share = np.where(missing, np.nan, np.nan_to_num(np.clip(ratio, 0, 1)))
    level = np.where(missing, np.nan, level)
    image = show_map(second, share, "second share over first", cmap="cividis", vmin=0, vmax=1)
    place = place_axes(figure, 0.05 + pitch, top + height + 0.1, max(width, 1.5), 0.1)
    draw_colour_bar(image, place, "horizontal")
    bounds = [-1, *(value - 1 for value in LEVEL_COLOURS), 101]
    table = ListedColormap([DARK, *LEVEL_COLOURS.values()])
    show_map(third, level, "levels of overlap", cmap=table, norm=BoundaryNorm(bounds, table.N))
    mark_map(second)
    mark_map(third)
    figure.legend(
        handles=[Patch(color=c, label=f"≥ {v} %") for v, c in LEVEL_COLOURS.items()],
        loc="upper left", ncols=5, fontsize=7.5, frameon=False, borderaxespad=0, borderpad=0,
        bbox_to_anchor=(
            (0.05 + 2 * pitch) / figure.get_figwidth(),
            (0.45 + legend) / figure.get_figheight(),
        ),
        handlelength=0.8, handletextpad=0.3, columnspacing=0.7,
    )  # fmt: skip
    return figure


def levels_figure(labels: np.ndarray, level: np.ndarray, scan: ScanGrid) -> Figure:
    """Draw for each level of overlap the positions that reach it, in a map of its own.

    Parameters
    ----------
    labels, level : (scan_y, scan_x) arrays
        Cluster; highest of 75, 80, 85, 90, 95 reached, else 0.
    scan : ScanGrid

    References
    ----------
    Cao et al. (2025), Fig. 5, draws the same five levels.
    """
    width, height = scan.box(labels.shape, 2.05, 2.6)
    pitch, placed = max(width, 1.5) + 0.15, max(1, np.count_nonzero(labels >= 0))
    figure = Figure(figsize=(len(LEVEL_COLOURS) * pitch + 0.05, height + 0.95))
    for i, (least, colour) in enumerate(LEVEL_COLOURS.items()):
        axes = place_axes(figure, 0.05 + i * pitch, 0.27, width, height)
        reached = (level >= least) & (labels >= 0)
        image = label_image(np.where(labels == NO_PATTERN, NO_PATTERN, NO_LABEL), [DARK])
        image[labels != NO_PATTERN] = rgb([DARK])[0]
        image[reached] = rgb([colour])[0]
        show_map(axes, image, f"≥ {least} %")
        mark_map(axes)
        count = int(np.count_nonzero(reached))
        text = f"{count_text(count, 'position')}, {percent_text(count / placed)}"
        axes.set_xlabel(text, fontsize=8, color=QUIET, labelpad=3, loc="left")
    axes = place_axes(figure, 0.05, 0.27 + height + 0.22, width, 0.01)
    axes.axis("off")
    draw_scale_bar(axes, labels.shape, scan)
    return figure


def share_figure(
    shares: np.ndarray, scan: ScanGrid, colours: Sequence[str] | None = None
) -> Figure:
    """Draw the share of every cluster at every position; (scan_y, scan_x, cluster), 1 = alone."""
    colours = colours or cluster_colours(shares.shape[2])
    count = shares.shape[2]
    rows = -(-count // 5)
    columns = -(-count // rows)
    width, height = scan.box(shares.shape[:2], 1.8 if columns > 3 else 2.4, 2.4)
    figure = Figure(figsize=(columns * (width + 0.15) + 0.65, rows * (height + 0.3) + 0.3))
    image = None
    for cluster in range(count):
        row, column = divmod(cluster, columns)
        axes = place_axes(
            figure, 0.05 + column * (width + 0.15), 0.25 + row * (height + 0.3), width, height
        )
        image = show_map(
            axes, shares[..., cluster], cluster_text(cluster), cmap="cividis", vmin=0, vmax=1
        )
        bare(axes, colours[cluster], 2.5)
        mark_map(axes, cluster)
    draw_scale_bar(figure.axes[0], shares.shape[:2], scan) if rows == 1 else None
    bar_left = 0.05 + columns * (width + 0.15)
    draw_colour_bar(image, place_axes(figure, bar_left, 0.25, 0.1, height))
    return figure


def baseline_figure(
    labels: np.ndarray,
    other: np.ndarray,
    scan: ScanGrid,
    agreement: float | None,
    colours: Sequence[str] | None = None,
) -> Figure:
    """Draw our map beside k-means, whose clusters take the colours of ours that they match."""
    colours = colours or cluster_colours(int(labels.max()) + 1)
    matched = match_labels(labels, other)
    matched = np.where(labels == NO_PATTERN, NO_PATTERN, matched)
    count = max(int(labels.max()), int(matched.max())) + 1
    width, height = scan.box(labels.shape, 3.9, 4.4)
    pitch = max(width, NARROWEST) + 0.3
    figure = Figure(figsize=(2 * pitch, height + 0.75 + legend_height(labels)))
    note = "" if agreement is None else f"; adjusted Rand index {agreement:.2f}"
    for i, (values, title) in enumerate([(labels, "orimap"), (matched, f"k-means{note}")]):
        axes = place_axes(figure, 0.05 + i * pitch, 0.25, width, height)
        show_map(
            axes, label_image(values, [*colours, *cluster_colours(count)[len(colours) :]]), title
        )
        mark_map(axes)
    draw_scale_bar(figure.axes[0], labels.shape, scan)
    draw_map_legend(figure.axes[0], labels)
    return figure


def fidelity_figure(
    means: np.ndarray,
    representatives: np.ndarray,
    scores: Mapping[str, np.ndarray],
    *,
    colours: Sequence[str] | None = None,
    detector: DetectorGrid = IN_PIXELS,
    mask: np.ndarray | None = None,
) -> Figure:
    """Draw each cluster's mean raw pattern above its representative, with the metrics below.

    Parameters
    ----------
    means, representatives : (cluster, dy, dx) arrays
    scores : mapping of name to (cluster,) array
        Written below each pair; NaN is left out.
    colours : sequence of str
    detector : DetectorGrid
    mask : (dy, dx) array, optional
        Pixels to leave out of the patterns.
    """
    colours = colours or cluster_colours(len(means))
    count = len(means)
    columns = min(count, 6)
    rows = -(-count // columns)
    size, text = 1.5, 0.16 * len(scores) + 0.15
    block = 2 * size + text + 0.4
    figure = Figure(figsize=(columns * (size + 0.12) + 0.5, rows * block + 0.05))
    for cluster in range(count):
        row, column = divmod(cluster, columns)
        left, top = 0.4 + column * (size + 0.12), 0.28 + row * block
        for i, pattern in enumerate((means[cluster], representatives[cluster])):
            axes = place_axes(figure, left, top + i * (size + 0.05), size, size)
            axes.imshow(pattern_levels(pattern, mask), cmap="gray", vmin=0, vmax=1)
            bare(axes, colours[cluster], 2.5)
            mark_pattern(axes, cluster)
            draw_pattern_bar(axes, pattern.shape, detector, written=i == 0)
            if column == 0:
                axes.set_ylabel(("mean raw", "representative")[i], fontsize=8, color=QUIET)
            if i == 0:
                write_title(axes, cluster_text(cluster))
        lines = [
            f"{name} {score_text(name, values[cluster])}"
            for name, values in scores.items()
            if np.isfinite(values[cluster])
        ]
        axes.text(
            0, -0.05, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=8, color=INK
        )
    return figure
