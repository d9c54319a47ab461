"""Draw maps of numbers over a scan: what registered reflections add up to, where the beam went."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orimap.tasks.report.figures.images import IN_PIXELS, DetectorGrid, ScanGrid, pattern_levels
from orimap.tasks.report.figures.palette import (
    NO_CLUSTER,
    NOT_MEASURED,
    cluster_colours,
    rgb,
    text_colour,
)
from orimap.tasks.report.figures.style import (
    INK,
    MASKED,
    NARROWEST,
    QUIET,
    bare,
    draw_colour_bar,
    draw_pattern_bar,
    draw_scale_bar,
    mark_map,
    place_axes,
    show_map,
)
from orimap.tasks.report.words import cluster_text, figure_text, plural, units_text

# Single positions far out of line would leave the rest of a map without contrast.
SHOWN_PERCENTILES = (0.5, 99.5)
# A beam that hardly moves must not look as if it did.
SMALLEST_SHIFT_SCALE_PX = 0.5
NARROWEST_BAR = 1.5  # inches: three numbers below a colour bar


@dataclass(frozen=True)
class MapPanel:
    """One map of a scan, grey where it has no value.

    Parameters
    ----------
    title : str
    values : (scan_y, scan_x) array
    units : str
        "1" for a plain number.
    colours : str
        A matplotlib colour map.
    limits : (lowest, highest), optional
        The values drawn darkest and brightest; most of the map's own range if not given.
    """

    title: str
    values: np.ndarray
    units: str
    colours: str = "gray"
    limits: tuple[float, float] | None = None


def scan_maps_figure(
    panels: Sequence[MapPanel], scan: ScanGrid, missing: np.ndarray | None = None
) -> Figure:
    """Draw maps three in a row, each with a colour bar of its own; one scale bar for all.

    Parameters
    ----------
    panels : sequence of MapPanel
    scan : ScanGrid
    missing : (scan_y, scan_x) array of bool, optional
        Positions that were not measured.
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
        low, high = panel.limits or shown_range(panel.values)
        unit = _unit(panel.units)
        title = f"{panel.title} ({unit})" if unit else panel.title
        image = show_map(axes, panel.values, title, cmap=panel.colours, vmin=low, vmax=high)
        axes.set_facecolor(NO_CLUSTER)
        mark_map(axes)
        if missing is not None:
            cover = np.where(missing[..., None], (*rgb([NOT_MEASURED])[0], 1), 0)
            axes.imshow(cover, interpolation="nearest", aspect="auto")
        place = place_axes(figure, left, above + height + 0.07, max(width, NARROWEST_BAR), 0.09)
        drawn = draw_colour_bar(image, place, "horizontal")
        drawn.locator = _few_ticks(max(width, NARROWEST_BAR))
    _corner_scale_bar(figure, shape, scan, rows * block + 0.02, width)
    return figure


def beam_shift_figure(
    shift: np.ndarray, scan: ScanGrid, missing: np.ndarray | None = None
) -> Figure:
    """Draw where the direct beam lies in each pattern; (scan_y, scan_x, 2), pixels, NaN: none."""
    limit = beam_shift_limit(shift)
    return scan_maps_figure(
        [
            MapPanel(f"direct beam along {axis}", shift[..., i], "px", "RdBu_r", (-limit, limit))
            for i, axis in enumerate("yx")
        ],
        scan,
        missing,
    )


def beam_shift_limit(shift: np.ndarray) -> float:
    """Return the largest shift drawn, pixels; some positions may be out of line."""
    size = np.abs(shift[np.isfinite(shift)])
    largest = float(np.percentile(size, SHOWN_PERCENTILES[1])) if size.size else 0.0
    return max(largest, SMALLEST_SHIFT_SCALE_PX)


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
    return "" if units == "1" else units_text(units)


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
    fields: np.ndarray,
    scan: ScanGrid,
    *,
    units: str,
    places: np.ndarray,
    colours: Sequence[str] | None = None,
) -> Figure:
    """Draw the virtual dark field of every cluster, framed in its colour.

    Parameters
    ----------
    fields : (scan_y, scan_x, cluster) array
    scan : ScanGrid
    units : str
        Unit of the fields. Each is drawn from 0 to its own largest value, which is written above
        it: grains differ several-fold in how strongly they scatter.
    places : (cluster,) array of int
        Number of places on the detector that each field collects.
    colours : sequence of str
        Of the clusters.
    """
    colours = colours or cluster_colours(fields.shape[2])
    count = fields.shape[2]
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
        mark_map(axes, cluster)
        write_number(axes, cluster, colours[cluster])
        places_here = int(places[cluster])
        said = f"to {figure_text(high)} {_unit(units)}" if places_here else "no place of its own"
        axes.annotate(
            said, (0, 1), (19, 6), xycoords="axes fraction", textcoords="offset points",
            fontsize=8, color=INK,
        )  # fmt: skip
        axes.set_xlabel(
            f"{places_here} {plural(places_here, 'place')}",
            fontsize=8, color=QUIET, labelpad=3, loc="left",
        )  # fmt: skip
    _corner_scale_bar(figure, fields.shape[:2], scan, 0.02 + rows * block, width)
    return figure


