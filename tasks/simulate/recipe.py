"""What a simulated scan should be: one checked set of values that makes the same scan each time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.simulate import crystal

# Detectors are read out far enough to hold these reflections along the shorter half-axis.
Q_MAX_INV_ANGSTROM = 1.4


class Stream(Enum):
    """Independent streams of random numbers from one seed."""

    LAYOUT = 0
    ORIENTATION = 1
    BENDING = 2
    DETECTOR = 3
    NOISE = 4


@dataclass(frozen=True)
class ScanRecipe:
    """What to simulate.

    Parameters
    ----------
    scan : (int, int)
        Rows and columns of positions.
    detector : (int, int)
        Rows and columns of pixels, at least 16 each.
    grains : int
    dose : float
        Electrons that meet the specimen at each position; a few per cent of them fall beside the
        detector, and hot pixels count on top.
    overlap : float
        Width of a grain boundary in positions: over it, the share of a grain falls from 1 to 0.
    bend : float
        Degrees by which the orientation turns from one end of a grain to the other.
    descan : float
        Pixels by which the pattern drifts over the scan, from one corner to the opposite one.
    hot, dead : int
        Numbers of detector pixels that always count, or never.
    material : str
        A name out of `orimap.tasks.simulate.crystal.CRYSTALS`.
    precession : float
        Half-angle of the precession cone in degrees, 0 for a still beam.
    background : float
        Share of the electrons that a grain of average scattering power scatters inelastically.
    zone : bool
        Whether every grain lies within a few degrees of a zone axis of low index: many
        reflections, some of them shared.
    alike : float
        Largest cosine between the square roots of the reflections of two grains.
    disk_radius : float, optional
        Pixels; by default a fiftieth of the detector's shorter side, at least 1.5.
    seed : int
        The same recipe gives the same scan.

    Raises
    ------
    InputError
        If a value cannot be simulated.
    """

    scan: tuple[int, int] = (64, 64)
    detector: tuple[int, int] = (128, 128)
    grains: int = 8
    dose: float = 5000.0
    overlap: float = 2.0
    bend: float = 0.0
    descan: float = 0.0
    hot: int = 0
    dead: int = 0
    material: str = "LiNi0.5Mn1.5O4"
    precession: float = 0.0
    background: float = 0.3
    zone: bool = False
    alike: float = 0.5
    disk_radius: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        crystal.find_crystal(self.material)
        positions, pixels = int(np.prod(self.scan)), int(np.prod(self.detector))
        bounds = [
            ("rows and columns of the scan", min(self.scan), 1, 4096),
            ("rows and columns of the detector", min(self.detector), 16, 2048),
            ("dose in electrons per pattern", self.dose, 1, 1e8),
            ("overlap in positions", self.overlap, 0, max(self.scan)),
            ("bend in degrees", self.bend, 0, 10),
            ("descan in pixels", self.descan, 0, min(self.detector) / 4),
            ("number of hot pixels", self.hot, 0, pixels // 10),
            ("number of dead pixels", self.dead, 0, pixels // 10),
            ("precession half-angle in degrees", self.precession, 0, 3),
            ("share of background", self.background, 0, 0.6),
            ("largest cosine between grains", self.alike, 0.05, 0.95),
            ("disk radius in pixels", self.disk_radius_px, 0.5, min(self.detector) / 8),
            ("seed", self.seed, 0, 2**63 - 1),
        ]
        most = max(1, min(positions // 4, 100))
        if not 1 <= self.grains <= most:
            rows, columns = self.scan
            raise InputError(
                f"number of grains between 1 and {most} in a scan of {rows} x {columns} positions",
                f"{self.grains:g}",
                f"give fewer --grains (where none are given, {ScanRecipe.grains}), or a larger "
                "--scan"
                if self.grains > most
                else f"give --grains {min(most, ScanRecipe.grains)}",
            )
        for name, value, low, high in bounds:
            if not low <= value <= high:
                raise InputError(
                    f"{name} between {low:g} and {high:g}",
                    f"{value:g}",
                    "choose a value within these bounds",
                )

    @property
    def disk_radius_px(self) -> float:
        """Radius of the disks in pixels."""
        return self.disk_radius or max(1.5, min(self.detector) / 50)

    @property
    def detector_step_inv_angstrom(self) -> float:
        """Calibration of the detector in 1/Å per pixel."""
        return 2 * Q_MAX_INV_ANGSTROM / min(self.detector)

    def random(self, stream: Stream, *position: int) -> np.random.Generator:
        """Return the generator of one stream, or of one scan position in it."""
        key = np.random.SeedSequence(self.seed, spawn_key=(stream.value, *position))
        return np.random.Generator(np.random.PCG64(key))
