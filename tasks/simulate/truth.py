"""What a simulated scan is known to hold, and how near a result comes to it."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.store.variables import OVERLAP_RATIO


@dataclass(frozen=True)
class Truth:
    """The grains of a scan.

    Parameters
    ----------
    labels : (scan_y, scan_x) array of int
        The grain that fills most of each position.
    weights : (scan_y, scan_x, grain) array
        The fraction of each position that each grain fills.
    source : Path
    """

    labels: np.ndarray
    weights: np.ndarray
    source: Path

    @property
    def grains(self) -> int:
        """How many grains there are."""
        return self.weights.shape[-1]

    def score(self, label: np.ndarray, overlap_ratio: np.ndarray) -> dict[str, float]:
        """Compare a map of clusters and its overlaps with the truth.

        Parameters
        ----------
        label : (scan_y, scan_x) array of int
        overlap_ratio : (scan_y, scan_x) array
            Second share over first.

        Returns
        -------
        dict
            ``ari``, the adjusted Rand index over all positions (1 = every position right), and
            ``overlap_f1``, the F1 of which positions a second pattern fills at least half as much
            as the first (1 where there is none, and none was found).
        """
        from sklearn.metrics import adjusted_rand_score, f1_score

        true = true_overlap_ratio(self.weights) >= OVERLAP_RATIO
        found = np.nan_to_num(overlap_ratio) >= OVERLAP_RATIO
        return {
            "ari": float(adjusted_rand_score(self.labels.ravel(), label.ravel())),
            "overlap_f1": float(f1_score(true.ravel(), found.ravel(), zero_division=1.0)),
        }


def true_overlap_ratio(weights: np.ndarray) -> np.ndarray:
    """Return second over first (scan_y, scan_x) of the fractions of the grains; 0 for one grain."""
    ordered = np.sort(weights, axis=-1)
    if ordered.shape[-1] < 2:
        return np.zeros(ordered.shape[:-1])
    first = ordered[..., -1]
    return np.divide(ordered[..., -2], first, out=np.zeros(first.shape), where=first > 0)


def read_truth(
    path: Path, scan_shape: tuple[int, int], roi: tuple[int, int, int, int] | None = None
) -> Truth:
    """Read the truth that ``orimap simulate`` writes beside a scan.

    Parameters
    ----------
    path : Path
        NPZ with ``labels`` and ``weights`` of the whole scan, or of the region of interest alone.
    scan_shape : (int, int)
        Shape of the whole scan.
    roi : (y0, y1, x0, x1), optional
        The part of it that is analysed.

    Raises
    ------
    InputError
        If it is not there, is no NPZ, lacks an array, or does not fit the scan.
    """
    needed = f"an NPZ file with labels and weights, as orimap simulate writes it ({path})"
    correct = "correct --truth, or leave it out"
    try:
        with np.load(path, allow_pickle=False) as content:
            absent = {"labels", "weights"} - set(content)
            if absent:
                raise InputError(needed, f"no {' and no '.join(sorted(absent))} in it", correct)
            labels, weights = content["labels"], content["weights"]
    except InputError:
        raise
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        what = "it is not there" if not path.exists() else "it cannot be read as NPZ"
        raise InputError(needed, what, correct) from error
    part = roi or (0, scan_shape[0], 0, scan_shape[1])
    region = slice(part[0], part[1]), slice(part[2], part[3])
    analysed = np.empty(scan_shape, bool)[region].shape
    if labels.shape == scan_shape:
        labels, weights = labels[region], weights[region]
    fits = labels.shape == analysed == weights.shape[:2] and weights.ndim == 3
    if not (fits and labels.dtype.kind in "iu" and weights.dtype.kind == "f"):
        raise InputError(
            f"a truth of the shape of the scan ({analysed[0]}x{analysed[1]}): whole numbers in "
            "labels, a fraction for every grain in weights",
            f"labels {labels.shape} of {labels.dtype} and weights {weights.shape} of "
            f"{weights.dtype} in {path.name}",
            correct,
        )
    return Truth(labels, weights, path)


def find_truth(
    file: Path, scan_shape: tuple[int, int], roi: tuple[int, int, int, int] | None = None
) -> Truth | None:
    """Return the truth that lies beside an acquisition, None where none does that fits."""
    beside = file.with_suffix(".npz")
    if beside == file or not beside.is_file():
        return None
    try:
        return read_truth(beside, scan_shape, roi)
    except InputError:
        return None
