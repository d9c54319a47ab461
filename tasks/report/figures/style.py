"""What all figures share: colours, axes, colour bars, scale bars."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import Formatter

from orimap.tasks.report.figures.images import (
    NO_LABEL,
    NO_PATTERN,
    DetectorGrid,
    ScanGrid,
    label_anchors,
    pattern_scale_bar,
    scale_bar,
)
from orimap.tasks.report.figures.palette import NO_CLUSTER, NOT_MEASURED, text_colour
from orimap.tasks.report.words import cluster_text, figure_text

INK = "#20242b"
QUIET = "#6b7280"
DARK = "#23272f"
GRID = "#e5e7eb"
SHADE = "#e8eef8"
FRAME = "#c4c8cf"
PAPER = "#fefefe"  # behind a legend
MASKED = "#ff8c1a"
# What a pointer can explore is named so, then what it shows and of which cluster.
MARK = "explore."
LEGEND_ROW = 0.2  # inches of a row of a legend in small letters
NARROWEST = 2.6  # inches: what the title of a panel takes, however narrow its map


def place_axes(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Add axes to a figure by the place of their upper left corner and their size, in inches."""
    full_width, full_height = figure.get_size_inches()
    return figure.add_axes(
        (
            left / full_width,
            1 - (top + height) / full_height,
            width / full_width,
            height / full_height,
        )
    )


def bare(axes: Axes, colour: str = FRAME, width: float = 0.8) -> None:
    """Leave only the frame of some axes."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=width)


def mark_map(axes: Axes, cluster: int | None = None) -> None:
    """Mark axes as a whole map of the scan, of one cluster where that is given."""
    axes.patch.set_gid(f"{MARK}scan.{'' if cluster is None else cluster}")


def mark_pattern(axes: Axes, cluster: int) -> None:
    """Mark axes as a pattern of a cluster."""
    axes.patch.set_gid(f"{MARK}pattern.{cluster}")


def plain(text: str) -> str:
    """Return text from outside as matplotlib shows it: a dollar sign begins no formula."""
    return text.replace("$", r"\$")


def write_title(axes: Axes, text: str) -> None:
    """Write above the left end of some axes what they show."""
    axes.set_title(text, loc="left", fontsize=9, color=INK, pad=4)


class PlainFormatter(Formatter):
    """Writes numbers beside a scale as people do: all with as many decimals, 240, 2 × 10⁻⁵."""

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Return the text of each number."""
        texts = [figure_text(round(value, 12)) for value in values]
        if any("×" in text for text in texts):
            return texts
        decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
        return [f"{value:.{decimals}f}".replace("-", "−") for value in values]

    def __call__(self, value: float, pos: int | None = None) -> str:
        """Return the text of one number."""
        return figure_text(round(value, 12))


def draw_colour_bar(image: ScalarMappable, place: Axes, orientation: str = "vertical") -> Colorbar:
    """Draw the scale of an image's colours in axes of their own."""
    bar = place.figure.colorbar(image, cax=place, orientation=orientation)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)
    bar.formatter = PlainFormatter()
    return bar


def show_map(axes: Axes, values: np.ndarray, title: str = "", **shown: object) -> AxesImage:
    """Show a map; the box of the axes already has its proportions. NaN: was not measured."""
    bare(axes)
    axes.set_facecolor(NOT_MEASURED)
    write_title(axes, title)
    return axes.imshow(values, interpolation="nearest", aspect="auto", **shown)


def draw_scale_bar(axes: Axes, shape: tuple[int, int], scan: ScanGrid) -> None:
    """Draw the scale bar below a map, where it hides nothing."""
    fraction, text = scale_bar(shape, scan)
    inch = 1 / (axes.get_position().height * axes.figure.get_size_inches()[1])
    below = axes.transAxes
    axes.plot(
        [0, fraction], [-0.11 * inch] * 2, color=INK, lw=3, transform=below, clip_on=False,
        solid_capstyle="butt",
    )  # fmt: skip
    axes.text(0, -0.17 * inch, text, transform=below, va="top", fontsize=10, color=INK)


