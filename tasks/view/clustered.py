"""The clusters of a result or a revision, in memory: labels, shares, what single patterns hold."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orimap.tasks.errors import InputError
from orimap.tasks.maps.decomposition import GRAINS, decided_fit, places_on_line
from orimap.tasks.report.figures.palette import cluster_colours
from orimap.tasks.store import variables
from orimap.tasks.store.groups import complete_mark, open_group
from orimap.tasks.store.open_results import open_revised
from orimap.tasks.view.patterns import require_position

PARTS = ("clusters", "overlap")
PATTERNS_OF = {
    "mean": variables.cluster_mean_pattern,
    "representative": variables.cluster_representative,
}


@dataclass(frozen=True)
class Part:
    """What one cluster contributes to a pattern.

    Parameters
    ----------
    cluster : int
        From 0.
    share, error : float
        1 = the position is filled by this cluster alone; its standard error, NaN if not known.
    intensity : float
        Sum of its contribution, in the unit of the counts.
    """

    cluster: int
    share: float
    error: float
    intensity: float


@dataclass(frozen=True)
class TakenApart:
    """One pattern as a sum of clusters.

    Parameters
    ----------
    label, second : int
        Clusters from 0, -1 none.
    ratio, ratio_error : float
        Second share over first share.
    parts : list of Part
        One a cluster.
    background : float
        Intensity that belongs to no cluster.
    """

    label: int
    second: int
    ratio: float
    ratio_error: float
    parts: list[Part]
    background: float


class Fit:
    """Components of the decided fit: their patterns, and how much of each is in every position.

    Parameters
    ----------
    analysis : Path
    revision : Path or None
        Store of a revision, whose components stand in their place.
    """

    def __init__(self, analysis: Path, revision: Path | None = None) -> None:
        own = revision is not None and complete_mark(revision, GRAINS) is not None
        stored = open_revised(analysis, revision, GRAINS if own else decided_fit(analysis))
        v = variables
        self.weights = v.scan_weight.read(stored).values
        self._images = v.component_pattern.read(stored).values
        self.sums = self._images.sum(axis=(1, 2), dtype=float)

    def pattern(self, position: tuple[int, int]) -> np.ndarray:
        """Return the pattern (detector_y, detector_x) that all components give a position."""
        return np.tensordot(self.weights[position], self._images, axes=1)


class Clustered:
    """The clusters of the automatic result, or of a revision.

    Parameters
    ----------
    analysis : Path
    revision : Path or None
        Its store.
    floor_sum : float
        What stands for the noise of read-out in a whole pattern.
    alone : bool
        Whether only what the revision itself holds belongs to it: the results were decided anew
        since. It may have no overlap and no fit then.
    """

    def __init__(
        self,
        analysis: Path,
        revision: Path | None = None,
        floor_sum: float = 0.0,
        *,
        alone: bool = False,
    ) -> None:
        v = variables
        if alone and revision is not None:
            clusters = open_group(revision, "clusters")
            own = [complete_mark(revision, name) is not None for name in ("overlap", GRAINS)]
            overlap = open_group(revision, "overlap") if own[0] else None
            self.fit = Fit(analysis, revision) if own[1] else None
        else:
            clusters, overlap = (open_revised(analysis, revision, n) for n in PARTS)
            self.fit = Fit(analysis, revision)
        self._stored = clusters
        self._floor_sum = floor_sum
        self.label = v.cluster_label.read(clusters).values
        self.share = v.cluster_share.read(clusters).values
        self.error = v.cluster_share_error.read(clusters).values
        self.parent = v.cluster_parent.read(clusters).values
        self.members = v.component_cluster.read(clusters).values
        self.size = v.cluster_size.read(clusters).values
        self.has_overlap = overlap is not None
        if overlap is not None:
            self.ratio = v.overlap_ratio.read(overlap).values
            self.ratio_error = v.overlap_ratio_error.read(overlap).values
            self.second = v.second_label.read(overlap).values
        else:
            self.ratio = np.full(self.label.shape, np.nan, np.float32)
            self.ratio_error, self.second = self.ratio, np.full_like(self.label, -1)
        attrs = clusters.attrs
        given = list(attrs.get("cluster_names", ()))
        self.names = [*given, *[""] * (self.count - len(given))][: self.count]
        self.colours = list(cluster_colours(self.count, attrs.get("cluster_colours", ())))

    @property
    def count(self) -> int:
        """Number of clusters."""
        return int(self.share.shape[2])

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Rows and columns of the scan."""
        rows, columns = self.label.shape
        return rows, columns

    @property
    def required_fit(self) -> Fit:
        """The fit; InputError where a revision was made from one that is gone."""
        if self.fit is None:
            raise InputError(
                "the fit that this revision was made from",
                "results that were decided anew since",
                "choose another one, or make it anew from the results of now",
            )
        return self.fit

    def require(self, cluster: int) -> None:
        """Check that there is a cluster of this number, counted from 1.

        Raises
        ------
        InputError
            If there is none.
        """
        if not 1 <= cluster <= self.count:
            raise InputError(
                f"a cluster from 1 to {self.count}" if self.count else "a map with clusters",
                f"cluster {cluster}",
                "clusters count from 1, as on the map",
            )

    def pattern(self, cluster: int, kind: str) -> np.ndarray:
        """Return the mean pattern, or the representative, of a cluster counted from 1."""
        self.require(cluster)
        if kind not in PATTERNS_OF:
            raise InputError(
                f"a pattern of a cluster ({', '.join(PATTERNS_OF)})", kind, "ask for one of them"
            )
        return PATTERNS_OF[kind].read(self._stored)[cluster - 1].values

    def take_apart(self, position: tuple[int, int]) -> TakenApart:
        """Return what the pattern of one position is made of; as `decompose`, without images."""
        require_position(position, self.scan_shape)
        if self.fit is None:
            contributed = np.full(len(self.members), np.nan)
        else:
            contributed = self.fit.weights[position].astype(float) * self.fit.sums
        share, error = self.share[position], self.error[position]
        # Of the pieces of one pattern, only the nearest has a share here.
        parts = [
            Part(
                cluster,
                float(share[cluster]),
                float(error[cluster]),
                float(contributed[self.members == parent].sum()) if share[cluster] > 0 else 0.0,
            )
            for cluster, parent in enumerate(self.parent)
        ]
        return TakenApart(
            int(self.label[position]),
            int(self.second[position]),
            float(self.ratio[position]),
            float(self.ratio_error[position]),
            parts,
            float(contributed[self.members < 0].sum()) - self._floor_sum,
        )

    def along(
        self, start: tuple[float, float], end: tuple[float, float]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the positions (points, 2) nearest to a line, and their distance from its start.

        One for each row or column that it crosses.

        Raises
        ------
        InputError
            If the line leaves the scan, or begins where it ends.
        """
        ends = np.array([start, end], float)
        count = 0  # of a line that cannot be
        if np.all(np.abs(ends) <= max(self.scan_shape)):
            count = round(float(np.abs(ends[1] - ends[0]).max())) + 1
        points, places = places_on_line(start, end, count, self.scan_shape)
        return places, np.linalg.norm(points - points[0], axis=1)

    def doubt(self) -> np.ndarray | None:
        """Return how likely it is that the second pattern of a position is really the stronger one.

        From the ratio of both and its standard error, (scan_y, scan_x), 0 to 0.5; 0 where there is
        no label. None where the noise is not known.
        """
        from scipy.special import ndtr

        if not np.isfinite(self.ratio_error).any():
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            below = (1 - self.ratio) / self.ratio_error
        doubt = np.where(self.ratio_error > 0, ndtr(-below), 0.0)
        return np.where((self.label >= 0) & np.isfinite(doubt), doubt, 0.0).astype(np.float32)


@dataclass(frozen=True)
class Boundary:
    """Where two clusters touch.

    Parameters
    ----------
    clusters : (int, int)
        From 0, the smaller one first.
    positions : int
        That have the other cluster beside, above or below them.
    doubt : float
        Mean of their doubt.
    most : (int, int)
        Row and column of the most doubtful one.
    """

    clusters: tuple[int, int]
    positions: int
    doubt: float
    most: tuple[int, int]


def boundaries(label: np.ndarray, doubt: np.ndarray) -> list[Boundary]:
    """Return the boundaries between clusters, the most doubtful first.

    Parameters
    ----------
    label : (scan_y, scan_x) array of int
        -1 for none.
    doubt : (scan_y, scan_x) array
    """
    columns = label.shape[1]
    number = np.arange(label.size).reshape(label.shape)
    pairs = []
    for one, other in (
        ((slice(None, -1), slice(None)), (slice(1, None), slice(None))),
        ((slice(None), slice(None, -1)), (slice(None), slice(1, None))),
    ):
        a, b = label[one].ravel(), label[other].ravel()
        touch = (a != b) & (a >= 0) & (b >= 0)
        for at in (number[one], number[other]):
            ends = np.stack([np.minimum(a, b)[touch], np.maximum(a, b)[touch]])
            pairs.append(np.stack([*ends, at.ravel()[touch]]))
    # A position that touches the other cluster on two sides counts once.
    every = np.unique(np.concatenate(pairs, axis=1), axis=1)
    found = []
    for pair in np.unique(every[:2], axis=1).T:
        at = every[2][(every[:2] == pair[:, None]).all(axis=0)]
        values = doubt.ravel()[at]
        most = int(at[np.argmax(values)])
        found.append(
            Boundary(
                (int(pair[0]), int(pair[1])),
                len(at),
                float(values.mean()),
                (most // columns, most % columns),
            )
        )
    return sorted(found, key=lambda each: -each.doubt)
