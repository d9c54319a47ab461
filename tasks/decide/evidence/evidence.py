"""The criteria by which numbers of components are compared, each measured on its fit."""

from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from orimap.tasks.decide.components.merge import Merged
from orimap.tasks.decide.evidence.knee import RangeOfInterest, range_of_interest
from orimap.tasks.decide.evidence.published import PublishedFits
from orimap.tasks.decide.evidence.spectrum import BiWhitened
from orimap.tasks.store import variables
from orimap.tasks.store.variables import METRICS


@dataclass(frozen=True)
class Components:
    """How the components of one k compare with each other.

    Parameters
    ----------
    metrics : dict of (k, k) arrays
        "ssim", "gmsd", "mdsi", "psnr", of patterns at unit maximum.
    merged : Merged
    cosine : (k, k) array
        Of the reflections of components.
    not_redundant : int or None
        Number of components left without those that repeat another in pattern and in map.
    """

    metrics: dict[str, np.ndarray]
    merged: Merged
    cosine: np.ndarray
    not_redundant: int | None = None

    def off_diagonal(self, name: str) -> float:
        """Return the mean of one metric between different components, NaN for a single one."""
        matrix = self.metrics[name]
        if len(matrix) < 2:
            return np.nan
        return float(np.mean(matrix[~np.eye(len(matrix), dtype=bool)]))


@dataclass(frozen=True)
class Limits:
    """What the acquisition itself allows to be told.

    Parameters
    ----------
    positions : int or None
        Scan positions that were measured.
    more_components : bool
        Whether more components can be fitted than the last fit has.
    next_bin : int or None
        The next larger ``--bin``, None where the patterns have too few pixels for it.
    guesses : tuple of str
        What the file does not say, and as what it was read.
    """

    positions: int | None = None
    more_components: bool = True
    next_bin: int | None = 2
    guesses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evidence:
    """All criteria along k.

    Parameters
    ----------
    ks : (number of k,) array of int
        Rising by one.
    loss, loss_error : (number of k,) arrays
        K-component loss (mean absolute error over all entries) and its standard error, 0 where
        it is exact.
    mean_intensity : float
        Mean of all entries.
    relative_error : (number of k,) array
    deviance : (number of k, positions) array or None
        Held-out deviance of each position; None where the values are not counts.
    components : list of Components
    cross_validation : (number of k, positions) array or None
        Squared error of bi-cross-validation of each position of a sample, where the values are not
        counts.
    spectrum : BiWhitened or None
        Of raw counts.
    stability : dict of int to float
        Smallest silhouette over resampled fits, of the few k that were looked at.
    skipped : dict of str to str
        Evidence that the data do not allow, and why.
    silhouette : (number of k,) array or None
        Of the scan positions by their largest component; only where a strategy asks for it.
    published : PublishedFits or None
        The paper's own fits; only where a strategy asks for them.
    limits : Limits
    """

    ks: np.ndarray
    loss: np.ndarray
    loss_error: np.ndarray
    mean_intensity: float
    relative_error: np.ndarray
    deviance: np.ndarray | None
    components: list[Components]
    cross_validation: np.ndarray | None = None
    spectrum: BiWhitened | None = None
    stability: dict[int, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    silhouette: np.ndarray | None = None
    published: PublishedFits | None = None
    limits: Limits = Limits()

    @property
    def distinct(self) -> np.ndarray:
        """Number of distinct patterns after merging, per k."""
        return np.array([c.merged.distinct for c in self.components])

    @property
    def redundancy(self) -> np.ndarray | None:
        """Number of components that repeat no other, per k; None where it was not looked at."""
        counts = [c.not_redundant for c in self.components]
        return None if None in counts else np.array(counts)

    @property
    def held_out(self) -> np.ndarray | None:
        """Held-out deviance of counts, or squared error, (number of k, positions)."""
        return self.cross_validation if self.deviance is None else self.deviance

    @property
    def interest(self) -> RangeOfInterest:
        """Knee of the loss, and the range around it."""
        return range_of_interest(self.ks, self.loss)

    def held_out_drops(self) -> tuple[np.ndarray, np.ndarray]:
        """Return how far each k lowers the best held-out score of all smaller k.

        Returns
        -------
        drop, error : (number of k,) arrays
            Mean over positions and its standard error, paired by position. NaN for the first k.
        """
        if self.held_out is None:
            return np.full(len(self.ks), np.nan), np.full(len(self.ks), np.nan)
        return paired_drops(self.held_out)

    def dataset(self) -> xr.Dataset:
        """Return every criterion along k, and the matrices between components."""
        largest = int(self.ks.max())
        drop, error = self.held_out_drops()
        interest = self.interest
        pairs = {name: np.full((len(self.ks), largest, largest), np.nan) for name in METRICS}
        cosine = np.full((len(self.ks), largest, largest), np.nan)
        for i, c in enumerate(self.components):
            size = len(c.cosine)
            cosine[i, :size, :size] = c.cosine
            for name in METRICS:
                pairs[name][i, :size, :size] = c.metrics[name]
        held_out = np.full(len(self.ks), np.nan)
        if self.deviance is not None:
            held_out = self.deviance.mean(axis=1)
        relative = self.loss / self.mean_intensity if self.mean_intensity > 0 else self.loss * 0
        means = {n: np.array([c.off_diagonal(n) for c in self.components]) for n in METRICS}
        v = variables
        arrays = {
            v.k_component_loss: self.loss,
            v.k_component_loss_error: self.loss_error,
            v.k_relative_loss: relative,
            v.k_relative_error: self.relative_error,
            v.k_held_out_deviance: held_out,
            v.k_held_out_drop: drop,
            v.k_held_out_drop_error: error,
            v.k_in_range: (self.ks >= interest.low) & (self.ks <= interest.high),
            v.k_distinct: self.distinct,
            v.k_background: np.array([c.merged.background for c in self.components]),
            v.k_ssim: means["ssim"],
            v.k_gmsd: means["gmsd"],
            v.k_mdsi: means["mdsi"],
            v.k_psnr: means["psnr"],
            v.pair_ssim: pairs["ssim"],
            v.pair_gmsd: pairs["gmsd"],
            v.pair_mdsi: pairs["mdsi"],
            v.pair_psnr: pairs["psnr"],
            v.pair_cosine: cosine,
        }
        return v.dataset(arrays).assign_coords(k=self.ks)


def paired_drops(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how far each k lowers the best score of all smaller k.

    Positions differ among each other far more than one k differs from the next; the standard error
    is that of the differences at the same position.

    Parameters
    ----------
    scores : (number of k, positions) array
        Smaller is better: held-out deviance, or squared error.

    Returns
    -------
    drop, error : (number of k,) arrays
        Mean over positions and its standard error. NaN for the first k.
    """
    drop, error = (np.full(len(scores), np.nan) for _ in range(2))
    best = scores[0]
    for i, score in enumerate(scores[1:], start=1):
        gain = best - score
        drop[i] = gain.mean()
        error[i] = gain.std() / np.sqrt(len(gain))
        if drop[i] > 0:
            best = score
    return drop, error
