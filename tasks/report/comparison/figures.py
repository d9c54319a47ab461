"""Draw what filters make of one acquisition, side by side."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from orimap.tasks.report.figures.curves import curve_axes, draw_legend, write_powers
from orimap.tasks.report.figures.images import (
    IN_PIXELS,
    DetectorGrid,
    ScanGrid,
    label_image,
    pattern_levels,
)
from orimap.tasks.report.figures.palette import NO_CLUSTER, cluster_colours, text_colour
from orimap.tasks.report.figures.style import (
    INK,
    NARROWEST,
    QUIET,
    bare,
    draw_map_legend,
    draw_pattern_bar,
    draw_scale_bar,
    legend_height,
    number_clusters,
    place_axes,
    show_map,
    write_title,
)
from orimap.tasks.report.words import cluster_text, figure_text

WIDTH = 9.6  # inches: the width of the page
MARKERS = ("o", "s", "^", "D")
TILES = 1.15, 0.8  # inches of a pattern: of a dozen clusters at most, and of more


def maps_figure(maps: Mapping[str, np.ndarray], scan: ScanGrid) -> Figure:
    """Draw the maps of clusters side by side, in common colours.

    Parameters
    ----------
    maps : mapping of title to (scan_y, scan_x) array of int
        Cluster numbers that all maps share; -1 for none, -2 for no pattern.
    """
    colours = cluster_colours(max(int(label.max(initial=-1)) for label in maps.values()) + 1)
    first = next(iter(maps.values()))
    width, height = scan.box(first.shape, min(3.9, WIDTH / len(maps) - 0.3), 4.4)
    pitch = max(width, NARROWEST) + 0.25
    figure = Figure(figsize=(len(maps) * pitch, height + 0.75 + legend_height(first)))
    for at, (title, label) in enumerate(maps.items()):
        axes = place_axes(figure, 0.05 + at * pitch, 0.25, width, height)
        show_map(axes, label_image(label, colours), title)
        number_clusters(axes, label, colours)
    draw_scale_bar(figure.axes[0], first.shape, scan)
    draw_map_legend(figure.axes[0], first)
    return figure


def patterns_figure(
    patterns: Mapping[str, Mapping[int, np.ndarray]],
    count: int,
    masks: Mapping[str, np.ndarray | None],
    detector: DetectorGrid = IN_PIXELS,
) -> Figure:
    """Draw the pattern of every cluster (a row) after every filter (a column).

    Parameters
    ----------
    patterns : mapping of title to mapping of common cluster number to (dy, dx) array
    count : int
        Number of common clusters.
    masks : mapping of title to (dy, dx) array or None
        Pixels to leave out.
    detector : DetectorGrid
    """
    colours = cluster_colours(count)
    tile = TILES[count > 12]
    step, label_width = tile + 0.08, 0.35
    block_width = len(patterns) * step + label_width + 0.15
    blocks = max(1, min(int(WIDTH // block_width), -(-count // 4)))
    rows = -(-count // blocks)
    figure = Figure(figsize=(blocks * block_width, rows * step + 0.3))
    for cluster in range(count):
        block, row = divmod(cluster, rows)
        left, top = block * block_width + label_width, 0.25 + row * step
        figure.text(
            (left - 0.18) / figure.get_figwidth(),
            1 - (top + tile / 2) / figure.get_figheight(),
            cluster_text(cluster), ha="center", va="center", fontsize=10, fontweight="bold",
            color=text_colour(colours[cluster]),
            bbox={"facecolor": colours[cluster], "edgecolor": "none", "boxstyle": "round,pad=0.25"},
        )  # fmt: skip
        for column, (title, found) in enumerate(patterns.items()):
            axes = place_axes(figure, left + column * step, top, tile, tile)
            bare(axes, colours[cluster] if cluster in found else NO_CLUSTER, 2.5)
            if row == 0:
                write_title(axes, title)
            if cluster in found:
                levels = pattern_levels(found[cluster], masks[title])
                axes.imshow(levels, cmap="gray", vmin=0, vmax=1)
                draw_pattern_bar(axes, levels.shape, detector, written=tile == TILES[0])
            else:
                axes.text(
                    0.5, 0.5, "not found", transform=axes.transAxes, ha="center", va="center",
                    fontsize=8, color=QUIET,
                )  # fmt: skip
    return figure


def noise_figure(noise: Mapping[str, np.ndarray], titles: Sequence[str], units: str) -> Figure:
    """Draw heat maps of noise, one a kind: clusters down, filters across.

    Parameters
    ----------
    noise : mapping of kind to (cluster, filter) array
        NaN where a filter does not have the cluster, or nothing could be measured.
    titles : sequence of str
        Titles of the filters.
    units : str
    """
    count = len(next(iter(noise.values())))
    cell_width, cell_height = 0.82, 0.27
    pitch = len(titles) * cell_width + 0.55
    figure = Figure(figsize=(len(noise) * pitch + 0.1, count * cell_height + 0.6))
    for at, (kind, values) in enumerate(noise.items()):
        axes = place_axes(
            figure, 0.4 + at * pitch, 0.3, len(titles) * cell_width, count * cell_height
        )
        seen = values[np.isfinite(values) & (values > 0)]
        low, high = (seen.min(), seen.max()) if seen.size else (1.0, 1.0)
        # Filters change noise by factors; below a hundredth of the largest, all is as good as 0.
        low = max(low, high / 100)
        norm = LogNorm(low, high if high > low else low * 1.01)
        shown = np.where(np.isfinite(values), np.maximum(values, low), np.nan)
        axes.set_facecolor(NO_CLUSTER)
        image = axes.imshow(shown, aspect="auto", cmap="cividis", norm=norm)
        bare(axes)
        write_title(axes, f"{kind} ({units})")
        axes.set_xticks(range(len(titles)), titles, fontsize=8.5, color=INK)
        axes.set_yticks(
            range(count), [cluster_text(c) for c in range(count)], fontsize=8.5, color=INK
        )
        axes.tick_params(length=0)
        for (row, column), value in np.ndenumerate(values):
            known = bool(np.isfinite(value))
            red, green, blue, _ = image.cmap(norm(shown[row, column])) if known else (1, 1, 1, 1)
            code = f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"
            axes.text(
                column, row, figure_text(value, 2), ha="center", va="center", fontsize=8.5,
                color=text_colour(code),
            )  # fmt: skip
    return figure


def _with_looks(curves: Mapping[str, tuple]) -> Iterator[tuple[str, tuple, str, str]]:
    """Return title, curve, colour and marker of every filter."""
    looks = zip(cluster_colours(len(curves)), MARKERS, strict=False)
    for (title, curve), (colour, marker) in zip(curves.items(), looks, strict=False):
        yield title, curve, colour, marker


def _draw_curve(
    axes: Axes,
    title: str,
    k: np.ndarray,
    values: np.ndarray,
    colour: str,
    marker: str,
    fitted: int | None = None,
) -> None:
    """Draw the curve of one filter, the fit that was used circled."""
    axes.plot(k, values, color=colour, marker=marker, ms=4.5, lw=1.6, label=title)
    used = k == fitted
    axes.plot(k[used], values[used], ls="", marker=marker, ms=11, mfc="none", mec=colour)


def loss_curves_figure(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    decided: Mapping[str, int],
) -> Figure:
    """Draw the relative loss of every filter, with the range over seeds as a band.

    Parameters
    ----------
    curves : mapping of title to ((k,) array, (seed, k) array)
        Loss over mean intensity; the first seed is the line. NaN where a seed has no such fit.
    decided : mapping of title to int
        The number of components fitted, marked on the line.
    """
    figure, axes = curve_axes("mean absolute error over mean intensity")
    for title, (k, losses), colour, marker in _with_looks(curves):
        if len(losses) > 1:
            axes.fill_between(
                k, np.nanmin(losses, axis=0), np.nanmax(losses, axis=0), color=colour, alpha=0.3,
                lw=0,
            )  # fmt: skip
        _draw_curve(axes, title, k, losses[0], colour, marker, decided[title])
    draw_legend(axes)
    return figure


def fluctuation_figure(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Figure:
    """Draw how much the relative loss differs between seeds, in per cent of its mean.

    Parameters
    ----------
    curves : mapping of title to ((k,) array, (seed, k) array)
    """
    figure, axes = curve_axes("largest less smallest loss (% of the mean)")
    for title, (k, losses), colour, marker in _with_looks(curves):
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = 100 * (losses.max(axis=0) - losses.min(axis=0)) / losses.mean(axis=0)
        _draw_curve(axes, title, k, spread, colour, marker)
    axes.set_ylim(bottom=0)
    draw_legend(axes)
    return figure


def held_out_curves_figure(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], decided: Mapping[str, int]
) -> Figure:
    """Draw the drops in held-out deviance of every filter as shares of its largest.

    Parameters
    ----------
    curves : mapping of title to ((k,) array, (k,) array)
        Drops; 0 or less and NaN have no logarithm and are left out.
    decided : mapping of title to int
        The number of components fitted, marked on the line.
    """
    figure, axes = curve_axes("held-out drop over the largest")
    for title, (k, drop), colour, marker in _with_looks(curves):
        gains = np.isfinite(drop) & (drop > 0)
        if not gains.any():
            continue
        share = drop[gains] / drop[gains].max()
        _draw_curve(axes, title, k[gains], share, colour, marker, decided[title])
    axes.set_yscale("log")
    write_powers(axes.yaxis)
    draw_legend(axes)
    return figure
