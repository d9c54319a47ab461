"""Say how overlaps are drawn: maps, one pattern taken apart, patterns along a line.

Tested in tests/tasks/report/drawings/test_catalogue.py.
"""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from orimap.tasks.report import words
from orimap.tasks.report.figures import clusters, overlap
from orimap.tasks.report.figures.images import ScanGrid
from orimap.tasks.report.results import (
    Results,
    cluster_count,
    cluster_names,
    cluster_patterns,
    colours_of,
    detector_grid,
    drawn_labels,
    scan_grid,
)

Drawn = tuple[str, Callable[[], Figure]] | None


def _grid(results: Results) -> ScanGrid:
    return scan_grid(results.attr("acquisition"))


def draw_overlap(results: Results) -> Drawn:
    """Draw where patterns overlap."""
    labels = drawn_labels(results)
    ratio = results.values("overlap", "overlap_ratio")
    level = results.values("overlap", "overlap_level")
    if labels is None or ratio is None or level is None:
        return None
    count = cluster_count(labels, cluster_patterns(results))
    return (
        "Three maps: clusters darkened where a second pattern is present, the ratio of "
        "the second share to the first, and the levels of 75 to 95 per cent.",
        lambda: clusters.overlap_figure(
            labels, ratio, level, colours_of(results, count), _grid(results)
        ),
    )


def draw_levels(results: Results) -> Drawn:
    """Draw each level of overlap."""
    labels = drawn_labels(results)
    level = results.values("overlap", "overlap_level")
    if labels is None or level is None:
        return None
    return (
        "Five maps: the positions whose second share reaches 75, 80, 85, 90 and 95 per cent of "
        "the first.",
        lambda: clusters.levels_figure(labels, level, _grid(results)),
    )


def _fitted_pixels(results: Results) -> np.ndarray | None:
    """Return which pixels of the detector were fitted, (dy, dx), where that is known."""
    fitted = results.values("sketch", "detector_fitted")
    return None if fitted is None else fitted.astype(bool)


def draw_decomposition(results: Results) -> Drawn:
    """Draw one pattern as the sum of its parts."""
    found = results.groups["decomposition"]
    if "decomposed_pattern" not in found:
        return None
    units = words.units_text(results.intensity_units)
    fitted = _fitted_pixels(results)
    seen = 1 if fitted is None else fitted
    contribution, background, measured, residual = (
        found[f"decomposed_{name}"].values * seen
        for name in ("contribution", "background", "pattern", "residual")
    )
    share, error = (found[f"decomposed_{name}"].values for name in ("share", "share_error"))
    parts = overlap.parts_of(contribution, share, error, background, units=units)
    y, x = (int(at) for at in found.attrs["position"])
    return (
        f"The pattern at row {y}, column {x} as the sum of what each cluster contributes, "
        "of the background and of what is left.",
        lambda: overlap.decomposition_figure(
            measured,
            parts,
            residual,
            units=units,
            colours=colours_of(results, found.sizes["cluster"]),
            detector=detector_grid(results),
            fitted=fitted,
        ),
    )


def draw_line(results: Results) -> Drawn:
    """Draw patterns and shares along a line."""
    line = results.groups["line"]
    labels = drawn_labels(results)
    ratio = results.values("overlap", "overlap_ratio")
    if "line_pattern" not in line or labels is None or ratio is None:
        return None
    names = ("position", "pattern", "share", "share_error")
    return (
        "The map of clusters with a line across an overlap, the shares along the line as "
        "curves, and below them the patterns.",
        lambda: overlap.line_figure(
            labels,
            ratio,
            *(line[f"line_{name}"].values for name in names),
            _grid(results),
            colours=colours_of(results, line.sizes["cluster"]),
            detector=detector_grid(results),
            fitted=_fitted_pixels(results),
            cluster_names=cluster_names(results),
        ),
    )
