"""Maps of a scan from its registered reflections: bright field, dark fields, counts, noise.

Virtual detectors here collect registered reflections, not pixels: background does not enter.
"""

from dataclasses import asdict, dataclass

import numpy as np
import xarray as xr
from scipy import ndimage

from orimap.tasks.acquire.ingest.reduction import Region
from orimap.tasks.errors import InputError
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.reflection_list import Reflections
from orimap.tasks.patterns.reflections.stored_list import ListSize
from orimap.tasks.store import variables

# A place belongs to a cluster where so large a share of its patterns has a reflection. With 60
# reflections on 128 x 128 pixels, discs of 3 px, chance alone puts one there in a tenth of them.
RECURRING_SHARE = 0.5
# A place tells nothing about a cluster if more than this share of the other clusters has it too.
SHARED_AT_MOST = 0.5
# Discs smaller than this would ask positions to recur more exactly than pixels allow.
SMALLEST_TOLERANCE_PX = 1.0


@dataclass(frozen=True)
class ClusterReflections:
    """The places on the detector where the patterns of each cluster have reflections.

    Parameters
    ----------
    cluster : (places,) array of int
        Whose place it is.
    y, x : (places,) arrays, pixels
        Mean position of its reflections.
    share : (places,) array in 0..1
        Share of the cluster's patterns that have a reflection there.
    others : (places,) array of int
        Number of other clusters that have one there, too.
    own : (places,) array of bool
        Whether the cluster's dark field collects it.
    """

    cluster: np.ndarray
    y: np.ndarray
    x: np.ndarray
    share: np.ndarray
    others: np.ndarray
    own: np.ndarray


def reflection_maps(
    found: Reflections,
    label: np.ndarray,
    shift: np.ndarray | None,
    lengths: Lengths,
    detector_shape: tuple[int, int],
    region: Region | None = None,
    *,
    units: str = "electron",
    threshold_units: str | None = None,
    size: ListSize | None = None,
) -> xr.Dataset:
    """Return the maps of a scan as they are stored.

    Parameters
    ----------
    found : Reflections
        Reflections of every position, in scan order.
    label : (scan_y, scan_x) array of int
        Cluster of each position, -1 for none.
    shift : (n, 2) or (scan_y, scan_x, 2) array, pixels, or None
        Added to the positions of each pattern's reflections, as when they are drawn.
    lengths : Lengths
    detector_shape : pair of int
    region : (y0, y1, x0, x1), optional
        Rows ``y0:y1`` and columns ``x0:x1`` of the (centred) detector whose reflections make
        another dark field.
    units : str
        Unit of the intensities.
    threshold_units : str, optional
        Unit of the threshold, where it differs ("1" where it counts standard deviations).
    size : ListSize, optional
        Size of the stored list, for the report.

    Returns
    -------
    xr.Dataset
        Variables declared for /reflection_maps. Attributes say how many patterns have no
        direct beam (their bright field is 0) and the rule for the clusters' reflections.

    Raises
    ------
    InputError
        If the scan has another number of positions than the list, or the region is empty.
    """
    scan_shape = label.shape
    if label.size != len(found):
        raise InputError(
            f"the reflections of all {label.size} positions of the scan",
            f"those of {len(found)}",
            "register the scan that was clustered",
        )
    direct = found.direct_entries
    there = direct >= 0
    bright_field = np.zeros(len(found), np.float32)
    bright_field[there] = found.intensity[direct[there]]
    v = variables
    maps = {
        v.scan_direct_intensity: bright_field,
        v.scan_intensity_sum: sum_by_pattern(found, found.intensity),
        v.scan_reflection_count: found.counts.astype(np.int32),
        v.scan_noise: found.noise,
        v.scan_prominence_threshold: found.threshold,
        v.scan_prominence_sum: sum_by_pattern(found, found.prominence),
    }
    attrs: dict[str, object] = {"patterns_without_direct_beam": int(np.count_nonzero(~there))}
    y, x = shifted_positions(found, shift)
    if region is not None:
        maps[v.scan_virtual_dark_field] = region_dark_field(found, y, x, region)
        attrs["dark_field_region"] = [int(edge) for edge in region]
    maps = {variable: values.reshape(scan_shape) for variable, values in maps.items()}
    places = cluster_reflections(found, label.ravel(), y, x, lengths, detector_shape)
    count = int(label.max()) + 1
    fields = cluster_dark_fields(found, y, x, places, count, lengths, detector_shape)
    maps |= {
        v.cluster_dark_field: fields.reshape(*scan_shape, -1),
        v.place_cluster: places.cluster.astype(np.int16),
        v.place_y: places.y,
        v.place_x: places.x,
        v.place_share: places.share,
        v.place_others: places.others.astype(np.int16),
        v.place_own: places.own,
    }
    attrs |= {
        "recurring_share": RECURRING_SHARE,
        "shared_at_most": SHARED_AT_MOST,
        "tolerance_px": tolerance(lengths),
    }
    if size is not None:
        attrs |= asdict(size)
    ds = variables.dataset(maps, **attrs)
    for variable in maps:
        if variable.units == v.pattern_intensity.units:
            ds[variable.name].attrs["units"] = units
    ds[v.scan_prominence_threshold.name].attrs["units"] = threshold_units or units
    return ds


