"""Which crystal each cluster is and how it is oriented: what the page says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from orimap.tasks.report.orientations.bent import bent_of
from orimap.tasks.report.orientations.words import (
    ClusterOrientation,
    cluster_orientations,
    indices_text,
    nearest_zone,
)
from orimap.tasks.report.results import Results
from orimap.tasks.report.words import cluster_text, count_text, figure_text, plural

# Brandon (1966), doi:10.1016/0001-6160(66)90168-4: 15 degrees over the root of 3.
SIGMA3_DEG = 15 / np.sqrt(3)


@dataclass(frozen=True)
class BoundaryRow:
    """A boundary between two clusters, counted from 0: the turn across it, in words."""

    first: int
    second: int
    length: str
    angle: str
    axis: str
    name: str


@dataclass(frozen=True)
class BentRow:
    """A grain that bends, counted from 0: of how many parts, and how they are turned, in words."""

    cluster: int
    parts: int
    span: str
    axis: str


@dataclass(frozen=True)
class OrientationSection:
    """Orientations of clusters, their boundaries, which grains bend, and what all rest on.

    ``several`` where there was more than one crystal to choose from.
    """

    clusters: Sequence[ClusterOrientation]
    boundaries: Sequence[BoundaryRow]
    bent: Sequence[BentRow]
    answer: str
    sentences: Sequence[str]
    several: bool
    limit: str


def orientation_section(results: Results) -> OrientationSection | None:
    """Return what is said of orientations; None where nothing was indexed."""
    found = results.groups["orientations"]
    if "cluster_quaternion" not in found:
        return None
    clusters = cluster_orientations(found)
    return OrientationSection(
        clusters,
        boundary_rows(found),
        [
            BentRow(
                grain.cluster,
                len(grain.parts),
                f"{grain.span:.2f}°",
                ", ".join(f"{round(each, 2) + 0:.2f}".replace("-", "−") for each in grain.axis),
            )
            for grain in bent_of(results)
        ],
        answer_sentence(clusters),
        setup_sentences(results),
        len(found.attrs["crystals"]) > 1,
        figure_text(found.attrs["reliable_from"]),
    )


def titles(results: Results) -> list[str]:
    """Return what is written above the pattern of each cluster."""
    said = []
    for each in cluster_orientations(results.groups["orientations"]):
        if each.indexed:
            what = f"{each.phase} {each.zone}"
        else:
            what = "no crystal" if each.phase == "–" else "not reliable: best candidate"
        said.append(f"{cluster_text(each.cluster)}: {what}")
    return said


def answer_sentence(clusters: Sequence[ClusterOrientation]) -> str:
    """Say how many clusters have an orientation, and why others have none."""
    indexed = sum(each.indexed for each in clusters)
    none = sum(each.phase == "–" for each in clusters)
    doubtful = len(clusters) - indexed - none
    said = f"{indexed} of {count_text(len(clusters), 'cluster')} {plural(indexed, 'is', 'are')} "
    said += "indexed."
    if doubtful:
        said += (
            f" Of {doubtful} the pattern does not decide between two orientations: "
            f"{plural(doubtful, 'it stays', 'they stay')} grey in the maps, and both candidates "
            "are named."
        )
    if none:
        said += f" {none} {plural(none, 'is', 'are')} explained by none of the crystals."
    if none == len(clusters):
        said += (
            " Check that these are the crystals of the sample, and that the detector's step is "
            "right to 7 %."
        )
    return said


def setup_sentences(results: Results) -> list[str]:
    """Say what was given, what was fitted for the scan, and what was assumed."""
    facts = results.attr("orientations")
    crystals = []
    for name, formula, group, file in zip(
        facts["crystals"],
        facts["crystal_formulas"],
        facts["crystal_space_groups"],
        facts["crystal_files"],
        strict=True,
    ):
        crystals.append(f"{name} ({', '.join(each for each in (formula, group, file) if each)})")
    percent = 100 * (facts["detector_step_factor"] - 1)
    energy = f"{facts['beam_energy_kev']:g} keV"
    fitted = (
        f"A reflection shines up to about {figure_text(facts['rocking_width'], 2)} 1/Å from the "
        "Ewald sphere (rocking width, fitted for the whole scan); the detector's step is "
        f"{facts['detector_step']:.4g} 1/Å by the reflections, {percent:+.1f} % from the "
        "calibration.".replace("-", "−")
    )
    said = [
        f"Crystals: {'; '.join(crystals)}.",
        # Without an orientation the fit says nothing.
        *([fitted] if results.groups["orientations"]["cluster_indexed"].values.any() else []),
        f"The beam energy was assumed to be {energy}, since neither the file nor the request says "
        "it."
        if facts["beam_energy_assumed"]
        else f"The beam energy is {energy}.",
        f"Frame: {facts['frame']}. From the scan's columns to the detector's, "
        f"{facts['detector_rotation_deg']:g}° were given, detector rows "
        f"{'count the other way' if facts['detector_flip'] else 'not flipped'}: "
        "misorientations do not depend on either.",
    ]
    if facts["precession_deg"]:
        said.append(f"The beam was precessed by {facts['precession_deg']:g}°.")
    return said


def boundary_rows(found: xr.Dataset) -> list[BoundaryRow]:
    """Return the boundaries of /orientations across which the turn is known, the longest first."""
    axes, phase = found["crystal_axes"].values, found["cluster_phase"].values
    rows = []
    for pair, length, angle, axis, away in zip(
        *(
            found[f"boundary_{name}"].values
            for name in ("cluster", "length", "angle", "axis", "from_sigma3")
        ),
        strict=True,
    ):
        if not np.isfinite(angle):
            continue
        own = axes[phase[pair[0]]]
        indices, _ = nearest_zone(own @ axis, own)
        rows.append(
            BoundaryRow(
                int(pair[0]),
                int(pair[1]),
                count_text(int(length), "step"),
                f"{angle:.1f}°",
                indices_text(indices) if angle > 1 else "–",
                f"Σ3, {away:.1f}° off" if away <= SIGMA3_DEG else "",
            )
        )
    return rows