def draw_pattern_bar(
    axes: Axes, shape: tuple[int, int], detector: DetectorGrid, *, written: bool = True
) -> None:
    """Draw a reciprocal scale bar into the lower left corner of a pattern, mostly with its length.

    Parameters
    ----------
    axes : Axes
        Its box has the proportions of the pattern.
    shape : (int, int)
        Of the pattern.
    detector : DetectorGrid
    written : bool
        Whether there is room to write the length above the bar.
    """
    fraction, text = pattern_scale_bar(shape, detector)
    inside = axes.transAxes
    halo = [withStroke(linewidth=3.4, foreground="#000000", alpha=0.6)]
    axes.plot(
        [0.05, 0.05 + fraction], [0.05, 0.05], color="#ffffff", lw=2, transform=inside,
        solid_capstyle="butt", path_effects=halo, scalex=False, scaley=False,
    )  # fmt: skip
    if written:
        axes.text(
            0.05, 0.075, text, transform=inside, color="#ffffff", fontsize=8, va="bottom",
            path_effects=[withStroke(linewidth=1.8, foreground="#000000", alpha=0.6)],
        )  # fmt: skip


def _legend_rows(labels: np.ndarray, names: Sequence[str], width: float) -> tuple[int, int]:
    """Return the rows and columns of the legend below a map ``width`` inches wide."""
    shown = _legend_entries(labels, names, ())
    if not shown:
        return 0, 1
    longest = max(len(text) for text, _ in shown)
    columns = max(1, min(len(shown), int(max(width, NARROWEST) / (0.28 + 0.075 * longest))))
    return -(-len(shown) // columns), columns


def _legend_entries(
    labels: np.ndarray, names: Sequence[str], colours: Sequence[str]
) -> list[tuple[str, str]]:
    """Return words and colour of what a map's legend names: clusters with a name, and no cluster.

    Positions without a cluster are only named where others were not measured.
    """
    named = [
        (plain(cluster_text(cluster, names)), colours[cluster] if colours else "")
        for cluster, name in enumerate(names)
        if name and (labels == cluster).any()
    ]
    if (labels == NO_PATTERN).any():
        if (labels == NO_LABEL).any():
            named.append(("no cluster", NO_CLUSTER))
        named.append(("not measured", NOT_MEASURED))
    return named


def legend_height(labels: np.ndarray, names: Sequence[str] = (), width: float = 0.0) -> float:
    """Return the room in inches that `draw_map_legend` takes below the scale bar of a map."""
    rows, _ = _legend_rows(labels, names, width)
    return rows * LEGEND_ROW + 0.05 if rows else 0.0


def draw_map_legend(
    axes: Axes, labels: np.ndarray, names: Sequence[str] = (), colours: Sequence[str] = ()
) -> None:
    """Name below a map of clusters those that have a name, and positions that were not measured."""
    entries = _legend_entries(labels, names, colours)
    if not entries:
        return
    box, (full_width, full_height) = axes.get_position(), axes.figure.get_size_inches()
    inch = 1 / (box.height * full_height)
    _, columns = _legend_rows(labels, names, box.width * full_width)
    axes.legend(
        handles=[
            Patch(facecolor=colour, edgecolor=QUIET, linewidth=0.5, label=words)
            for words, colour in entries
        ],
        loc="upper left", bbox_to_anchor=(0, -0.4 * inch), ncols=columns, fontsize=8,
        frameon=False, borderaxespad=0, borderpad=0, handlelength=0.8, handletextpad=0.4,
        columnspacing=1.0,
    )  # fmt: skip


def number_clusters(axes: Axes, labels: np.ndarray, colours: Sequence[str]) -> None:
    """Write each cluster's number where it is widest, if there is room."""
    box = axes.get_position()
    inches = box.width * axes.figure.get_size_inches()[0] / labels.shape[1]
    for label, (row, column, distance) in label_anchors(labels).items():
        if distance * inches < 0.09:
            continue
        ink = text_colour(colours[label])
        halo = "#ffffff" if ink == "#000000" else "#000000"
        axes.text(
            column, row, cluster_text(int(label)), ha="center", va="center", color=ink,
            fontsize=9 if distance * inches < 0.2 else 11, fontweight="bold",
            path_effects=[withStroke(linewidth=1.5, foreground=halo, alpha=0.35)],
        )  # fmt: skip
