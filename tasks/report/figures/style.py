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

from orimap.tasks.report.figures.images import (
    NO_LABEL,
    NO_PATTERN,
    ScanGrid,
    label_anchors,
    scale_bar,
)
from orimap.tasks.report.figures.palette import NO_CLUSTER, NOT_MEASURED, text_colour
from orimap.tasks.report.words import cluster_text

INK = "#20242b"
QUIET = "#6b7280"
DARK = "#23272f"
MASKED = "#ff8c1a"
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


def bare(axes: Axes, colour: str = "#c4c8cf", width: float = 0.8) -> None:
    """Leave only the frame of some axes."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=colour, linewidth=width)


def write_title(axes: Axes, text: str) -> None:
    """Write above the left end of some axes what they show."""
    axes.set_title(text, loc="left", fontsize=9, color=INK, pad=4)


def draw_colour_bar(image: ScalarMappable, place: Axes, orientation: str = "vertical") -> Colorbar:
    """Draw the scale of an image's colours in axes of their own."""
    bar = place.figure.colorbar(image, cax=place, orientation=orientation)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, length=2)
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


def legend_height(labels: np.ndarray) -> float:
    """Return the room in inches that `draw_map_legend` takes below the scale bar of a map."""
    return 0.25 if (labels == NO_PATTERN).any() else 0.0


def draw_map_legend(axes: Axes, labels: np.ndarray) -> None:
    """Say below a map of clusters which positions have none, where some were not measured."""
    if not legend_height(labels):
        return
    named = {"no cluster": (NO_LABEL, NO_CLUSTER), "not measured": (NO_PATTERN, NOT_MEASURED)}
    inch = 1 / (axes.get_position().height * axes.figure.get_size_inches()[1])
    axes.legend(
        handles=[
            Patch(facecolor=colour, edgecolor=QUIET, linewidth=0.5, label=words)
            for words, (label, colour) in named.items()
            if (labels == label).any()
        ],
        loc="upper left", bbox_to_anchor=(0, -0.4 * inch), ncols=2, fontsize=8, frameon=False,
        borderaxespad=0, borderpad=0, handlelength=0.8, handletextpad=0.4, columnspacing=1.0,
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
