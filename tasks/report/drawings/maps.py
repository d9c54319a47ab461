"""Say how maps of the scan and patterns of clusters are drawn.

Tested in tests/tasks/report/drawings/test_catalogue.py.
"""

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure

from orimap.tasks.report import words
from orimap.tasks.report.figures import clusters, scan_maps
from orimap.tasks.report.figures.images import ScanGrid
from orimap.tasks.report.results import (
    REFLECTION_MAPS,
    Results,
    analysed_mask,
    cluster_count,
    cluster_names,
    cluster_patterns,
    colours_of,
    detector_grid,
    drawn_labels,
    fidelity_scores,
    mean_patterns,
    not_measured,
    reflection_map_titles,
    scan_grid,
    units_of,
    where_measured,
)

SHARE_PIXELS = 400  # a small multiple is drawn some 230 dots wide: more positions do not show

Drawn = tuple[str, Callable[[], Figure]] | None


def _grid(results: Results) -> ScanGrid:
    return scan_grid(results.attr("acquisition"))


def _sampled(shape: tuple[int, ...], scan: ScanGrid) -> tuple[int, ScanGrid]:
    """Return the step between the positions that a small map shows, and the grid of those."""
    step = -(-max(shape[:2]) // SHARE_PIXELS)
    return step, scan.every(step)


def _missing(results: Results, step: int) -> np.ndarray | None:
    """Return which positions of a small map were not measured, None where all were."""
    missing = not_measured(results)
    return None if missing is None else missing[::step, ::step]


def draw_cluster_map(results: Results) -> Drawn:
    """Draw the map of clusters."""
    labels = drawn_labels(results)
    if labels is None:
        return None
    count = cluster_count(labels, cluster_patterns(results))
    return (
        "Map of the scan, each position in the colour of its cluster; "
        f"{words.count_text(count, 'cluster')}.",
        lambda: clusters.cluster_map_figure(
            labels, colours_of(results, count), _grid(results), cluster_names(results)
        ),
    )


def _patterns_text(results: Results) -> str:
    """Say which pattern of each cluster is drawn."""
    if results.values("clusters", "cluster_mean_pattern") is None:
        return "the pattern of each cluster from the factorisation"
    return "the mean pattern of each cluster"


def draw_clusters(results: Results) -> Drawn:
    """Draw map and patterns of the clusters."""
    labels, patterns = drawn_labels(results), cluster_patterns(results)
    if labels is None or patterns is None:
        return None
    return (
        f"The cluster map and beside it {_patterns_text(results)}.",
        lambda: clusters.clusters_figure(
            labels,
            patterns,
            _grid(results),
            colours=colours_of(results, len(patterns)),
            detector=detector_grid(results),
            names=cluster_names(results),
            mask=analysed_mask(results),
        ),
    )


def draw_fidelity(results: Results) -> Drawn:
    """Draw mean patterns and those of the factorisation."""
    means = results.values("clusters", "cluster_mean_pattern")
    representatives = results.values("clusters", "cluster_representative")
    if means is None or representatives is None:
        return None
    return (
        "The mean raw pattern of each cluster above the pattern of the factorisation.",
        lambda: clusters.fidelity_figure(
            means,
            representatives,
            fidelity_scores(results),
            colours=colours_of(results, len(means)),
            detector=detector_grid(results),
            mask=analysed_mask(results),
        ),
    )


def draw_shares(results: Results) -> Drawn:
    """Draw the share of each cluster."""
    shares = results.groups["clusters"].get("cluster_share")
    if shares is None or not shares.size:
        return None
    step, coarse = _sampled(shares.shape, _grid(results))
    return (
        "Maps of the share of each cluster at every position.",
        lambda: clusters.share_figure(
            where_measured(results, shares.values, np.nan)[::step, ::step],
            coarse,
            colours_of(results, shares.shape[2]),
        ),
    )


def draw_reflection_maps(results: Results) -> Drawn:
    """Draw the maps of registered reflections."""
    ds = results.groups["reflection_maps"]
    varied, _ = reflection_map_titles(results)
    if not varied:
        return None
    step, coarse = _sampled(ds[next(iter(varied))].shape, _grid(results))

    def draw() -> Figure:
        panels = [
            scan_maps.MapPanel(
                title,
                ds[name].values[::step, ::step],
                units_of(results, "reflection_maps", name),
                REFLECTION_MAPS[name][1],
            )
            for name, title in varied.items()
        ]
        return scan_maps.scan_maps_figure(panels, coarse, _missing(results, step))

    titles = ", ".join(varied.values())
    return f"Maps of the scan from registered reflections: {titles}.", draw


def draw_dark_field(results: Results) -> Drawn:
    """Draw the dark field of each cluster's own reflections."""
    ds = results.groups["reflection_maps"]
    fields = ds.get("cluster_dark_field")
    if fields is None or not fields.size:
        return None
    owners, own = ds["place_cluster"].values, ds["place_own"].values
    step, coarse = _sampled(fields.shape, _grid(results))
    return (
        "Virtual dark field of the reflections that are each cluster's own.",
        lambda: scan_maps.dark_fields_figure(
            where_measured(results, fields.values, np.nan)[::step, ::step],
            coarse,
            units=units_of(results, "reflection_maps", "cluster_dark_field"),
            colours=colours_of(results, fields.shape[2]),
            places=np.bincount(owners[own], minlength=fields.shape[2]),
        ),
    )


def draw_baseline(results: Results) -> Drawn:
    """Draw the map beside that of k-means."""
    labels = drawn_labels(results)
    other = results.values("baseline", "kmeans_label")
    if labels is None or other is None:
        return None
    agreement = words.number(results.attr("baseline").get("agreement"))
    return (
        "The cluster map beside that of k-means.",
        lambda: clusters.baseline_figure(
            labels, other, _grid(results), agreement, colours_of(results, int(labels.max()) + 1)
        ),
    )


def _acquisition_text(bright_field: np.ndarray | None, means: Mapping[str, object]) -> str:
    """Say what of the acquisition is drawn."""
    shown = ["Virtual bright field of the scan"] if bright_field is not None else []
    if means:
        both = ", as acquired and as analysed" if len(means) > 1 else ""
        shown.append(f"mean pattern with masked pixels marked{both}")
    text = " and the ".join(shown)
    return f"{text[0].upper()}{text[1:]}."


def draw_acquisition(results: Results) -> Drawn:
    """Draw bright field and mean pattern."""
    bright_field = results.values("acquisition", "scan_virtual_bright_field")
    means = mean_patterns(results)
    if bright_field is not None:
        bright_field = where_measured(results, bright_field, np.nan)
    if bright_field is None and not means:
        return None
    return (
        _acquisition_text(bright_field, means),
        lambda: scan_maps.acquisition_figure(
            bright_field, means, _grid(results), detector_grid(results)
        ),
    )


def draw_beam_shift(results: Results) -> Drawn:
    """Draw where the direct beam lies."""
    shift = results.values("acquisition", "scan_beam_shift")
    if shift is None:
        return None
    step, coarse = _sampled(shift.shape, _grid(results))
    return (
        "Two maps of where the direct beam lies in each pattern, along y and along x.",
        lambda: scan_maps.beam_shift_figure(shift[::step, ::step], coarse, _missing(results, step)),
    )
