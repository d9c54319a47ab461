"""Turn maps and patterns into images: colours, grey levels, lengths and places of labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orimap.tasks.report.figures.palette import NO_CLUSTER, NOT_MEASURED, rgb
from orimap.tasks.report.words import plural

# Three decades: reflections a hundred times weaker than the direct beam are still mid-grey.
PATTERN_RANGE = 1000
# What labels are where there is no cluster, and, in maps that are drawn, where there is no pattern.
NO_LABEL, NO_PATTERN = -1, -2
# How reciprocal units are written.
RECIPROCAL = {"1/Å": "Å⁻¹", "1/nm": "nm⁻¹"}


@dataclass(frozen=True)
class ScanGrid:
    """How far apart the positions of a scan are.

    Parameters
    ----------
    step_y, step_x : float
        In ``units``.
    units : str
        A unit of length; ``"px"`` where the scan is not calibrated, a position counting as one.
    """

    step_y: float = 1.0
    step_x: float = 1.0
    units: str = "px"

    def extent(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Return height and width of a map of ``shape``, in ``units``."""
        return shape[0] * self.step_y, shape[1] * self.step_x

    def every(self, stride: int) -> "ScanGrid":
        """Return the grid of every ``stride``-th position."""
        return ScanGrid(self.step_y * stride, self.step_x * stride, self.units)

    def box(self, shape: tuple[int, int], width: float, height: float) -> tuple[float, float]:
        """Return width and height in inches of a map that fits ``width`` x ``height``.

        A scan over ten times longer than wide is stretched to be visible.
        """
        tall, wide = self.extent(shape)
        ratio = float(np.clip(tall / wide, 0.1, 10))
        return (width, width * ratio) if width * ratio <= height else (height / ratio, height)


@dataclass(frozen=True)
class DetectorGrid:
    """How far apart the pixels of the detector are along x, in ``units``; 1 px where unknown."""

    step: float = 1.0
    units: str = "px"


IN_PIXELS = DetectorGrid()


def scale_bar_length(width: float, *, smallest: float = 0.0) -> float:
    """Return the largest 1, 2 or 5 times a power of ten up to a third of ``width``.

    Parameters
    ----------
    width : float
        Width of the map, in any unit; more than 0.
    smallest : float
        Never less than this (one position, where positions are the unit).
    """
    target = width / 3
    power = 10.0 ** np.floor(np.log10(target))
    # A width such as 0.3 is not represented exactly: a third of it must still give 0.1.
    steps = [step * power for step in (1, 2, 5, 10) if step * power <= target * (1 + 1e-9)]
    return max(float(f"{max(steps, default=power):.6g}"), smallest)


def scale_bar(shape: tuple[int, int], scan: ScanGrid) -> tuple[float, str]:
    """Return the length of a map's scale bar, as a fraction of the map's width and as text."""
    _, width = scan.extent(shape)
    # Less than one position cannot be seen.
    length = scale_bar_length(width, smallest=1.0 if scan.units == "px" else 0.0)
    return length / width, length_text(length, scan.units)


def pattern_scale_bar(shape: tuple[int, int], detector: DetectorGrid) -> tuple[float, str]:
    """Return the length of a pattern's scale bar: a fraction of its width, and as text."""
    width = shape[1] * detector.step
    length = scale_bar_length(width, smallest=1.0 if detector.units == "px" else 0.0)
    units = RECIPROCAL.get(detector.units, detector.units)
    return length / width, f"{length:g}\u00a0{units}"


def length_text(length: float, units: str) -> str:
    """Write a length as a person would: 0.5 nm, 200 nm, 2 µm, 1 position."""
    if units == "px":
        return f"{length:g} {plural(length, 'position')}"
    if units == "nm" and length >= 1000:
        return f"{length / 1000:g} µm"
    return f"{length:g} {units}"


def pattern_levels(pattern: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Return a pattern as grey levels in which weak reflections show beside the direct beam.

    Parameters
    ----------
    pattern : (dy, dx) array, any unit
    mask : (dy, dx) array, optional
        Pixels other than 0 are left out and become black.

    Returns
    -------
    (dy, dx) array in 0..1
        ``log(1 + 1000 p) / log(1001)``, with p the intensity above its median over the largest.
    """
    values = np.array(pattern, dtype=float)
    left_out = ~np.isfinite(values)
    if mask is not None:
        left_out |= np.asarray(mask) != 0
    if left_out.all():
        return np.zeros(values.shape)
    values = np.clip(values - np.median(values[~left_out]), 0, None)
    values[left_out] = 0
    largest = values.max()
    if largest <= 0:
        return np.zeros(values.shape)
    return np.log1p(PATTERN_RANGE * values / largest) / np.log1p(PATTERN_RANGE)


def label_image(labels: np.ndarray, colours: Sequence[str]) -> np.ndarray:
    """Return (scan_y, scan_x, 3) colours in 0..1 of a map of labels, NO_LABEL and NO_PATTERN."""
    # The last ones are found from the end.
    return rgb([*colours, NOT_MEASURED, NO_CLUSTER])[labels]


def label_anchors(labels: np.ndarray) -> dict[int, tuple[float, float, float]]:
    """Return for each label its innermost position (row, column) and the distance to its edge."""
    from scipy import ndimage

    anchors = {}
    for label, box in enumerate(ndimage.find_objects(labels + 1)):
        if box is None:
            continue
        inside = np.pad(labels[box] == label, 1)
        distance = ndimage.distance_transform_edt(inside)
        row, column = np.unravel_index(np.argmax(distance), distance.shape)
        anchors[label] = (
            float(box[0].start + row - 1),
            float(box[1].start + column - 1),
            float(distance[row, column]),
        )
    return anchors


def match_labels(labels: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Rename the labels of ``other`` so that as many positions as possible agree with ``labels``.

    Labels without a partner get numbers after the last one of ``labels``; -1 stays.
    """
    from scipy.optimize import linear_sum_assignment

    ours, theirs = int(labels.max()) + 1, int(other.max()) + 1
    both = (labels >= 0) & (other >= 0)
    table = np.zeros((theirs, max(ours, 0)), dtype=int)
    np.add.at(table, (other[both], labels[both]), 1)
    rows, columns = linear_sum_assignment(table, maximize=True)
    names = np.full(theirs + 1, -1)
    names[rows] = columns
    rest = np.setdiff1d(np.arange(theirs), rows)
    names[rest] = max(ours, 0) + np.arange(len(rest))
    return names[other]
