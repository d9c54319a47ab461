"""Index the clusters of stored results: their mean patterns and those of the factorisation.

The mean pattern of a cluster has counting noise that is known, and what overlaps at the rims of a
grain mixed in. The pattern of the factorisation has neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from orimap.tasks.acquire.formats.calibration import electron_wavelength
from orimap.tasks.errors import InputError
from orimap.tasks.index.crystals.read_cif import Crystal
from orimap.tasks.index.measure import Measured, measure_patterns
from orimap.tasks.index.orientations.decide import Indexed, decide_orientations, merge
from orimap.tasks.index.orientations.fit_scan import Scan, fit_scan
from orimap.tasks.index.orientations.refine import Camera
from orimap.tasks.patterns.register import reflection_radius
from orimap.tasks.store import variables
from orimap.tasks.store.groups import group_attributes, open_group

# Where neither the file nor the user says it. The curvature of the sphere follows from it, which
# matters little to orientations: what it changes is opposite on both sides of the beam.
USUAL_ENERGY_KEV = 200.0
# The fit of the camera length may leave the range in which it is searched by about half a step of
# the search (`FACTORS`). Further out the search has not compared other lengths: of silicon at a
# step that was 12 % wrong, one reliable orientation was off.
LARGEST_CAMERA_ERROR = 0.085
# Of a direct beam that could not be measured.
USUAL_RADIUS_PX = 2.0


@dataclass(frozen=True)
class Setup:
    """What is told about microscope and camera.

    Parameters
    ----------
    precession_deg : float
        Half angle of the cone of a precessed beam.
    rotation_deg : float
        From the scan's columns to the detector's, about the beam.
    flip : bool
        Whether detector rows count the other way.
    fit_camera : bool
        Whether the detector's step may be wrong by some percent.
    beam_energy_kev : float, optional
        In place of what the results have.
    """

    precession_deg: float = 0.0
    rotation_deg: float = 0.0
    flip: bool = False
    fit_camera: bool = True
    beam_energy_kev: float | None = None


@dataclass(frozen=True)
class Patterns:
    """Patterns to index, and what their camera is.

    Parameters
    ----------
    images : (n, detector_y, detector_x) array
    positions : (n,) int array
        Over how many each was averaged.
    valid : (detector_y, detector_x) array of bool
    centre : (2,) array, pixels
        Row and column of the direct beam.
    beam_radius : float, pixels
    counts : bool
    camera : Camera
    """

    images: np.ndarray
    positions: np.ndarray
    valid: np.ndarray
    centre: np.ndarray
    beam_radius: float
    counts: bool
    camera: Camera

    def joined(self, others: Patterns) -> Patterns:
        """Return these and others of the same camera."""
        return replace(
            self,
            images=np.concatenate([self.images, others.images]),
            positions=np.concatenate([self.positions, others.positions]),
        )

    def measure(self) -> Measured:
        """Return the measured reflections."""
        count = len(self.images)
        scale = np.maximum(self.positions, 1)[:, None, None] if self.counts else 1
        radius = reflection_radius(
            self.images * scale,
            np.tile(self.centre, (count, 1)),
            self.valid,
            self.beam_radius,
            counts=self.counts,
        )
        return measure_patterns(
            self.images,
            self.positions,
            self.valid,
            self.centre,
            disc_radius=radius,
            beam_radius=max(self.beam_radius, radius),
            counts=self.counts,
        )


def index_patterns(
    patterns: Patterns,
    crystals: Sequence[Crystal],
    setup: Setup | None = None,
    *,
    others: Patterns | None = None,
) -> tuple[Indexed, Scan, Measured]:
    """Index patterns of one scan.

    Parameters
    ----------
    patterns : Patterns
    crystals : sequence of Crystal
        One at least.
    setup : Setup, optional
    others : Patterns, optional
        A second pattern for each, in the same order: what both say is merged.

    Returns
    -------
    indexed : Indexed
        In the sample's frame: x along the columns of the scan, y along its rows, electrons travel
        against z.
    scan : Scan
    measured : Measured
        Of the second patterns, too, behind the first.

    Raises
    ------
    InputError
        If no crystal is given, no pattern has a reflection, or the camera length is not decided or
        far from the calibration.
    """
    setup = setup or Setup()
    if not crystals:
        raise InputError("a crystal at least", "none", "give --crystal FILE.cif")
    together = patterns if others is None else patterns.joined(others)
    measured = together.measure()
    if setup.flip:
        measured = measured.flipped()
    scan = fit_scan(
        measured,
        crystals,
        patterns.camera,
        precession=np.radians(setup.precession_deg),
        fit_camera=setup.fit_camera,
    )
    indexed = decide_orientations(measured, scan)
    if others is not None:
        count = len(patterns.images)
        first, second = np.arange(count), np.arange(count, 2 * count)
        turns = [each.turns for each in scan.phases]
        indexed = merge(indexed.take(first), indexed.take(second), turns)
    if indexed.indexed.any() and abs(scan.factor - 1) > LARGEST_CAMERA_ERROR:
        away = f"{100 * abs(scan.factor - 1):.0f} % {'more' if scan.factor > 1 else 'less'}"
        raise InputError(
            "a detector step that is right to 7 %",
            f"{patterns.camera.step:.4g} 1/Å, while the reflections fit best with "
            f"{scan.camera.step:.4g} 1/Å, {away}",
            f"if these are its crystals, run again with --detector-step {scan.camera.step:.4g}/Å",
        )
    if setup.rotation_deg:
        indexed = indexed.turned(-setup.rotation_deg)
    return indexed, scan, measured


def patterns_of_results(
    clusters: xr.Dataset,
    analysis: Path,
    patterns: Path,
    setup: Setup,
    *,
    representatives: bool = False,
) -> Patterns:
    """Return the patterns of clusters.

    Parameters
    ----------
    clusters : Dataset
        /clusters, of the results or of a revision.
    analysis, patterns : Path
        The stores of the run. Of the patterns the beam is asked for; they may be gone.
    setup : Setup
    representatives : bool
        Those of the factorisation in place of means over positions.

    Raises
    ------
    InputError
        If the detector is not calibrated.
    """
    acquired = group_attributes(analysis, "acquisition")
    v = variables
    wanted = v.cluster_representative if representatives else v.cluster_mean_pattern
    images = wanted.read(clusters).values
    valid = v.detector_mask.read(open_group(analysis, "analysed")).values == 0
    centre, radius = _beam(patterns, acquired, valid.shape)
    return Patterns(
        images,
        v.cluster_size.read(clusters).values,
        valid,
        centre,
        radius,
        bool(acquired.get("counts_like", False)),
        _camera(acquired, setup),
    )


def _beam(patterns: Path, acquired: dict, shape: tuple[int, ...]) -> tuple[np.ndarray, float]:
    """Return where the direct beam lies and its radius, in pixels."""
    try:
        beam = open_group(patterns, "beam").attrs
        if beam["found"]:
            centre = np.array([beam["reference_y"], beam["reference_x"]], float)
            return centre, float(beam["disc_radius_px"])
    except (FileNotFoundError, KeyError):  # the patterns were removed
        pass
    centre = np.asarray(acquired.get("beam_centre") or (np.array(shape) - 1) / 2, float)
    return centre, float(acquired.get("beam_radius_px") or USUAL_RADIUS_PX)


def _camera(acquired: dict, setup: Setup) -> Camera:
    """Return the camera as calibrated."""
    step = acquired.get("detector_step")
    if step is None or acquired.get("detector_units") != "1/Å":
        raise InputError(
            "a calibrated detector, in reciprocal lengths",
            f"units {acquired.get('detector_units')!r}",
            "run again with --detector-step, for instance 0.01/Å",
        )
    if abs(step[0] - step[1]) > 1e-3 * abs(step[0]):
        raise InputError(
            "detector pixels as high as wide",
            f"steps of {step[0]:g} and {step[1]:g} 1/Å",
            "run again with one --detector-step",
        )
    energy = setup.beam_energy_kev or acquired.get("beam_energy_kev") or USUAL_ENERGY_KEV
    return Camera(float(step[0]), electron_wavelength(float(energy)))
