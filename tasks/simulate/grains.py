"""Lay out grains over a scan, and choose orientations whose patterns can be told apart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.simulate import crystal
from orimap.tasks.simulate.recipe import ScanRecipe, Stream

if TYPE_CHECKING:
    from scipy import sparse

VOLTAGE_KV = 200.0
# How far from the Ewald sphere a reflection is still seen: the first zero of a foil 4 nm thick.
# Thicker foils of real specimens bend and vary within the probe, which widens the reach again.
RELROD_REACH_INV_ANGSTROM = 0.025
# Dynamical scattering evens out intensities: the kinematical ones to this power look like
# measured ones (strong reflections feed weak ones).
INTENSITY_GAMMA = 0.5
# Grains must be told apart: by 8 degrees at least (up to the symmetry of the cube), by the recipe's
# largest cosine between the square roots of their reflections, and by three reflections at least.
MIN_MISORIENTATION_DEG = 8.0
MIN_SPOTS = 3
# Zone axes of low index, along the beam, and how far a grain may lie from one.
ZONE_AXES = ((0, 0, 1), (0, 1, 1), (1, 1, 1), (0, 1, 2), (1, 1, 2))
ZONE_REACH_DEG = 4.0
# A reflection counts as a spot when it is this bright beside the brightest.
SPOT_BRIGHTNESS = 0.05
# Every grain fills at least this share of the scan, or half an even share if that is less.
MIN_GRAIN_SHARE = 0.015


@dataclass(frozen=True)
class Grain:
    """One grain: where its reflections fall and how their strength changes as it bends.

    Parameters
    ----------
    rotation : (3, 3) array
        From the crystal's frame into the laboratory's.
    spot_q : (spot, 2) array, 1/Å
        Along detector rows and columns.
    bend_nodes_deg : (node,) array
    spot_intensity : (node, spot) array
        Relative strength of every reflection at each of the angles; linear in between.
    """

    rotation: np.ndarray
    spot_q: np.ndarray
    bend_nodes_deg: np.ndarray
    spot_intensity: np.ndarray

    def intensity_at(self, angle_deg: np.ndarray) -> np.ndarray:
        """Strength of every reflection at the given bend angles, (position, spot)."""
        nodes = len(self.bend_nodes_deg)
        if nodes == 1:
            return np.broadcast_to(self.spot_intensity, (len(angle_deg), len(self.spot_q)))
        place = np.interp(angle_deg, self.bend_nodes_deg, np.arange(nodes))
        low = np.minimum(place.astype(int), nodes - 2)
        part = (place - low)[:, None]
        return (1 - part) * self.spot_intensity[low] + part * self.spot_intensity[low + 1]

    @property
    def unbent(self) -> np.ndarray:
        """Strength of the reflections in the middle of the grain, (spot,)."""
        return self.spot_intensity[len(self.bend_nodes_deg) // 2]

    def count_spots(self, half_inv_angstrom: np.ndarray) -> int:
        """Count the reflections that stand out within half a detector, given in 1/Å."""
        lies = (np.abs(self.spot_q) < half_inv_angstrom).all(axis=1)
        bright = self.unbent > SPOT_BRIGHTNESS * self.unbent.max(initial=0)
        return int((lies & bright).sum())


def lay_out_grains(recipe: ScanRecipe) -> np.ndarray:
    """Share of each grain at each position: Voronoi cells whose boundaries are ramps."""
    rng = recipe.random(Stream.LAYOUT)
    sides = np.array(recipe.scan)
    y, x = np.mgrid[: sides[0], : sides[1]]
    least = min(MIN_GRAIN_SHARE, 0.5 / recipe.grains)
    for attempt in range(400):
        if attempt % 20 == 0:
            sites = rng.random((recipe.grains, 2)) * sides - 0.5
        squared = (y[..., None] - sites[:, 0]) ** 2 + (x[..., None] - sites[:, 1]) ** 2
        cells = squared.argmin(axis=-1).ravel()
        sizes = np.bincount(cells, minlength=recipe.grains)
        if sizes.min() >= least * cells.size:
            weights = _ramped_shares(squared, sites, recipe.overlap)
            labels = weights.argmax(axis=-1).ravel()
            if np.bincount(labels, minlength=recipe.grains).min() >= least * cells.size:
                return weights
        # A cell is too small: move every site to the middle of its cell (Lloyd 1982,
        # doi:10.1109/TIT.1982.1056489), which evens the cells out, before drawing anew.
        sums = np.stack([np.bincount(cells, axis.ravel(), recipe.grains) for axis in (y, x)], -1)
        sites = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], sites)
    raise InputError(
        f"room for {recipe.grains} grains of at least {least:.1%} of the scan each",
        f"a scan of {sides[0]} x {sides[1]} with boundaries {recipe.overlap:g} positions wide",
        "ask for fewer grains, a larger scan or narrower boundaries",
    )


def _ramped_shares(squared: np.ndarray, sites: np.ndarray, overlap: float) -> np.ndarray:
    """Share of each cell at each position, from squared distances to the sites; sums to 1."""
    weights = np.ones(squared.shape)
    for one, other in permutations(range(len(sites)), 2):
        # Signed distance from the boundary between the two, positive on this side.
        inside = squared[..., other] - squared[..., one]
        inside /= 2 * max(np.hypot(*(sites[one] - sites[other])), 1e-9)
        ramp = inside / overlap + 0.5 if overlap else inside >= 0
        weights[..., one] = np.minimum(weights[..., one], np.clip(ramp, 0, 1))
    return weights / weights.sum(axis=-1, keepdims=True)


def choose_grains(recipe: ScanRecipe) -> list[Grain]:
    """Draw orientations at random and keep those that differ enough from all before."""
    rng = recipe.random(Stream.ORIENTATION)
    step = recipe.detector_step_inv_angstrom
    corner = step * (np.hypot(*recipe.detector) / 2 + recipe.descan)
    reflections = crystal.find_reflections(crystal.find_crystal(recipe.material), corner)
    half = np.array(recipe.detector) / 2 * step
    grains: list[Grain] = []
    images: list[np.ndarray] = []
    for _ in range(200 * recipe.grains):
        rotation = _near_zone(rng) if recipe.zone else crystal.random_rotation(rng)
        grain = _grain(recipe, reflections, rotation)
        if grain.count_spots(half) < MIN_SPOTS:
            continue
        image = _reflection_image(recipe, grain)
        angles = (crystal.disorientation_deg(grain.rotation, g.rotation) for g in grains)
        if min(angles, default=180) < MIN_MISORIENTATION_DEG:
            continue
        if max((float(image @ other) for other in images), default=0) > recipe.alike:
            continue
        grains.append(grain)
        images.append(image)
        if len(grains) == recipe.grains:
            strength = np.mean([g.unbent.sum() for g in grains])
            # On average over the grains, reflections sum to 1; zone axes scatter more.
            return [
                Grain(g.rotation, g.spot_q, g.bend_nodes_deg, g.spot_intensity / strength)
                for g in grains
            ]
    raise InputError(
        f"{recipe.grains} grains with different patterns",
        f"only {len(grains)} that differ by {MIN_MISORIENTATION_DEG:g} degrees and share few "
        f"reflections on a detector of {recipe.detector[0]} x {recipe.detector[1]}",
        "ask for fewer grains or a larger detector",
    )


def _near_zone(rng: np.random.Generator) -> np.ndarray:
    """Draw a rotation that brings some zone axis of low index near the beam."""
    axis = np.array(ZONE_AXES[rng.integers(len(ZONE_AXES))], float)
    axis /= np.linalg.norm(axis)
    # Any frame whose third row is the axis turns it into the beam's direction.
    first = np.cross(axis, [1.0, 0.0, 0.0])
    first /= np.linalg.norm(first)
    frame = np.stack([first, np.cross(axis, first), axis])
    spin, towards = rng.uniform(0, 2 * np.pi, 2)
    tilt = np.radians(ZONE_REACH_DEG) * np.sqrt(rng.uniform())
    return _turn_z(towards) @ _turn_x(tilt) @ _turn_z(spin) @ frame


def _turn_x(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def _turn_z(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _grain(recipe: ScanRecipe, reflections: crystal.Reflections, rotation: np.ndarray) -> Grain:
    """Work out the reflections of one orientation, at every angle it is bent by."""
    g = reflections.g @ rotation.T
    # Reflections whose disks can never reach the detector are left out.
    edge = recipe.detector_step_inv_angstrom * (
        np.array(recipe.detector[::-1]) / 2 + recipe.disk_radius_px + recipe.descan
    )
    # The grain bends about an axis in the plane of the foil, drawn with its orientation.
    axis = rotation[:2, 0] / np.hypot(*rotation[:2, 0])
    lever = axis[0] * g[:, 1] - axis[1] * g[:, 0]
    nodes = 2 * int(np.ceil(recipe.bend / 0.1)) + 1
    angles_deg = np.linspace(-recipe.bend / 2, recipe.bend / 2, nodes) if nodes > 1 else np.zeros(1)
    # Tilts are small: a reflection stays where it is on the detector and moves along the beam.
    error = (
        crystal.excitation_error(g, VOLTAGE_KV) - np.sin(np.radians(angles_deg))[:, None] * lever
    )
    azimuths = np.arange(64) * 2 * np.pi / 64 if recipe.precession else np.zeros(1)
    swing = np.sin(np.radians(recipe.precession)) * np.hypot(g[:, 0], g[:, 1])
    excitation = np.mean(
        [crystal.relrod(error + swing * np.cos(a), RELROD_REACH_INV_ANGSTROM) for a in azimuths],
        axis=0,
    )
    strength = np.abs(reflections.structure_factor) ** (2 * INTENSITY_GAMMA)
    intensity = excitation * strength / strength.max()
    seen = (excitation.max(axis=0) > 0) & (np.abs(g[:, :2]) < edge).all(axis=1)
    return Grain(rotation, g[seen][:, 1::-1], angles_deg, intensity[:, seen])


def _reflection_image(recipe: ScanRecipe, grain: Grain) -> np.ndarray:
    """Square root of the reflections alone on the detector, of unit norm: what grains differ by."""
    centres = grain.spot_q / recipe.detector_step_inv_angstrom
    disks = draw_disks(centres, recipe.disk_radius_px, recipe.detector)
    image = np.sqrt(disks.T @ grain.unbent)
    return image / max(np.linalg.norm(image), 1e-12)


def draw_disks(
    centres_px: np.ndarray, radius_px: float, shape: tuple[int, int]
) -> sparse.csr_array:
    """Draw anti-aliased disks of unit sum, each as one row of a sparse matrix.

    Parameters
    ----------
    centres_px : (disk, 2) array
        Rows and columns from the centre of the image, which is at ``(side - 1) / 2``.
    radius_px : float
    shape : (int, int)

    Returns
    -------
    (disk, pixel) scipy CSR array
        The part of a disk outside the image is missing from the sum.
    """
    from scipy import sparse

    reach = int(np.ceil(radius_px)) + 1
    offset = np.arange(-reach, reach + 1)
    # A pixel's share of the disk is found on a grid of 8 x 8 points in it.
    fine = (np.arange(8) + 0.5) / 8 - 0.5
    disks, pixels, values = [], [], []
    for disk, (row, column) in enumerate(centres_px + (np.array(shape) - 1) / 2):
        y, x = round(row) + offset, round(column) + offset
        dy = (y[:, None] + fine - row) ** 2
        dx = (x[:, None] + fine - column) ** 2
        inside = dy[:, None, :, None] + dx[None, :, None, :] <= radius_px**2
        share = inside.mean(axis=(2, 3))
        share /= share.sum()
        lies_y, lies_x = (y >= 0) & (y < shape[0]), (x >= 0) & (x < shape[1])
        pixel = (y[lies_y, None] * shape[1] + x[lies_x]).ravel()
        pixels.append(pixel)
        values.append(share[np.ix_(lies_y, lies_x)].ravel())
        disks.append(np.full(len(pixel), disk))
    where = (np.concatenate(disks), np.concatenate(pixels))
    size = (len(centres_px), shape[0] * shape[1])
    return sparse.csr_array((np.concatenate(values), where), shape=size)


def bend_angles(recipe: ScanRecipe, weights: np.ndarray) -> np.ndarray:
    """Bend angle of every grain at every position: even along one direction, 0 in the middle."""
    rng = recipe.random(Stream.BENDING)
    y, x = np.mgrid[: recipe.scan[0], : recipe.scan[1]]
    angles = np.zeros(weights.shape)
    for grain in range(recipe.grains):
        down, across = random_direction(rng)
        along = down * y + across * x
        held = along[weights[..., grain] > 0.05]
        low, high = held.min(), held.max()
        part = (along - low) / max(high - low, 1e-9)
        angles[..., grain] = recipe.bend * (np.clip(part, 0, 1) - 0.5)
    return angles


def random_direction(rng: np.random.Generator) -> np.ndarray:
    """Draw a unit vector in the plane."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.sin(angle), np.cos(angle)])
