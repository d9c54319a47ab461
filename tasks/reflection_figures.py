"""Draw the maps that registered reflections give: intensities, counts, noise, dark fields."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orimap.tasks.figures import (
    INK,
    NARROWEST,
    QUIET,
    bare,
    draw_scale_bar,
    place_axes,
    show_map,
)
from orimap.tasks.map_images import ScanGrid
from orimap.tasks.palette import cluster_colours, text_colour
from orimap.tasks.report_text import figure_text

# Single positions far out of line would leave the rest of a map without contrast.
SHOWN_PERCENTILES = (0.5, 99.5)
NARROWEST_BAR = 1.5  # inches: three numbers below a colour bar


@dataclass(frozen=True)
class MapPanel:
    """One map of a scan, with its title and unit; ``colours`` is a matplotlib colour map."""

    title: str
    values: np.ndarray
    units: str
    colours: str = "gray"


def scan_maps_figure(panels: Sequence[MapPanel], scan: ScanGrid) -> Figure:
    """Draw maps three in a row, each with a colour bar of its own; one scale bar for all.

    A map with the same value everywhere is left blank and says so.
    """
    shape = panels[0].values.shape
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    width, height = scan.box(shape, 3.0, 3.4)
    pitch, top, bar = max(width, NARROWEST) + 0.35, 0.27, 0.5
    block = top + height + bar
    figure = Figure(figsize=(columns * pitch, rows * block + 0.55))
    for i, panel in enumerate(panels):
        row, column = divmod(i, columns)
        left, above = 0.08 + column * pitch, top + row * block
        axes = place_axes(figure, left, above, width, height)
        low, high = shown_range(panel.values)
        unit = _unit(panel.units)
        title = f"{panel.title} ({unit})" if unit else panel.title
        if not low < high:
            show_map(axes, np.full(shape, np.nan), title)
            value = f"{figure_text(low)} {unit}".strip()
            axes.text(
                0.5, 0.5, f"{value}\neverywhere", ha="center", va="center",
                transform=axes.transAxes, fontsize=10, color=QUIET,
            )  # fmt: skip
            continue
        image = show_map(axes, panel.values, title, cmap=panel.colours, vmin=low, vmax=high)
        place = place_axes(figure, left, above + height + 0.07, max(width, NARROWEST_BAR), 0.09)
        drawn = figure.colorbar(image, cax=place, orientation="horizontal")
        drawn.outline.set_visible(False)
        drawn.locator = _few_ticks(max(width, NARROWEST_BAR))
        drawn.ax.tick_params(labelsize=8, length=2)
    _corner_scale_bar(figure, shape, scan, rows * block + 0.02, width)
    return figure


def shown_range(values: np.ndarray) -> tuple[float, float]:
    """Return the values drawn darkest and brightest; equal where all values are."""
    some = values[np.isfinite(values)]
    if not some.size:
        return 0.0, 0.0
    low, high = np.percentile(some, SHOWN_PERCENTILES)
    if not low < high:  # a few positions alone differ
        low, high = some.min(), some.max()
    return float(low), float(high)


def _unit(units: str) -> str:
    """Return a unit as it is written beside numbers; nothing for a plain number."""
    return "" if units == "1" else units


def _few_ticks(width: float) -> object:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=max(2, int(width / 0.6)))


def _corner_scale_bar(
    figure: Figure, shape: tuple[int, int], scan: ScanGrid, top: float, width: float
) -> None:
    """Draw one scale bar for all maps below them, where no colour bar is in its way."""
    axes = place_axes(figure, 0.08, top, width, 0.01)
    axes.axis("off")
    draw_scale_bar(axes, shape, scan)


def dark_fields_figure(
    fields: np.ndarray, scan: ScanGrid, *, units: str, places: np.ndarray
) -> Figure:
    """Draw the virtual dark field of every cluster, framed in its colour.

    Parameters
    ----------
    fields : (scan_y, scan_x, cluster) array
    scan : ScanGrid
    units : str
        Of the fields. Each is drawn from 0 to its own largest value, which is written above it:
        grains differ several-fold in how strongly they scatter.
    places : (cluster,) array of int
        How many places on the detector each field collects.
    """
    count = fields.shape[2]
    colours = cluster_colours(count)
    rows = -(-count // 5)
    columns = -(-count // rows)
    width, height = scan.box(fields.shape[:2], 1.95, 2.5)
    pitch, block = max(width, 1.5) + 0.15, height + 0.5
    figure = Figure(figsize=(max(columns * pitch, 2.2) + 0.05, rows * block + 0.5))
    for cluster in range(count):
        row, column = divmod(cluster, columns)
        axes = place_axes(figure, 0.07 + column * pitch, 0.25 + row * block, width, height)
        _, high = shown_range(fields[..., cluster])
        show_map(axes, fields[..., cluster], cmap="gray", vmin=0, vmax=high or 1)
        bare(axes, colours[cluster], 2.5)
        _cluster_number(axes, cluster, colours[cluster])
        places_here = int(places[cluster])
        said = f"to {figure_text(high)} {_unit(units)}" if places_here else "no place of its own"
        axes.annotate(
            said, (0, 1), (19, 6), xycoords="axes fraction", textcoords="offset points",
            fontsize=8, color=INK,
        )  # fmt: skip
        axes.set_xlabel(
            f"{places_here} place" + ("" if places_here == 1 else "s"),
            fontsize=8, color=QUIET, labelpad=3, loc="left",
        )  # fmt: skip
    _corner_scale_bar(figure, fields.shape[:2], scan, 0.02 + rows * block, width)
    return figure


def _cluster_number(axes: Axes, cluster: int, colour: str) -> None:
    """Write a cluster's number above its map, on its colour."""
    axes.annotate(
        str(cluster), (0, 1), (7, 6), xycoords="axes fraction", textcoords="offset points",
        fontsize=9, fontweight="bold", color=text_colour(colour), ha="center",
        bbox={"boxstyle": "round,pad=0.25", "facecolor": colour, "edgecolor": "none"},
    )  # fmt: skip
