"""What one pattern is made of, and how the patterns change along a line through the scan.

Reads stored results and the few patterns that are asked for, nothing else (the paper's Fig. 5).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from orimap.tasks.decide.grains.stored import GRAINS
from orimap.tasks.errors import InputError, as_whole
from orimap.tasks.factorise.stored_fits import fit_group
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store import variables
from orimap.tasks.store.groups import open_group
from orimap.tasks.store.open_results import open_revised, revision_store
from orimap.tasks.stream.blocks import Block

# Half-lengths of a line through an overlap, steps: the shortest that shows both patterns alone.
HALF_LENGTHS = (4, 8, 12, 16, 24)
# So near to the best line in what it shows at its ends, a shorter one is better.
AS_GOOD = 0.95
# Along rows, columns and diagonals every point of a line is a position, evenly far from the next.
DIRECTIONS = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0))


def decompose(results: Path, position: tuple[int, int], revision: str | None = None) -> xr.Dataset:
    """Take one pattern apart into the clusters that overlap in it.

    Parameters
    ----------
    results : Path
        The folder of a run.
    position : (int, int)
        Row and column in the scan.
    revision : str, optional
        Whose clusters stand in place of the automatic ones.

    Returns
    -------
    xarray.Dataset
        ``decomposed_pattern`` = sum of ``decomposed_contribution`` over clusters +
        ``decomposed_background`` + ``decomposed_residual``, all (detector_y, detector_x), in the
        unit of the counts, with the patterns as they were analysed (filtered, centred) and 0 where
        pixels are masked; per cluster ``decomposed_share``, its standard error and
        ``decomposed_intensity``. Attributes: position, label, second_label (-1 none),
        overlap_ratio, overlap_ratio_error.

    Raises
    ------
    InputError
        If there are no results there, or the position is not in the scan.
    """
    analysis, patterns = _opened(results)
    return decomposition(analysis, patterns, position, _revised(results, revision))


def along_line(
    results: Path,
    start: tuple[float, float],
    end: tuple[float, float],
    count: int | None = None,
    revision: str | None = None,
) -> xr.Dataset:
    """Return the patterns and shares at positions along a line.

    Parameters
    ----------
    results : Path
        The folder of a run.
    start, end : (float, float)
        Row and column in the scan.
    count : int, optional
        Number of points, evenly spaced from start to end, by default one for each row or column
        that the line crosses; each stands for the nearest position, nothing is interpolated.
    revision : str, optional
        Whose clusters stand in place of the automatic ones.

    Returns
    -------
    xarray.Dataset
        Along ``point``: ``line_position``, ``line_distance`` (from start, in positions),
        ``line_pattern`` (as analysed, 0 where masked), ``line_share`` and its standard error.

    Raises
    ------
    InputError
        If there are no results there, the line leaves the scan or has fewer than two points.
    """
    analysis, patterns = _opened(results)
    return line(analysis, patterns, start, end, count, _revised(results, revision))


def source_attrs(patterns: PatternSource) -> dict[str, Any]:
    """Return what has to be stored beside results to find their patterns again."""
    return {
        "patterns_filter": patterns.filter,
        "patterns_centred": patterns.centred,
        "patterns_floor": patterns.floor,
        "patterns_profile": patterns.profile,
    }


def _opened(results: Path) -> tuple[Path, PatternSource]:
    """Return the store of the results and the patterns that they were made from."""
    analysis, store = results / "analysis.zarr", results / "patterns.zarr"
    if not (analysis / "clusters" / "zarr.json").exists() or not (store / "raw").exists():
        raise InputError(
            "the folder of a complete run, with analysis.zarr and patterns.zarr",
            f"{results} without {'clusters' if analysis.exists() else 'analysis.zarr'}"
            if not (analysis / "clusters" / "zarr.json").exists()
            else f"{results} without the patterns (those of --keep results go)",
            "run the analysis: orimap run FILE --output DIR --keep fits",
        )
    facts: Mapping[str, Any] = open_group(analysis, "clusters").attrs
    return analysis, PatternSource.open(
        store,
        facts["patterns_filter"],
        centred=bool(facts["patterns_centred"]),
        profile=facts["patterns_profile"],
    )


def _one_pattern(patterns: PatternSource, position: tuple[int, int], valid: np.ndarray) -> Any:
    """Return the pattern (detector_y, detector_x) of one position, 0 where masked."""
    y, x = position
    image = patterns.images(Block(y, y + 1, x, x + 1))[0] - patterns.floor
    return np.where(valid, image, 0).astype(np.float32)


def decomposition(
    analysis: Path,
    patterns: PatternSource,
    position: tuple[int, int],
    revision: Path | None = None,
) -> xr.Dataset:
    """As ``decompose``, for a store of results and the patterns wherever they are.

    With the groups of the store of a ``revision`` in place of those of the results.
    """
    rows, columns = patterns.scan_shape
    y, x = (as_whole(at) for at in position)
    if y is None or x is None or not (0 <= y < rows and 0 <= x < columns):
        raise InputError(
            f"a position in the scan of {rows} x {columns}",
            f"row {position[0]!r}, column {position[1]!r}",
            "give whole numbers of row and column, counted from 0",
        )
    v = variables
    clusters, overlap = (open_revised(analysis, revision, name) for name in ("clusters", "overlap"))
    fit = open_revised(analysis, revision, decided_fit(analysis))
    valid = v.detector_valid.read(open_group(analysis, "sketch")).values
    images = v.component_pattern.read(fit).values.astype(float)
    weights = v.scan_weight.read(fit)[y, x].values.astype(float)
    members = v.component_cluster.read(clusters).values
    share = v.cluster_share.read(clusters)[y, x].values
    contribution = np.zeros((len(share), *images.shape[1:]))
    for cluster, parent in enumerate(v.cluster_parent.read(clusters).values):
        # Of the pieces of one pattern, only the nearest has a share here.
        if share[cluster] > 0:
            own = members == parent
            contribution[cluster] = np.tensordot(weights[own], images[own], axes=1)
    background = np.tensordot(weights[members < 0], images[members < 0], axes=1)
    background -= np.where(valid, patterns.floor, 0)
    measured = _one_pattern(patterns, (y, x), valid)
    return v.dataset(
        {
            v.decomposed_pattern: measured,
            v.decomposed_contribution: contribution.astype(np.float32),
            v.decomposed_background: background.astype(np.float32),
            v.decomposed_residual: (measured - contribution.sum(axis=0) - background).astype(
                np.float32
            ),
            v.decomposed_share: share,
            v.decomposed_share_error: v.cluster_share_error.read(clusters)[y, x].values,
            v.decomposed_intensity: contribution.sum(axis=(1, 2)).astype(np.float32),
        },
        position=[y, x],
        label=int(v.cluster_label.read(clusters)[y, x]),
        second_label=int(v.second_label.read(overlap)[y, x]),
        overlap_ratio=float(v.overlap_ratio.read(overlap)[y, x]),
        overlap_ratio_error=float(v.overlap_ratio_error.read(overlap)[y, x]),
    )


def _revised(results: Path, revision: str | None) -> Path | None:
    """Return the store of a revision."""
    return None if revision is None else revision_store(results, revision)


def decided_fit(analysis: Path) -> str:
    """Return the group of the decided components; earlier versions drew maps of a fit itself."""
    if (analysis / GRAINS / "zarr.json").exists():
        return GRAINS
    return fit_group(int(open_group(analysis, "decision").attrs["fitted_k"]))


def line(
    analysis: Path,
    patterns: PatternSource,
    start: tuple[float, float],
    end: tuple[float, float],
    count: int | None = None,
    revision: Path | None = None,
) -> xr.Dataset:
    """As ``along_line``, for a store of results and the patterns wherever they are.

    With the groups of the store of a ``revision`` in place of those of the results.
    """
    points, places = places_on_line(start, end, count, patterns.scan_shape)
    v = variables
    clusters = open_revised(analysis, revision, "clusters")
    valid = v.detector_valid.read(open_group(analysis, "sketch")).values
    share, error = v.cluster_share.read(clusters), v.cluster_share_error.read(clusters)
    at = {name: xr.DataArray(places[:, i], dims="point") for i, name in enumerate(v.SCAN)}
    return v.dataset(
        {
            v.line_position: places,
            v.line_distance: np.linalg.norm(points - points[0], axis=1),
            v.line_pattern: np.stack([_one_pattern(patterns, (y, x), valid) for y, x in places]),
            v.line_share: share.isel(at).transpose("point", "cluster").values,
            v.line_share_error: error.isel(at).transpose("point", "cluster").values,
        }
    )


def places_on_line(
    start: tuple[float, float],
    end: tuple[float, float],
    count: int | None,
    scan_shape: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray]:
    """Return points (count, 2) evenly spaced on a line, and the positions nearest to them.

    Without a count, one for each row or column that the line crosses.

    Raises
    ------
    InputError
        If the line leaves the scan or has fewer than two points.
    """
    last = np.array(scan_shape) - 1
    try:
        ends = np.array([start, end], float)
    except (TypeError, ValueError):
        ends = np.array(np.nan)
    # What is no number is not within the scan either.
    if ends.shape != (2, 2) or not np.all((ends >= 0) & (ends <= last)):
        raise InputError(
            f"a line from (row, column) to (row, column), within rows 0 to {last[0]} and columns "
            f"0 to {last[1]}",
            f"from {start!r} to {end!r}",
            "choose a line within the scan",
        )
    crossed = round(float(np.abs(ends[1] - ends[0]).max())) + 1
    number = max(crossed, 2) if count is None else as_whole(count)
    if number is None or number < 2:
        raise InputError(
            "a whole number of points along the line, 2 or more",
            f"{count!r}",
            "leave it out for one at each row or column that the line crosses",
        )
    points = np.linspace(*ends, number)
    return points, np.round(points).astype(int)


def strongest_overlap(
    ratio: np.ndarray, error: np.ndarray, second: np.ndarray
) -> tuple[int, int] | None:
    """Return where two patterns most surely overlap: the largest ratio less its standard error.

    Parameters
    ----------
    ratio, error : (scan_y, scan_x) arrays
        An error of NaN counts as none.
    second : (scan_y, scan_x) array of int
        Second label, -1 where there is none.

    Returns
    -------
    (int, int) or None
        Away from the edges of the scan, where there is room for a line on both sides, if there is
        any overlap there. None where nothing overlaps.
    """
    inside = np.zeros(second.shape, bool)
    room = HALF_LENGTHS[0]
    inside[room : second.shape[0] - room, room : second.shape[1] - room] = True
    overlaps = second >= 0
    chosen = overlaps & inside if np.any(overlaps & inside) else overlaps
    if not chosen.any():
        return None
    sure = np.where(chosen, ratio - np.nan_to_num(error), -np.inf)
    y, x = np.unravel_index(np.argmax(sure), sure.shape)
    return int(y), int(x)


def line_through(
    position: tuple[int, int], first: np.ndarray, second: np.ndarray
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Find the line through an overlap that runs from one pattern to the other.

    Parameters
    ----------
    position : (int, int)
        Its middle.
    first, second : (scan_y, scan_x) arrays
        Shares of the two clusters.

    Returns
    -------
    (start, end) or None
        Of the lines of several lengths along rows, columns and diagonals, the one with the largest
        share of the first at its beginning and of the second at its end; a shorter one where it is
        nearly as good. None where no line stays in the scan.
    """
    middle, last = np.array(position), np.array(first.shape) - 1
    best_of: dict[int, tuple] = {}
    for half in HALF_LENGTHS:
        for direction in DIRECTIONS:
            start, end = (middle + sign * half * np.array(direction) for sign in (-1, 1))
            if np.any(np.minimum(start, end) < 0) or np.any(np.maximum(start, end) > last):
                continue
            ends = tuple(start.tolist()), tuple(end.tolist())
            shown = min(first[ends[0]], 1.0) + min(second[ends[1]], 1.0)
            if half not in best_of or shown > best_of[half][0]:
                best_of[half] = (shown, ends)
    if not best_of:
        return None
    enough = AS_GOOD * max(shown for shown, _ in best_of.values())
    return next(ends for shown, ends in best_of.values() if shown >= enough)