def sum_by_pattern(found: Reflections, values: np.ndarray) -> np.ndarray:
    """Return the sum (n,) over each pattern's entries."""
    return np.bincount(found.pattern_numbers, values, len(found)).astype(np.float32)


def shifted_positions(
    found: Reflections, shift: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of all entries after the shift of each pattern."""
    if shift is None:
        return found.y, found.x
    moved = np.repeat(np.asarray(shift, np.float32).reshape(-1, 2), found.counts, axis=0)
    return found.y + moved[:, 0], found.x + moved[:, 1]


def tolerance(lengths: Lengths) -> float:
    """Return how far from its place a reflection may lie: the radius of a disc, in pixels."""
    return max(lengths.disc_radius, SMALLEST_TOLERANCE_PX)


def region_dark_field(
    found: Reflections, y: np.ndarray, x: np.ndarray, region: Region
) -> np.ndarray:
    """Return the sum (n,) of the intensities in a region, the direct beam left out.

    Parameters
    ----------
    found : Reflections
    y, x : (entries,) arrays, pixels
    region : (y0, y1, x0, x1)
        Pixels ``y0:y1, x0:x1``; the first reaches from ``y0 - .5``.
    """
    y0, y1, x0, x1 = region
    if y1 <= y0 or x1 <= x0:
        raise InputError(
            "a region of the detector with at least one pixel",
            f"{y0}:{y1},{x0}:{x1}",
            "give Y0:Y1,X0:X1 with Y0 < Y1 and X0 < X1",
        )
    inside = (y >= y0 - 0.5) & (y < y1 - 0.5) & (x >= x0 - 0.5) & (x < x1 - 0.5)
    return sum_by_pattern(found, np.where(inside & ~found.is_direct, found.intensity, 0))


def cluster_reflections(
    found: Reflections,
    label: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    lengths: Lengths,
    detector_shape: tuple[int, int],
) -> ClusterReflections:
    """Find the places where the patterns of each cluster have reflections, and which are its own.

    The rule is ours. A place recurs if at least ``RECURRING_SHARE`` of the cluster's patterns have
    a reflection within a disc's radius of it; the place that most of them have comes first, and
    places whose discs would overlap one before are the same place. A place is the cluster's own
    if at most ``SHARED_AT_MOST`` of the other clusters have it. A cluster of which nothing is its
    own keeps what the fewest others have. The direct beam is left out.

    Parameters
    ----------
    found : Reflections
    label : (n,) array of int
    y, x : (entries,) arrays, pixels
    lengths : Lengths
    detector_shape : pair of int
    """
    count = int(label.max()) + 1
    near = tolerance(lengths)
    numbers = found.pattern_numbers
    owner = np.where(found.is_direct, -1, label[numbers])
    row, column, inside = _pixels(y, x, detector_shape)
    owner = np.where(inside, owner, -1)
    sizes = np.bincount(label[label >= 0], minlength=count)
    shares = np.zeros((count, *detector_shape), np.float32)
    places: list[tuple[int, float, float, float]] = []
    for cluster in range(count):
        mine = np.flatnonzero(owner == cluster)
        counts = _count_near(row[mine], column[mine], near, detector_shape)
        shares[cluster] = counts / max(sizes[cluster], 1)
        for at in _peaks(shares[cluster], near):
            members = mine[np.hypot(y[mine] - at[0], x[mine] - at[1]) <= near]
            patterns = np.unique(numbers[members])
            recurs = len(patterns) / max(sizes[cluster], 1)
            if recurs >= RECURRING_SHARE:
                places.append((cluster, float(y[members].mean()), float(x[members].mean()), recurs))
    table = np.array(places, np.float64).reshape(-1, 4)
    cluster = table[:, 0].astype(int)
    at = tuple(
        np.clip(np.rint(table[:, 1 + i]).astype(int), 0, detector_shape[i] - 1) for i in (0, 1)
    )
    has = shares[:, at[0], at[1]] >= RECURRING_SHARE
    has[cluster, np.arange(len(cluster))] = False
    others = has.sum(axis=0)
    own = others <= SHARED_AT_MOST * (count - 1)
    for one in range(count):
        mine = cluster == one
        if mine.any() and not own[mine].any():
            own[mine] = others[mine] == others[mine].min()
    return ClusterReflections(
        cluster,
        table[:, 1].astype(np.float32),
        table[:, 2].astype(np.float32),
        table[:, 3].astype(np.float32),
        others,
        own,
    )


def _count_near(
    row: np.ndarray, column: np.ndarray, near: float, shape: tuple[int, int]
) -> np.ndarray:
    """Count the reflections within ``near`` of every pixel.

    Two of one pattern hardly lie so near to each other: this is the number of patterns.
    """
    image = np.bincount(row * shape[1] + column, minlength=shape[0] * shape[1])
    reach = int(near)
    away = np.arange(-reach, reach + 1)
    disc = (away[:, None] ** 2 + away**2 <= near**2).astype(np.float32)
    return ndimage.convolve(image.reshape(shape).astype(np.float32), disc, mode="constant")


def _peaks(share: np.ndarray, near: float) -> list[tuple[int, int]]:
    """Return the pixels with the largest shares, none nearer to another than a disc is wide."""
    rest = share.copy()
    rows, columns = np.indices(share.shape, sparse=True)
    peaks = []
    while True:
        top = np.flatnonzero(rest == rest.max())
        place = np.array(np.unravel_index(top, rest.shape)).T
        if rest[tuple(place[0])] < RECURRING_SHARE:
            return peaks
        # Every pixel that all members are near to is as high as the first of them: their middle.
        same = np.hypot(*(place - place[0]).T) <= 2 * near
        middle = np.rint(place[same].mean(axis=0)).astype(int)
        peaks.append((int(middle[0]), int(middle[1])))
        rest[np.hypot(rows - middle[0], columns - middle[1]) <= 2 * near] = 0
        rest[tuple(place[0])] = 0


def cluster_dark_fields(
    found: Reflections,
    y: np.ndarray,
    x: np.ndarray,
    places: ClusterReflections,
    count: int,
    lengths: Lengths,
    detector_shape: tuple[int, int],
) -> np.ndarray:
    """Return (n, cluster) sums of the intensities within a disc's radius of a cluster's own places.

    The direct beam never counts; a cluster without a place has 0 everywhere.
    """
    from scipy.spatial import cKDTree

    fields = np.zeros((len(found), count), np.float32)
    row, column, inside = _pixels(y, x, detector_shape)
    collected = np.flatnonzero(~found.is_direct & inside)
    row, column, numbers = (a[collected] for a in (row, column, found.pattern_numbers))
    near = tolerance(lengths)
    for cluster in range(count):
        mine = places.own & (places.cluster == cluster)
        if not mine.any():
            continue
        centres = np.stack([places.y[mine], places.x[mine]], axis=1)
        # Most reflections lie far from all places: their pixel is enough to see that. Two positions
        # are each up to .71 px from the centre of theirs.
        apart = np.ones(detector_shape, bool)
        apart[tuple(np.rint(centres).astype(int).T)] = False
        around = ndimage.distance_transform_edt(apart) <= near + 1.5
        some = around[row, column]
        entries = collected[some]
        positions = np.stack([y[entries], x[entries]], axis=1)
        hit = np.isfinite(cKDTree(centres).query(positions, distance_upper_bound=near)[0])
        weights = found.intensity[entries[hit]]
        fields[:, cluster] = np.bincount(numbers[some][hit], weights, len(found))
    return fields


def _pixels(
    y: np.ndarray, x: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixel (row, column) of each position, and whether it lies on the detector."""
    row, column = np.rint(y).astype(int), np.rint(x).astype(int)
    return row, column, (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
