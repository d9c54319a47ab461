"""Where patterns overlap, and one overlap taken apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orimap.tasks.report.results import Results
from orimap.tasks.report.sections import tables
from orimap.tasks.report.words import count_text, decoded, number, plural, whole


@dataclass(frozen=True)
class OverlapSection:
    """Where patterns overlap; ``levels`` are None where no overlap was stored.

    ``taken_apart`` says which position is, ``sum`` of what its pattern is the sum, ``line`` where
    the line goes.
    """

    levels: Sequence[tables.OverlapLevel] | None
    note: str
    pairs: Sequence[tables.OverlapPair]
    taken_apart: str
    sum: str
    line: str


def overlap_section(results: Results) -> OverlapSection:
    """Return what is said of overlaps."""
    labels = results.values("clusters", "cluster_label")
    second = results.values("overlap", "second_label")
    ratio = results.values("overlap", "overlap_ratio")
    error = results.values("overlap", "overlap_ratio_error")
    level = results.values("overlap", "overlap_level")
    apart = results.attr("decomposition")
    levels, pairs = None, []
    if labels is not None and ratio is not None:
        if level is not None:
            levels = tables.overlap_rows(labels, ratio, level)
        if second is not None:
            pairs = tables.overlap_pairs(labels, second, ratio)
    return OverlapSection(
        levels=levels,
        note=overlap_sentence(results.attr("overlap")),
        pairs=pairs,
        taken_apart=decomposition_sentence(apart, ratio, error),
        sum=sum_sentence(
            results.values("decomposition", "decomposed_background"),
            results.values("sketch", "detector_fitted"),
        ),
        line=line_sentence(
            results.values("line", "line_position"),
            decoded(apart.get("position")),
            results.values("line", "line_share_error"),
        ),
    )


def overlap_sentence(facts: Mapping[str, Any]) -> str:
    """Say how many second patterns were within their error and so not called overlap.

    Parameters
    ----------
    facts : mapping
        Attributes of /overlap.
    """
    within, needed = whole(facts.get("positions_within_error")), facts.get("standard_errors_needed")
    if within is None or number(needed) is None:
        return ""
    rule = f"A second pattern counts where its share is at least {number(needed):g} times its "
    rule += "standard error from counting noise"
    if not within:
        return rule + "; here that left none out."
    positions = f"{count_text(within, 'position')} {plural(within, 'was', 'were')}"
    return rule + f"; {positions} not called overlap for that reason."


def decomposition_sentence(
    facts: Mapping[str, Any], ratio: np.ndarray | None = None, error: np.ndarray | None = None
) -> str:
    """Say which position is taken apart, and how strongly two patterns overlap there.

    Parameters
    ----------
    facts : mapping
        Attributes of /decomposition.
    ratio, error : (scan_y, scan_x) arrays or None
        Second share over first everywhere, with its standard error: they tell whether it is the
        surest overlap of all, or only of those that lie where a line has room.
    """
    place = decoded(facts.get("position"))
    if place is None:
        return ""
    y, x = (int(at) for at in place)
    here, spread = number(facts.get("overlap_ratio")), number(facts.get("overlap_ratio_error"))
    text = f"Row {y}, column {x} (counted from 0) is "
    if ratio is None or not (0 <= y < ratio.shape[0] and 0 <= x < ratio.shape[1]):
        text += "a position where two patterns overlap"
    else:
        sure = ratio - (0 if error is None else np.nan_to_num(error))
        surest = sure[y, x] >= np.nanmax(sure) - 1e-6
        away = "" if surest else ", of the positions away from the edges of the scan,"
        text += f"where{away} two patterns most surely overlap"
    if here is not None:
        known = "" if spread is None else f" ± {spread:.2f}"
        text += f": the second share is {here:.2f}{known} of the first"
    return text + "."


def sum_sentence(background: np.ndarray | None, fitted: np.ndarray | None) -> str:
    """Say of what a pattern is the sum, and what its images leave out.

    Parameters
    ----------
    background : (dy, dx) array or None
        What components that belong to no cluster contribute.
    fitted : (dy, dx) array of bool or None
        Pixels that the fit saw.
    """
    text = "The pattern as it was analysed is the sum of what each cluster contributes, "
    if background is not None and np.any(background > 0):
        text += "of background that belongs to none, "
    text += "and of what is left. All on one scale, the root of the intensity"
    if fitted is not None and not np.all(fitted):
        text += ", and without the pixels that the fit leaves out"
    return text + ". What is left should look like noise."


def line_sentence(
    position: np.ndarray | None, taken_apart: Sequence[int] | None, error: np.ndarray | None
) -> str:
    """Say what the figure of patterns along a line shows.

    Parameters
    ----------
    position : (point, 2) array of int or None
        Rows and columns of the line.
    taken_apart : (row, column) or None
    error : (point, cluster) array or None
        Standard errors of the shares; NaN where they are not known.
    """
    text = "Patterns along the line in the enlarged part of the map"
    if position is not None and taken_apart is not None:
        y, x = (int(at) for at in taken_apart)
        if np.any((position == (y, x)).all(axis=1)):
            text += ", which crosses that position"
    text += ", framed in the colour of the cluster; above them the shares along the line"
    if error is not None and np.isfinite(error).any():
        text += ", with standard errors from counting noise"
    return text + "."
