"""Say which figures a comparison of filters allows: one function a figure, in the page's order.

Tested in tests/tasks/report/comparison/test_compare.py.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from orimap.tasks.report.comparison import figures
from orimap.tasks.report.comparison.compare import Filtered, common_count, renumbered
from orimap.tasks.report.drawings.write import Drawing
from orimap.tasks.report.figures.images import NO_PATTERN
from orimap.tasks.report.results import (
    NOISE_KINDS,
    analysed_mask,
    detector_grid,
    noise_table,
    scan_grid,
    stored_k,
    where_measured,
)
from orimap.tasks.report.words import units_text

FIGURES = ("maps", "patterns", "noise", "loss", "fluctuation", "held_out")


def comparison_drawings(
    filters: Sequence[Filtered], numbers: Sequence[np.ndarray]
) -> Iterator[Drawing]:
    """Return the figures that the results allow, in the order of the page."""
    yield _maps(filters, numbers)
    yield from _patterns(filters, numbers)
    yield from _noise(filters, numbers)
    yield from _loss(filters)
    yield from _held_out(filters)


def _maps(filters: Sequence[Filtered], numbers: Sequence[np.ndarray]) -> Drawing:
    scan = scan_grid(filters[0].results.attr("acquisition"))
    maps = {
        f.title: where_measured(f.results, renumbered(f.label, n), NO_PATTERN)
        for f, n in zip(filters, numbers, strict=True)
    }
    return Drawing(
        "maps",
        "The cluster maps of all filters side by side, the same grain in the same colour.",
        lambda: figures.maps_figure(maps, scan),
    )


def _patterns(filters: Sequence[Filtered], numbers: Sequence[np.ndarray]) -> Iterator[Drawing]:
    count = common_count(numbers)
    stored = [f.results.values("clusters", "cluster_representative") for f in filters]
    if not count or any(values is None for values in stored):
        return
    numbered = {
        f.title: dict(zip(map(int, n), values, strict=True))
        for f, n, values in zip(filters, numbers, stored, strict=True)
    }
    masks = {f.title: analysed_mask(f.results) for f in filters}
    yield Drawing(
        "patterns",
        "The pattern of every cluster, a row each, after every filter, a column each.",
        lambda: figures.patterns_figure(numbered, count, masks, detector_grid(filters[0].results)),
    )


def _noise(filters: Sequence[Filtered], numbers: Sequence[np.ndarray]) -> Iterator[Drawing]:
    tables = {kind: _noise_of(filters, numbers, kind) for kind in NOISE_KINDS}
    noise = {kind: values for kind, values in tables.items() if np.isfinite(values).any()}
    if not noise:
        return
    units = units_text(filters[0].results.intensity_units)
    yield Drawing(
        "noise",
        "Noise standard deviation of every cluster after every filter, in three ways.",
        lambda: figures.noise_figure(noise, [f.title for f in filters], units),
    )


def _fitted(filters: Sequence[Filtered]) -> dict[str, int | None]:
    """Return the number of components fitted with each filter, by title."""
    return {f.title: stored_k(f.results, "fitted_k") for f in filters}


def _loss(filters: Sequence[Filtered]) -> Iterator[Drawing]:
    losses = {f.title: _losses(f) for f in filters if f.along_k("k_relative_loss")}
    if not losses:
        return
    yield Drawing(
        "loss",
        "Relative loss against the number of components, a curve for each filter.",
        lambda: figures.loss_curves_figure(losses, _fitted(filters)),
    )
    if any(len(values) > 1 for _, values in losses.values()):
        yield Drawing(
            "fluctuation",
            "Range of the relative loss over seeds, against the number of components.",
            lambda: figures.fluctuation_figure(losses),
        )


def _held_out(filters: Sequence[Filtered]) -> Iterator[Drawing]:
    stored = {f.title: f.along_k("k_held_out_drop") for f in filters}
    drops = {title: found for title, found in stored.items() if found and np.any(found[1] > 0)}
    if not drops:
        return
    yield Drawing(
        "held_out",
        "Drop in held-out deviance over its largest, a curve for each filter.",
        lambda: figures.held_out_curves_figure(drops, _fitted(filters)),
    )


def _noise_of(filters: Sequence[Filtered], numbers: Sequence[np.ndarray], kind: str) -> np.ndarray:
    """Return one kind of noise as (common cluster, filter); NaN where there is none."""
    table = np.full((common_count(numbers), len(filters)), np.nan)
    for column, (filtered, number) in enumerate(zip(filters, numbers, strict=True)):
        values = noise_table(filtered.results).get(kind)
        if values is not None:
            table[number, column] = values
    return table


def _losses(filtered: Filtered) -> tuple[np.ndarray, np.ndarray]:
    """Return k and the relative loss (seed, k) of a filter; NaN where a seed has no such fit."""
    k, _ = filtered.along_k("k_relative_loss")
    table = np.full((len(filtered.seeds), len(k)), np.nan)
    for row, run in enumerate(filtered.seeds):
        _, here, there = np.intersect1d(k, run.k, return_indices=True)
        table[row, here] = np.array(run.relative_loss)[there]
    return k, table
