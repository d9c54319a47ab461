"""Draw how alike the fitted components are, pair by pair (Cao et al. 2025, Fig. 3)."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from orimap.tasks.report.figures.palette import (
    NO_CLUSTER,
    cluster_colours,
    hexadecimal,
    text_colour,
)
from orimap.tasks.report.figures.style import (
    INK,
    QUIET,
    draw_colour_bar,
    place_axes,
    plain,
    write_title,
)
from orimap.tasks.report.words import cluster_text

WIDTH = 11.2  # inches: the width of the page
CELL, SMALLEST_SIDE, LARGEST_SIDE = 0.37, 2.5, 6.0  # inches
LEFT, RIGHT, ABOVE, BELOW = 0.5, 0.62, 0.3, 0.55  # inches around a matrix


def pairs_figure(
    matrices: Mapping[str, np.ndarray],
    component_cluster: Sequence[int] | None,
    *,
    alike_is_low: Sequence[str] = ("GMSD", "MDSI"),
    most_written: int = 16,
    colours: Sequence[str] | None = None,
    names: Sequence[str] = (),
) -> Figure:
    """Draw how alike the fitted components are, pair by pair; brighter is more alike.

    Parameters
    ----------
    matrices : mapping of name to (component, component) array
        The diagonal, a component against itself, is left out.
    component_cluster : sequence of int or None
        Cluster of each component, -1 for background. Components are sorted by it, so that those
        of one cluster stand side by side. None where they belong to none.
    alike_is_low : sequence of str
        The metrics for which 0 means identical.
    most_written : int
        Up to so many components values are written into the cells.
    colours : sequence of str, optional
        Of the clusters.
    names : sequence of str
        Of the clusters, empty where one has none.
    """
    owned = component_cluster is not None
    count = len(next(iter(matrices.values())))
    clusters = np.zeros(count, int) if component_cluster is None else np.asarray(component_cluster)
    order = np.lexsort((np.arange(len(clusters)), np.where(clusters < 0, 10**6, clusters)))
    if colours is None:
        colours = cluster_colours(max(int(clusters.max(initial=-1)) + 1, 1))
    squares = [NO_CLUSTER if clusters[i] < 0 else colours[clusters[i]] for i in order]
    written = count <= most_written
    side = float(np.clip(count * CELL, SMALLEST_SIDE, LARGEST_SIDE)) if written else SMALLEST_SIDE
    across, down = LEFT + side + RIGHT, ABOVE + side + BELOW
    columns = max(1, min(3, len(matrices), int(WIDTH / across)))
    rows = -(-len(matrices) // columns)
    spare = len(matrices) < rows * columns
    legend = 0.5 if owned and not spare else 0.0
    figure = Figure(figsize=(columns * across, rows * down + legend))
    for i, (name, matrix) in enumerate(matrices.items()):
        row, column = divmod(i, columns)
        left, top = LEFT + column * across, ABOVE + row * down
        axes = place_axes(figure, left, top, side, side)
        values = np.array(matrix, dtype=float)[np.ix_(order, order)]
        np.fill_diagonal(values, np.nan)
        colour_map = "cividis_r" if name in alike_is_low else "cividis"
        image = axes.imshow(values, cmap=colour_map, interpolation="nearest", aspect="auto")
        best = "0 = identical" if name in alike_is_low else "higher = more alike"
        unit = " (dB)" if name == "PSNR" else ""
        write_title(axes, f"{name}{unit}, {best}")
        _name_axes(axes, [str(c + 1) for c in order], owned=owned)
        if written:
            _write_values(axes, image, values)
        if owned:
            # A strip of cluster colours below the columns ties components to the map.
            axes.scatter(
                range(count), np.full(count, -0.11 / side), marker="s", s=min(50, 900 / count),
                c=squares, edgecolors="none", clip_on=False,
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
        axes.set_xlim(-0.5, count - 0.5)
        draw_colour_bar(image, place_axes(figure, left + side + 0.06, top, 0.09, side))
    if owned:
        corner = (columns - 1) * across + 0.25, (rows - 1) * down + 0.25
        _draw_legend(figure, clusters, colours, names, corner if spare else None)
    return figure


def _name_axes(axes: Axes, names: Sequence[str], *, owned: bool) -> None:
    """Write along both axes which component is which; every second one where they are many."""
    every = -(-len(names) // 16)
    places = range(0, len(names), every)
    axes.set_xticks(places, names[::every], fontsize=8)
    axes.set_yticks(places, names[::every], fontsize=8)
    axes.tick_params(length=0, pad=2)
    axes.tick_params(axis="x", pad=12 if owned else 2)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("component", fontsize=8.5, color=QUIET, labelpad=2)
    axes.set_ylabel("component", fontsize=8.5, color=QUIET, labelpad=2)


def _write_values(axes: Axes, image: AxesImage, values: np.ndarray) -> None:
    """Write the value of every pair into its cell."""
    decimals = 0 if np.nanmax(np.abs(values), initial=0) >= 9.995 else 2
    for (row, column), value in np.ndenumerate(values):
        if not np.isfinite(value):
            continue
        (colour,) = hexadecimal(np.array([image.cmap(image.norm(value))[:3]]))
        axes.text(
            column, row, cell_text(value, decimals), ha="center", va="center", fontsize=7.5,
            color=text_colour(colour),
        )  # fmt: skip


def cell_text(value: float, decimals: int = 2) -> str:
    """Return a value as it fits a cell: .93, 1.00, 41, −.12."""
    # Adding 0 takes the sign off what was rounded to -0.
    text = f"{round(value, decimals) + 0.0:.{decimals}f}"
    if decimals and abs(value) < 0.995:
        text = text.replace("0.", ".", 1)
    return text.replace("-", "−")


def _draw_legend(
    figure: Figure,
    clusters: np.ndarray,
    colours: Sequence[str],
    names: Sequence[str],
    corner: tuple[float, float] | None,
) -> None:
    """Name the clusters of the coloured squares, in a free corner or below everything."""
    known = sorted({int(c) for c in clusters}, key=lambda c: (c < 0, c))
    handles = [
        Line2D([], [], ls="", marker="s", ms=8, color=NO_CLUSTER if c < 0 else colours[c],
               label="background" if c < 0 else f"cluster {plain(cluster_text(c, names))}")
        for c in known
    ]  # fmt: skip
    width, height = figure.get_size_inches()
    looks = {"fontsize": 8.5, "frameon": False, "labelcolor": INK, "borderaxespad": 0}
    if corner is None:
        figure.legend(handles=handles, loc="lower left", ncols=max(2, int(width / 1.1)), **looks)
        return
    left, top = corner
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(left / width, 1 - top / height),
        ncols=-(-len(known) // 12), **looks,
    )  # fmt: skip
