"""Templates: what a crystal shows along each of its zone directions, about the beam.

A pattern is a few points, each with a radius, an azimuth and a brightness. In rings about the beam
it is a function of the azimuth, of which harmonics are kept; turning the crystal about the beam
only shifts their phases. A direction and its opposite differ by a mirror image, which is another
sign of these phases: so templates are needed for half of all directions, or less.

Tested in tests/tasks/index/orientations/test_match.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from orimap.tasks.index.crystals.reflections import Reflections
from orimap.tasks.index.orientations.rocking import excitation_error

# Width of a ring: two patterns of one orientation differ by less, whose camera lengths differ by
# one or two percent.
RING_INV_ANGSTROM = 0.035
AZIMUTHS = 240
# Harmonics that are kept, and the standard deviation of a reflection along its ring: about the
# spacing of the directions.
HARMONICS = 64
SPREAD = np.radians(1.3)
# Reflections are taken so far off the sphere at the origin, and more further out, where a
# direction between two of the grid moves them by its distance.
NEAR_INV_ANGSTROM = 0.012
NEAR_PER_INV_ANGSTROM = 0.018
# Directions that are worked out at a time.
BLOCK_DIRECTIONS = 64


@dataclass(frozen=True)
class Templates:
    """Templates of some zone directions.

    Parameters
    ----------
    rotation : (z, 3, 3) array
        Takes the crystal to the sample's frame with the direction along z.
    harmonics : (z, rings, HARMONICS + 1) complex array
        Of the amplitude along each ring, at unit norm.
    """

    rotation: np.ndarray
    harmonics: np.ndarray

    def blocks(self, directions: int) -> list[Templates]:
        """Return them in blocks of so many directions."""
        parts = [slice(at, at + directions) for at in range(0, len(self.rotation), directions)]
        return [Templates(self.rotation[part], self.harmonics[part]) for part in parts]


def rotations_of(directions: np.ndarray) -> np.ndarray:
    """Return rotations that take each direction (z, 3) to the axis z."""
    other = np.where(np.abs(directions[:, :1]) < 0.8, [[1.0, 0, 0]], [[0, 1.0, 0]])
    first = np.cross(other, directions)
    first /= np.linalg.norm(first, axis=1)[:, None]
    return np.stack([first, np.cross(directions, first), directions], axis=1)


def ring_count(q_max: float) -> int:
    """Return how many rings there are up to a radius in 1/Å."""
    return int(np.ceil(q_max / RING_INV_ANGSTROM)) + 2


def harmonics_of(
    item: np.ndarray, radius: np.ndarray, azimuth: np.ndarray, amplitude: np.ndarray,
    items: int, rings: int,
) -> np.ndarray:  # fmt: skip
    """Return the harmonics of points in rings.

    Parameters
    ----------
    item : (points,) int array
        Which pattern each belongs to.
    radius : (points,) array, 1/Å
    azimuth : (points,) array, radians
    amplitude : (points,) array
    items, rings : int
        How many patterns and rings there are.

    Returns
    -------
    (items, rings, HARMONICS + 1) complex64 array
    """
    from scipy import fft

    place = radius / RING_INV_ANGSTROM
    inner = np.floor(place).astype(int)
    part = place - inner
    sector = np.floor(azimuth * (AZIMUTHS / (2 * np.pi))).astype(int) % AZIMUTHS
    size = items * rings * AZIMUTHS
    image = np.zeros(size)
    for ring, share in ((inner, 1 - part), (inner + 1, part)):
        kept = ring < rings
        at = ((item * rings + ring) * AZIMUTHS + sector)[kept]
        # Roots, so that squares add up to the same wherever a point lies between two rings.
        image += np.bincount(at, (amplitude * np.sqrt(share))[kept], size)
    rows = image.astype(np.float32).reshape(items, rings, AZIMUTHS)
    return np.ascontiguousarray(fft.rfft(rows, axis=-1)[..., : HARMONICS + 1])


def make_templates(
    reflections: Reflections, directions: np.ndarray, wavelength: float, q_max: float, power: float
) -> Templates:
    """Return the templates of zone directions.

    Parameters
    ----------
    reflections : Reflections
    directions : (z, 3) array of unit vectors
        In the crystal's frame; they point against the electrons.
    wavelength : float, Å
    q_max : float, 1/Å
        Largest radius on the detector.
    power : float
        Exponent of brightness, as in `Rocking`.
    """
    length = np.linalg.norm(reflections.g, axis=1)
    reach = (NEAR_INV_ANGSTROM + NEAR_PER_INV_ANGSTROM * length).astype(np.float32)
    share = reflections.strength / reflections.strength.max(initial=1e-30)
    root = share ** (power / 2)
    rotation = rotations_of(directions)
    # Where the sphere cuts a reflection's line along the direction, to first order.
    level = (wavelength / 2 * length**2).astype(np.float32)
    lines = reflections.g.T.astype(np.float32)
    rings = ring_count(q_max)
    spectrum = np.empty((len(directions), rings, HARMONICS + 1), np.complex64)
    # Blocks that stay in the processor's cache.
    for start in range(0, len(directions), BLOCK_DIRECTIONS):
        part = slice(start, start + BLOCK_DIRECTIONS)
        towards = directions[part].astype(np.float32) @ lines
        towards -= level
        zone, which = np.nonzero(np.abs(towards, out=towards) < reach)
        g = np.einsum("nij,nj->ni", rotation[part][zone], reflections.g[which])
        s = excitation_error(g, wavelength)
        amplitude = root[which] * np.maximum(1 - (s / reach[which]) ** 2, 0)
        radius = np.hypot(g[:, 0], g[:, 1])
        kept = radius <= q_max
        count = len(rotation[part])
        harmonics = harmonics_of(
            zone[kept],
            radius[kept],
            np.arctan2(g[kept, 1], g[kept, 0]),
            amplitude[kept],
            count,
            rings,
        )
        norm = np.sqrt(np.bincount(zone[kept], amplitude[kept] ** 2, count))
        spectrum[part] = harmonics / np.maximum(norm, 1e-12)[:, None, None].astype(np.float32)
    return Templates(rotation, spectrum)
