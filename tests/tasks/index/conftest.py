"""Patterns of known orientations: kinematical, drawn here apart from what is tested."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from orimap.tasks.index.crystals.read_cif import Crystal, read_crystal
from orimap.tasks.index.crystals.reflections import find_reflections
from orimap.tasks.index.index_results import Patterns
from orimap.tasks.index.orientations.refine import Camera
from orimap.tasks.patterns.reflections.spots.shape import add_disc, spot_shape
from orimap.tasks.simulate.crystal import random_rotation

CRYSTALS = Path(__file__).parent / "crystals"
WAVELENGTH, STEP, RADIUS_PX = 0.02508, 0.021, 2.2
# Odd and unequal, so that swapped axes show.
SHAPE = (121, 113)
CENTRE = np.array([60.3, 55.8])


@dataclass(frozen=True)
class Known:
    """Patterns and their orientations, crystal to sample."""

    crystal: Crystal
    rotation: np.ndarray
    patterns: Patterns


def draw(crystal: Crystal, rotation: np.ndarray, width: float = 0.006) -> np.ndarray:
    """Draw one pattern of 1 electron: discs as bright as a Gaussian relrod says."""
    image = np.zeros(SHAPE, np.float32)
    reflections = find_reflections(crystal, 1.75)
    g = reflections.g @ rotation.T
    # The sphere about the end of a wave vector along -z: k = (0, 0, 1 / wavelength).
    k = 1 / WAVELENGTH
    off = k - np.linalg.norm(g - [0, 0, k], axis=1)
    height = reflections.strength * np.exp(-0.5 * (off / width) ** 2)
    shape = spot_shape(RADIUS_PX)
    for (x, y, _), each in zip(g / STEP, height, strict=True):
        if each > 1e-4 * height.max():
            add_disc(image, CENTRE[0] + y, CENTRE[1] + x, each, shape)
    return image / image.sum()


def counted(images: np.ndarray, rng: np.random.Generator, positions: int = 100) -> Patterns:
    """Return patterns with beam, background and counting noise."""
    y, x = (np.arange(side) - at for side, at in zip(SHAPE, CENTRE, strict=True))
    beam = np.zeros(SHAPE, np.float32)
    add_disc(beam, *CENTRE, 1.0, spot_shape(RADIUS_PX))
    diffuse = np.exp(-np.hypot(y[:, None], x) / 14)
    expected = 8000 * (0.4 * images + 0.35 * beam / beam.sum() + 0.25 * diffuse / diffuse.sum())
    mean = rng.poisson(expected * positions) / positions
    camera = Camera(STEP, WAVELENGTH)
    return Patterns(
        mean, np.full(len(mean), positions), np.ones(SHAPE, bool), CENTRE, RADIUS_PX, True, camera
    )


@pytest.fixture(scope="session")
def known():
    """Return a function that makes patterns of a crystal in random orientations."""

    def make(name: str, count: int = 3, seed: int = 1, rotation: np.ndarray | None = None) -> Known:
        rng = np.random.default_rng([seed, len(name)])
        crystal = read_crystal(CRYSTALS / f"{name}.cif")
        if rotation is None:
            rotation = np.array([random_rotation(rng) for _ in range(count)])
        images = np.array([draw(crystal, each) for each in rotation])
        return Known(crystal, rotation, counted(images, rng))

    return make
