"""Say how orientations of clusters are drawn.

Tested in tests/tasks/report/drawings/test_catalogue.py.
"""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure

from orimap.tasks.report.figures.palette import cluster_colours
from orimap.tasks.report.orientations import figures
from orimap.tasks.report.orientations.bent import bent_of, local_turn
from orimap.tasks.report.orientations.directions import crystal_keys
from orimap.tasks.report.orientations.section import SIGMA3_DEG, titles
from orimap.tasks.report.orientations.words import rotations
from orimap.tasks.report.results import (
    Results,
    analysed_mask,
    cluster_patterns,
    colours_of,
    detector_grid,
    drawn_labels,
    scan_grid,
)

Drawn = tuple[str, Callable[[], Figure]] | None


def draw_orientations(results: Results) -> Drawn:
    """Draw the maps of crystal directions."""
    labels, found = drawn_labels(results), results.groups["orientations"]
    if labels is None or "cluster_quaternion" not in found:
        return None
    return (
        "Three maps of the scan in colours of the crystal direction along z, x and y of the "
        "sample, with the colour key of each crystal.",
        lambda: figures.direction_maps_figure(
            labels,
            rotations(found["cluster_quaternion"].values),
            found["cluster_phase"].values,
            crystal_keys(found),
            scan_grid(results.attr("acquisition")),
        ),
    )


def draw_phases(results: Results) -> Drawn:
    """Draw the map of crystals, where there were several to choose from."""
    labels, found = drawn_labels(results), results.groups["orientations"]
    if labels is None or "cluster_phase" not in found or len(found.attrs["crystals"]) < 2:
        return None
    names = list(map(str, found.attrs["crystals"]))
    return (
        f"Map of the scan, each position in the colour of its crystal: {', '.join(names)}.",
        lambda: figures.phases_figure(
            labels,
            found["cluster_phase"].values,
            names,
            cluster_colours(len(names)),
            scan_grid(results.attr("acquisition")),
        ),
    )


def draw_indexed(results: Results) -> Drawn:
    """Draw simulated reflections over the patterns of clusters."""
    patterns, found = cluster_patterns(results), results.groups["orientations"]
    if patterns is None or drawn_labels(results) is None or "predicted_cluster" not in found:
        return None
    spots = figures.Spots(
        found["predicted_cluster"].values,
        found["predicted_indices"].values,
        found["predicted_position"].values,
        found["predicted_amplitude"].values,
    )
    return (
        "The pattern of each cluster with circles where its best candidate has reflections, the "
        "brightest with their indices.",
        lambda: figures.indexed_patterns_figure(
            patterns,
            spots,
            titles(results),
            colours=colours_of(results, len(patterns)),
            detector=detector_grid(results),
            mask=analysed_mask(results),
        ),
    )


def draw_boundaries(results: Results) -> Drawn:
    """Draw the boundaries between clusters by their misorientation."""
    labels, found = drawn_labels(results), results.groups["orientations"]
    if labels is None or results.values("orientations", "boundary_angle") is None:
        return None
    away = found["boundary_from_sigma3"].values
    return (
        "The boundaries between clusters in the colour of their misorientation.",
        lambda: figures.boundaries_figure(
            labels,
            found["boundary_cluster"].values,
            found["boundary_angle"].values,
            np.nan_to_num(away, nan=np.inf) <= SIGMA3_DEG,
            scan_grid(results.attr("acquisition")),
        ),
    )


def draw_bending(results: Results) -> Drawn:
    """Draw how far bent grains are turned inside; nothing where none bends."""
    labels, bent = drawn_labels(results), bent_of(results)
    weight = results.values("grains", "scan_weight")
    if labels is None or not bent or weight is None:
        return None
    return (
        "Map of the scan: how far each position of a bent grain is turned from the grain as a "
        "whole.",
        lambda: figures.bending_figure(
            labels, local_turn(bent, weight, labels), scan_grid(results.attr("acquisition"))
        ),
    )
