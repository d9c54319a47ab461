"""Draw the map of clusters into a figure of a notebook, and show results there in short.

Tested in tests/flows/interactive/test_results.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import xarray as xr
    from matplotlib.axes import Axes

# Of more clusters than this the legend would hide the map.
MOST_IN_LEGEND = 24
# The page shows a small map, in inches, of at most so many positions a side.
SMALL_INCHES = 3.2
MOST_POSITIONS = 600


def draw_map(
    axes: Axes,
    labels: xr.DataArray,
    measured: np.ndarray | None,
    title: str,
    names: Mapping[int, str],
    *,
    legend: bool = True,
    chosen: Sequence[str] = (),
) -> None:
    """Draw the map of clusters, in nm where the scan is calibrated.

    Parameters
    ----------
    axes : matplotlib Axes
    labels : (scan_y, scan_x) DataArray of int
        From 1 on, 0 where there is none.
    measured : (scan_y, scan_x) array of bool, or None
        False where there is no pattern; None where there is one everywhere.
    title : str
    names : mapping of int to str
        What clusters are called beside their number.
    legend : bool
        Colour, number and share of the scan of each cluster.
    chosen : sequence of str
        Colours that somebody chose, empty where nobody did.
    """
    import numpy as np
    from matplotlib.patches import Patch

    from orimap.tasks.report.figures.images import NO_LABEL, NO_PATTERN, label_image
    from orimap.tasks.report.figures.palette import NO_CLUSTER, NOT_MEASURED, cluster_colours

    drawn = labels.values.astype(int) - 1
    if measured is not None:
        drawn = np.where(measured, drawn, NO_PATTERN)
    colours = cluster_colours(max(int(drawn.max()) + 1, 1), chosen)
    axes.imshow(
        label_image(drawn, colours),
        interpolation="nearest",
        extent=_extent(labels),
        aspect="equal",
    )
    units = {name: labels.coords[name].attrs.get("units", "px") for name in labels.dims}
    y, x = (
        f"{name}" + ("" if units[name] == "px" else f" ({units[name]})") for name in labels.dims
    )
    axes.set(xlabel=x, ylabel=y, title=title)
    if not legend:
        return
    size = np.bincount(drawn[drawn >= 0], minlength=len(colours)) / drawn.size
    handles = [
        Patch(color=colour, label=f"{names.get(n, n)}   {100 * share:.1f} %")
        for n, (colour, share) in enumerate(zip(colours, size, strict=True), start=1)
    ][:MOST_IN_LEGEND]
    left_over = {"none": (NO_LABEL, NO_CLUSTER), "not measured": (NO_PATTERN, NOT_MEASURED)}
    handles += [
        Patch(facecolor=colour, edgecolor="#6b7280", linewidth=0.5, label=words)
        for words, (label, colour) in left_over.items()
        if (drawn == label).any()
    ]
    if len(colours) > MOST_IN_LEGEND:
        handles.append(Patch(alpha=0, label=f"and {len(colours) - MOST_IN_LEGEND} more"))
    axes.legend(
        handles=handles, title="cluster", loc="upper left", bbox_to_anchor=(1.02, 1),
        frameon=False, borderaxespad=0,
    )  # fmt: skip


def _extent(labels: xr.DataArray) -> tuple[float, float, float, float]:
    """Return the outer edges of the first and last positions: left, right, bottom, top."""
    edges = []
    for name in labels.dims:
        along = labels.coords[name].values
        half = (along[-1] - along[0]) / (2 * (len(along) - 1)) if len(along) > 1 else 0.5
        edges.append((float(along[0] - half), float(along[-1] + half)))
    (top, bottom), (left, right) = edges
    return left, right, bottom, top


def in_short(
    labels: xr.DataArray,
    measured: np.ndarray | None,
    names: Mapping[int, str],
    headline: str,
    reasons: Sequence[str],
    folder: str,
    chosen: Sequence[str] = (),
) -> str:
    """Return HTML with the map, the answer and its reasons."""
    import base64
    import io
    from html import escape

    from matplotlib.figure import Figure

    # A figure of its own: pyplot would show it a second time.
    figure = Figure(figsize=(SMALL_INCHES + 1.6, SMALL_INCHES), layout="constrained")
    every = max(1, -(-max(labels.shape) // MOST_POSITIONS))
    shown = labels[::every, ::every]
    seen = None if measured is None else measured[::every, ::every]
    draw_map(figure.add_subplot(), shown, seen, "", names, chosen=chosen)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=96)
    image = base64.b64encode(picture.getvalue()).decode()
    because = "".join(f"<li>{escape(reason)}</li>" for reason in reasons)
    return (
        f'<div><strong>{escape(headline)}</strong><br><img alt="map of clusters" '
        f'src="data:image/png;base64,{image}"><details><summary>why</summary><ul>{because}</ul>'
        f"</details><small>{escape(folder)}</small></div>"
    )
