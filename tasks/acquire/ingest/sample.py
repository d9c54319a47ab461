"""Look at patterns spread evenly over a scan before all of it is read."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from orimap.tasks.acquire.acquisition import Acquisition
from orimap.tasks.acquire.ingest.beam_disc import neighbour_rank
from orimap.tasks.acquire.ingest.defects.camera import Camera, measure_camera
from orimap.tasks.acquire.ingest.defects.flags import Flags, flags_of_file, flags_of_values
from orimap.tasks.acquire.ingest.reduction import (
    Region,
    reduce_mask,
    reduce_patterns,
    scale_exponent,
)
from orimap.tasks.store.cleaning import clean
from orimap.tasks.stream.sizes import CANDIDATES_AT_MOST

# So many patterns are looked at, and one beside each.
SAMPLE_PATTERNS = 64
# Of so many pixels the camera is measured.
CAMERA_PIXELS = 2**14
# Powers of two by which values are made smaller while they are added up: none then overflows.
HEADROOM = 64


@dataclass(frozen=True)
class Sample:
    """What patterns spread evenly over a scan tell.

    Parameters
    ----------
    mean : (detector_y, detector_x) array
        As stored, without pixels that are flagged.
    filled : float
        Share of their pixels that are not zero.
    flags : Flags
        Of the whole detector.
    exponent : int
        From `scale_exponent`.
    camera : Camera or None
        In units of what is stored, for pixels as acquired; None where it could not be measured.
    """

    mean: np.ndarray
    filled: float
    flags: Flags
    exponent: int
    camera: Camera | None

    @classmethod
    def of(cls, acquisition: Acquisition, roi: Region, crop: Region, bin: int) -> "Sample":
        """Look at patterns of an acquisition."""
        places = _places(roi)
        least = most = None
        total: Any = 0.0
        filled = 0.0
        pixels = _some_pixels(acquisition.detector_shape, crop)
        pairs: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        for row, columns, beside in places:
            both = sorted({*columns, *beside})
            some = {}
            for column, pattern in zip(both, acquisition.read_row(row, both), strict=True):
                some[column] = pattern.ravel()[pixels]
                if column not in columns:
                    continue
                least = pattern.copy() if least is None else np.fmin(least, pattern)
                most = pattern.copy() if most is None else np.fmax(most, pattern)
                cut = clean(pattern[None, None, crop[0] : crop[1], crop[2] : crop[3]])
                reduced = reduce_patterns(cut, bin, np.dtype("f8"), -HEADROOM)[0, 0]
                total = total + reduced
                filled += np.count_nonzero(reduced) / reduced.size
            pairs[0].extend(some[column] for column in columns)
            pairs[1].extend(some[column] for column in beside)
        patterns = sum(len(columns) for _, columns, _ in places)
        flags = flags_of_file(acquisition.path, acquisition.detector_shape)
        flags |= flags_of_values(least, most, patterns)
        exponent = 0
        if acquisition.dtype.kind == "f":
            exponent = scale_exponent(float(np.max(most, initial=0, where=np.isfinite(most))))
        mean = np.ldexp(total / patterns, HEADROOM + exponent)
        mean[reduce_mask(flags.flagged, crop, bin)] = 0.0
        measured = ~flags.flagged.ravel()[pixels]
        first, second = (np.stack(one)[:, measured] for one in pairs)
        camera = None
        # One column of positions has nothing beside it.
        if roi[3] - roi[2] > 1:
            scaled = (np.ldexp(one.astype(np.float64), exponent) for one in (first, second))
            camera = measure_camera(*scaled)
        return cls(mean, filled / patterns, flags, exponent, camera)

    @property
    def candidates(self) -> np.ndarray:
        """Rows and columns (candidate, 2) of the pixels that stand alone most: may be hot."""
        alone = self.mean - 2 * np.maximum(neighbour_rank(self.mean, 2), 0)
        order = np.argsort(alone, axis=None)[::-1][:CANDIDATES_AT_MOST]
        chosen = order[alone.ravel()[order] > 0]
        return np.stack(np.unravel_index(chosen, self.mean.shape), axis=1)

    @property
    def scale_notes(self) -> list[str]:
        """What was multiplied, in words."""
        if not self.exponent:
            return []
        return [
            f"values are multiplied by 2^{self.exponent} (about "
            f"{2.0**self.exponent:.3g}), so that they can be computed with"
        ]


def _places(roi: Region) -> list[tuple[int, list[int], list[int]]]:
    """Return rows of the scan with columns, spread evenly, and the column beside each."""
    side = math.isqrt(SAMPLE_PATTERNS)
    rows = np.unique(np.linspace(roi[0], roi[1] - 1, side).round().astype(int))
    columns = np.unique(np.linspace(roi[2], roi[3] - 1, side).round().astype(int))
    beside = np.where(columns + 1 < roi[3], columns + 1, np.maximum(columns - 1, roi[2]))
    return [(int(row), columns.tolist(), beside.tolist()) for row in rows]


def _some_pixels(detector_shape: tuple[int, int], crop: Region) -> np.ndarray:
    """Return running numbers of some pixels of the crop, no row or column preferred."""
    inside = np.zeros(detector_shape, bool)
    inside[crop[0] : crop[1], crop[2] : crop[3]] = True
    pixels = np.flatnonzero(inside)
    if len(pixels) <= CAMERA_PIXELS:
        return pixels
    return np.sort(np.random.default_rng(0).choice(pixels, CAMERA_PIXELS, replace=False))
