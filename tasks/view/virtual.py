"""Virtual images at once, from the sketch of the patterns instead of the patterns.

Weighted patterns are nearly ``left.T @ diag(values) @ right``, so that their sum over a mask is
``left.T @ diag(values) @ (right @ mask)``: as many numbers as the sketch has directions, times the
coordinates of every position. What is left out of it is mostly counting noise, and whatever single
positions have that no others do: a grain of one position may be missing.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from orimap.tasks.errors import InputError
from orimap.tasks.patterns.rows import Rows
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store import variables

SHAPES = ("disc", "ring")
# Farther from any detector than a person draws, and small enough to be squared.
LARGEST_PX = 1e6
# Patterns of which both images are compared: from so many blocks, in at most so many bytes.
SAMPLE_BLOCKS, SAMPLE_PATTERNS, SAMPLE_BYTES = 32, 512, 32 * 2**20


@dataclass(frozen=True)
class Aperture:
    """A disc or a ring on the detector.

    Parameters
    ----------
    shape : str
        "disc" or "ring".
    y, x : float
        Its middle, pixels.
    radius, inner : float
        Outer and inner radius, pixels; the inner one of a disc is 0.
    """

    shape: str
    y: float
    x: float
    radius: float
    inner: float = 0.0

    def mask(self, valid: np.ndarray) -> np.ndarray:
        """Return the valid pixels whose middle lies in it, (detector_y, detector_x) bool.

        Raises
        ------
        InputError
            If it cannot be, or holds no pixel that was analysed.
        """
        inner = self.inner if self.shape == "ring" else 0.0
        numbers = (self.y, self.x, self.radius, inner)
        possible = np.abs(numbers) <= LARGEST_PX  # NaN is not
        if self.shape not in SHAPES or not possible.all() or inner < 0:
            raise InputError(
                f"a shape ({' or '.join(SHAPES)}) with its middle and radii in pixels",
                f"{self.shape} at {self.y:g}, {self.x:g} with radii {inner:g} to {self.radius:g}",
                "draw it on the pattern",
            )
        down, across = (np.arange(size) for size in valid.shape)
        squared = (down[:, None] - self.y) ** 2 + (across - self.x) ** 2
        inside = (squared <= self.radius**2) & (squared >= inner**2) & (self.radius > inner)
        if not np.any(inside & valid):
            raise InputError(
                "a disc or ring that holds pixels which were analysed",
                "none" + (": all that it holds are masked" if inside.any() else ""),
                "make it larger, or move it onto the pattern",
            )
        return inside & valid


class Approximate:
    """Virtual images from the stored sketch.

    Parameters
    ----------
    sketch : xarray.Dataset
        The group /sketch.
    floor : float
        What stands for the noise of read-out in every pixel of a pattern.
    """

    def __init__(self, sketch: xr.Dataset, floor: float = 0.0) -> None:
        v = variables
        self.valid = v.detector_valid.read(sketch).values
        fitted = v.detector_fitted.read(sketch).values
        weight = v.detector_weight.read(sketch).values
        row = v.scan_row_weight.read(sketch).values
        values = v.singular_value.read(sketch).values
        self._floor = floor
        self._scan = v.scan_basis.read(sketch).values
        self._per_row = np.divide(1.0, row, out=np.zeros(row.shape), where=row > 0)
        # Pixels that the fit does not see are not weighted; patterns are projected onto what it
        # knows of the scan.
        look = v.basis_pattern.read(sketch).values
        undone = np.divide(1.0, weight, out=np.zeros(weight.shape), where=fitted & (weight > 0))
        look *= undone.astype(np.float32)
        left_out = self.valid & ~fitted
        excluded = v.basis_left_out.read(sketch).values[:, left_out]
        look[:, left_out] = excluded / np.maximum(values, 1e-300)[:, None]
        self._look = np.ascontiguousarray(look.reshape(len(values), -1).T)

    @property
    def nbytes(self) -> int:
        """Bytes that it holds."""
        return self._look.nbytes + self._scan.nbytes + self._per_row.nbytes

    def image(self, mask: np.ndarray) -> np.ndarray:
        """Return the sum of the pixels of a mask in every pattern, (scan_y, scan_x).

        Parameters
        ----------
        mask : (detector_y, detector_x) array of bool
            In the frame of the patterns as they were analysed; only pixels that are valid.
        """
        # More than single precision is not known of the sketch, and takes a copy of it.
        sums = self._look[np.flatnonzero(mask)].sum(axis=0, dtype=float).astype(np.float32)
        return (self._scan @ sums) * self._per_row - self._floor * np.count_nonzero(mask)


@dataclass(frozen=True)
class Deviation:
    """How far an approximate image is from the exact one.

    Parameters
    ----------
    relative : float
        Root mean square of the difference over that of the exact values.
    noise : float
        The same of the counting noise of the exact image, NaN where nothing is counted.
    """

    relative: float
    noise: float


class Sample:
    """Some patterns of all parts of the scan, of which an approximate image is held against both.

    Parameters
    ----------
    numbers : (patterns,) array of int
        Running numbers of their positions.
    rows : (patterns, detector pixels) rows
        As they were analysed, with masked pixels.
    floor : float
        As for `Approximate`.
    """

    def __init__(self, numbers: np.ndarray, rows: Rows, floor: float = 0.0) -> None:
        self.numbers = numbers
        self._rows = rows
        self._floor = floor

    @classmethod
    def read(cls, source: PatternSource, seed: int = 0) -> "Sample":
        """Draw patterns from blocks that lie all over the scan."""
        import scipy.sparse as sp

        rng = np.random.default_rng(seed)
        blocks = source.blocks()
        several = rng.permutation(len(blocks))[:SAMPLE_BLOCKS]
        every = np.ones(source.detector_shape, bool)
        most = max(1, min(SAMPLE_PATTERNS, SAMPLE_BYTES // (4 * every.size)))
        if source.sparse:
            most = SAMPLE_PATTERNS
        each = -(-most // len(several))
        numbers, rows = [], []
        for block in sorted(several):
            # Few patterns of the block; where it is stored dense, no more are looked at.
            chosen = np.sort(rng.permutation(blocks[block].positions)[:each])
            for batch in source.read([blocks[block]], every):
                own = source.position_numbers(blocks[block])[chosen]
                at = np.flatnonzero(np.isin(batch.numbers, own))
                if len(at):
                    numbers.append(batch.numbers[at])
                    rows.append(batch.rows[at])
        stack = sp.vstack if sp.issparse(rows[0]) else np.concatenate
        if len({sp.issparse(part) for part in rows}) > 1:
            rows, stack = [sp.csr_matrix(part) for part in rows], sp.vstack
        joined = stack(rows)
        if sp.issparse(joined):
            joined = joined.tocsr()
        return cls(np.concatenate(numbers), joined, source.floor)

    def deviation(self, image: np.ndarray, mask: np.ndarray, *, counts: bool) -> Deviation:
        """Return how far an image is from the exact one where the sample is.

        Parameters
        ----------
        image : (scan_y, scan_x) array
            The approximate one.
        mask : (detector_y, detector_x) array of bool
        counts : bool
            Whether the values are counts, whose noise is known.
        """
        exact = (self._rows @ mask.ravel().astype(self._rows.dtype)).astype(float)
        exact -= self._floor * np.count_nonzero(mask)
        size = float(np.sqrt(np.mean(exact**2)))
        if size == 0:
            return Deviation(0.0 if not image.ravel()[self.numbers].any() else np.inf, np.nan)
        difference = image.ravel()[self.numbers] - exact
        noise = np.sqrt(max(float(exact.mean()), 0.0)) / size if counts else np.nan
        return Deviation(float(np.sqrt(np.mean(difference**2))) / size, float(noise))
