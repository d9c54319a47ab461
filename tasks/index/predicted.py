"""Say where on the detector a crystal's reflections lie, and how bright they are expected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orimap.tasks.index.measure import Measured
from orimap.tasks.index.orientations.decide import Indexed
from orimap.tasks.index.orientations.fit_scan import Scan
from orimap.tasks.index.orientations.match import about_beam
from orimap.tasks.index.orientations.rocking import excitation_error

# Fainter than this share of the amplitude of the brightest, a reflection is not listed.
FAINTEST_SHARE = 0.05


@dataclass(frozen=True)
class Predicted:
    """Simulated reflections, cluster after cluster, the brightest first.

    Parameters
    ----------
    cluster : (n,) int array
    hkl : (n, 3) int array
    position : (n, 2) array, pixels
        Row and column on the detector.
    amplitude : (n,) array
        Root of the intensity, over that of the brightest of the cluster.
    """

    cluster: np.ndarray
    hkl: np.ndarray
    position: np.ndarray
    amplitude: np.ndarray


def predict_reflections(
    indexed: Indexed,
    scan: Scan,
    measured: Measured,
    *,
    rotation_deg: float = 0.0,
    flip: bool = False,
) -> Predicted:
    """Simulate the reflections of the best candidate of each pattern.

    Parameters
    ----------
    indexed : Indexed
        In the sample's frame.
    scan : Scan
    measured : Measured
        The patterns, as they were compared: upside down where ``flip`` is true.
    rotation_deg : float
        From the scan's columns to the detector's.
    flip : bool
        Whether detector rows count the other way.
    """
    height, width = measured.seen.shape
    parts = []
    for number, phase in enumerate(indexed.phase):
        if phase < 0:
            continue
        reflections = scan.phases[phase].reflections
        rotation = about_beam(np.radians(rotation_deg)) @ indexed.rotation[number]
        g = reflections.g @ rotation.T
        s = excitation_error(g, scan.camera.wavelength)
        across = np.hypot(g[:, 0], g[:, 1])
        share = reflections.strength / reflections.strength.max()
        near = np.abs(s) < scan.rocking.edge + scan.rocking.precession * across
        amplitude = np.zeros(len(g))
        amplitude[near], _ = scan.rocking.amplitude(share[near], s[near], across[near])
        place = g[:, [1, 0]] / scan.camera.step + measured.centre[number] + indexed.shift[number]
        inside = (place >= 0).all(axis=1) & (place <= (height - 1, width - 1)).all(axis=1)
        inside &= across > measured.beam_radius * scan.camera.step
        amplitude = np.where(inside, amplitude, 0)
        if flip:
            place = place * [-1, 1] + [height - 1, 0]
        brightest = amplitude.max(initial=0)
        kept = np.flatnonzero(amplitude > FAINTEST_SHARE * brightest)
        kept = kept[np.argsort(-amplitude[kept], kind="stable")]
        many = np.full(len(kept), number)
        parts.append((many, reflections.hkl[kept], place[kept], amplitude[kept] / brightest))
    empty = (np.zeros(0, int), np.zeros((0, 3), int), np.zeros((0, 2)), np.zeros(0))
    return Predicted(*(np.concatenate(each) for each in zip(empty, *parts, strict=True)))
