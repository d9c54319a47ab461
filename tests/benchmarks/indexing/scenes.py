"""What benchmarks of indexing share: patterns as a camera counts them, and how results are scored.

The discs of a pattern come from elsewhere; added are a direct beam, an inelastic background, what
overlaps from another grain, a calibration that is a little wrong, and counting noise.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orimap.tasks.index.crystals.read_cif import Crystal
from orimap.tasks.index.crystals.symmetry import laue_turns, misorientation_deg
from orimap.tasks.index.index_results import Patterns
from orimap.tasks.index.measure import Measured
from orimap.tasks.index.orientations.decide import Indexed
from orimap.tasks.index.orientations.refine import Camera
from orimap.tasks.patterns.reflections.spots.shape import SpotShape, add_disc

CRYSTALS = Path(__file__).parents[2] / "tasks" / "index" / "crystals"
# Patterns with fewer reflections are not asked for an exact orientation.
MANY_REFLECTIONS = 8
WRONG_DEG = 3.0
BEAM, DIFFUSE, DIFFRACTED = 0.35, 0.3, 0.35
LIMITS = (0.02, 0.04, 0.05, 0.06, 0.07, 0.08, 0.09, 0.1, 0.12, 0.15)


@dataclass(frozen=True)
class Counted:
    """Patterns as a camera counts them.

    Parameters
    ----------
    patterns : Patterns
    own : (n, detector_y, detector_x) array of bool
        Where a grain's own discs are brighter than those of the grain that overlaps.
    """

    patterns: Patterns
    own: np.ndarray

    def own_reflections(self, measured: Measured) -> np.ndarray:
        """Return how many of the measured reflections are a pattern's own, (n,)."""
        there = np.isfinite(measured.y)
        size = self.own.shape[-1]
        y, x = (
            np.clip(np.rint(np.nan_to_num(each) + middle), 0, size - 1).astype(int)
            for each, middle in zip(
                (measured.y, measured.x), measured.centre.T[..., None], strict=True
            )
        )
        return (there & self.own[np.arange(len(y))[:, None], y, x]).sum(axis=1)


def counted(
    rng: np.random.Generator,
    discs: np.ndarray,
    middle: np.ndarray,
    shape: SpotShape,
    camera: Camera,
    *,
    with_beam: bool = True,
) -> Counted:
    """Return mean patterns of grains as they are counted, from discs of unit sum.

    Parameters
    ----------
    rng : numpy.random.Generator
    discs : (n, detector_y, detector_x) array
        Their direct beam included where ``with_beam`` is false.
    middle : (2,) array, pixels
    shape : SpotShape
    camera : Camera
        The true one; that of the result is wrong by up to 4 percent.
    with_beam : bool
        Whether to add a direct beam.
    """
    size = discs.shape[-1]
    y, x = np.mgrid[:size, :size] - middle[:, None, None]
    foreign = rng.uniform(0, 0.06)
    mixed = (1 - foreign) * discs + foreign * np.roll(discs, 1, axis=0)
    radius = np.hypot(y, x) * camera.step
    diffuse = np.exp(-radius / 0.25) + 0.3 / (1 + (radius / 0.45) ** 2) ** 1.6
    positions = rng.integers(60, 300, len(discs))
    dose = rng.uniform(3e3, 2e4)
    share = DIFFRACTED if with_beam else 1 - DIFFUSE
    expected = dose * (DIFFUSE * diffuse / diffuse.sum() + share * mixed)
    if with_beam:
        beam = np.zeros((size, size), np.float32)
        add_disc(beam, *middle, 1.0, shape)
        expected += dose * BEAM * beam / beam.sum()
    images = rng.poisson(expected * positions[:, None, None]) / positions[:, None, None]
    told = Camera(camera.step * rng.uniform(0.96, 1.04), camera.wavelength)
    valid = np.ones((size, size), bool)
    own = (1 - foreign) * discs > foreign * np.roll(discs, 1, axis=0)
    return Counted(Patterns(images, positions, valid, middle, shape.radius, True, told), own)


@dataclass(frozen=True)
class Score:
    """What came of n patterns.

    Parameters
    ----------
    spots : (n,) int array
        Reflections that were measured and are the pattern's own.
    error : (n,) array, degrees
        From the true orientation; 180 without one, or with the wrong crystal.
    reliability : (n,) array
    indexed : (n,) array of bool
    """

    spots: np.ndarray
    error: np.ndarray
    reliability: np.ndarray
    indexed: np.ndarray

    @classmethod
    def of(
        cls, indexed: Indexed, spots: np.ndarray, truth: np.ndarray, crystal: Crystal
    ) -> "Score":
        """Compare with true rotations, from the crystal to the sample, of the first crystal."""
        error = misorientation_deg(indexed.rotation, truth, laue_turns(crystal))
        error = np.where(np.isfinite(error) & (indexed.phase == 0), error, 180)
        return cls(spots, error, indexed.reliability, indexed.indexed)

    @classmethod
    def join(cls, parts: list["Score"]) -> "Score":
        """Return those of several scans."""
        names = cls.__dataclass_fields__
        return cls(*(np.concatenate([getattr(each, name) for each in parts]) for name in names))

    def summary(self) -> str:
        """Say in one line how right all are, and those with many reflections."""
        many = self.spots >= MANY_REFLECTIONS
        wrong = self.error > WRONG_DEG
        return "; ".join(
            [
                *(
                    f"{name} {some.sum()}: median {np.median(self.error[some]):.2f}, within 1 "
                    f"degree {(self.error[some] < 1).mean():.0%}, within 3 "
                    f"{(self.error[some] < WRONG_DEG).mean():.0%}, reliable "
                    f"{self.indexed[some].mean():.0%}"
                    for name, some in (("all", np.ones(len(many), bool)), ("rich", many))
                    if some.any()
                ),
                f"off and not flagged {(wrong & self.indexed).sum()} of {self.indexed.sum()}",
            ]
        )

    def limits(self) -> list[str]:
        """Say what limits of reliability do, one on a line."""
        many = self.spots >= MANY_REFLECTIONS
        lines = []
        for limit in LIMITS:
            above = self.reliability >= limit
            lines.append(
                f"limit {limit:.2f}  above {above.mean():4.0%} of all, {above[many].mean():4.0%} "
                f"of those with {MANY_REFLECTIONS} or more; off among them "
                f"{(self.error[above] > WRONG_DEG).sum()} of {above.sum()}"
            )
        return lines

    def unflagged(self) -> list[str]:
        """Describe what is off although its reliability is not near 0."""
        which = np.flatnonzero((self.error > WRONG_DEG) & (self.reliability > 0.02))
        return [
            f"      off: pattern {n} spots {self.spots[n]} error {self.error[n]:.1f} reliability "
            f"{self.reliability[n]:.3f}{' NOT FLAGGED' if self.indexed[n] else ''}"
            for n in which
        ]