def write_number(axes: Axes, cluster: int, colour: str) -> None:
    """Write a cluster's number above its map, on its colour."""
    axes.annotate(
        cluster_text(cluster), (0, 1), (7, 6), xycoords="axes fraction", textcoords="offset points",
        fontsize=9, fontweight="bold", color=text_colour(colour), ha="center",
        bbox={"boxstyle": "round,pad=0.25", "facecolor": colour, "edgecolor": "none"},
    )  # fmt: skip


def acquisition_figure(
    bright_field: np.ndarray | None,
    means: Mapping[str, tuple[np.ndarray, np.ndarray | None]],
    scan: ScanGrid,
    detector: DetectorGrid = IN_PIXELS,
) -> Figure:
    """Draw the virtual bright field and mean patterns, masked pixels circled or tinted.

    Parameters
    ----------
    bright_field : (scan_y, scan_x) array, optional
    means : mapping of title to ((dy, dx) array, (dy, dx) array or None)
        A mean pattern and its mask, 0 where a pixel is used.
    scan : ScanGrid
    detector : DetectorGrid
    """
    count = len(means) + (bright_field is not None)
    side = 4.0 if count <= 2 else 3.0
    boxes = [] if bright_field is None else [scan.box(bright_field.shape, side, side)]
    for mean, _ in means.values():
        ratio = mean.shape[0] / mean.shape[1]
        boxes.append((min(side, side / ratio), min(side, side * ratio)))
    pitches = [max(width, NARROWEST) + 0.3 for width, _ in boxes]
    figure = Figure(figsize=(sum(pitches), max(height for _, height in boxes) + 0.75))
    lefts = 0.05 + np.cumsum([0, *pitches[:-1]])
    panels = [place_axes(figure, left, 0.25, *box) for left, box in zip(lefts, boxes, strict=True)]
    if bright_field is not None:
        axes = panels.pop(0)
        low, high = np.nanpercentile(bright_field, [0.5, 99.5])
        show_map(axes, bright_field, "virtual bright field", cmap="gray", vmin=low, vmax=high)
        mark_map(axes)
        draw_scale_bar(axes, bright_field.shape, scan)
    for axes, (title, (mean, mask)) in zip(panels, means.items(), strict=True):
        show_map(axes, pattern_levels(mean, mask), title, cmap="gray", vmin=0, vmax=1)
        draw_pattern_bar(axes, mean.shape, detector)
        if mask is not None and np.any(mask):
            _mark_pixels(axes, np.asarray(mask) != 0)
    return figure


def _mark_pixels(axes: Axes, mask: np.ndarray) -> None:
    """Circle single masked pixels; tint areas, where circles would hide the pattern."""
    from scipy import ndimage

    areas, count = ndimage.label(mask)
    sizes = np.bincount(areas.ravel(), minlength=count + 1)
    large = (sizes > 4) & (np.arange(count + 1) > 0)
    tint = np.zeros((*mask.shape, 4))
    tint[large[areas]] = (*rgb([MASKED])[0], 0.75)
    axes.imshow(tint, interpolation="nearest", aspect="auto")
    small = mask & ~large[areas]
    rows, columns = np.nonzero(small)
    axes.scatter(columns, rows, s=45, facecolors="none", edgecolors=MASKED, linewidths=1.1)
    axes.set_xlabel(f"{np.count_nonzero(mask)} masked pixels in orange", fontsize=8, color=QUIET)
    axes.set_xlim(-0.5, mask.shape[1] - 0.5)
    axes.set_ylim(mask.shape[0] - 0.5, -0.5)
