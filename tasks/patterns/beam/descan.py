"""Lay a smooth surface through the beam positions of a scan: what the descan left over.

In each pattern several discs may be the direct beam. The one that is forms a smooth surface over
the whole scan, where a reflection stays within its grain: first a plane on which most patterns
agree, then polynomials through what lies near it, outliers rejected, of the order that best
predicts positions that were left out.
"""

from dataclasses import dataclass

import numpy as np

# A descan has the shape of a lens's error: what needs more than the fourth order is no descan.
LARGEST_ORDER = 4
# Planes tried: with a disc that is the beam drawn in one of three cases, all three points of one of
# 400 are the beam with a probability of 1 - e⁻¹⁵.
PLANES_TRIED = 400
CONSTANT_EVERY = 4
# Positions enough to choose a plane, and to fit the surface: at 1 px of scatter the latter is
# known to .02 px.
CONSENSUS_POSITIONS = 2000
FIT_POSITIONS = 20_000
# Of Gaussian errors, 1 in 2000 is larger than this many standard deviations.
OUTLIER_SIGMA = 3.5
# The parameters of a plane along each axis: so few residuals say nothing about the others.
FEWEST_RESIDUALS = 3
# Errors smaller than this make no outlier, whatever the others are.
OUTLIER_FLOOR_PX = 0.1
# Standard deviation of a Gaussian over its median absolute deviation.
SIGMA_PER_MAD = 1.4826
# A higher order is worth it where it lowers the squared error of prediction by this share, and by
# the square of this length.
ORDER_GAIN = 0.01
ORDER_GAIN_PX = 0.02
# Fewer positions than this for every term of a polynomial leave nothing to tell its error by.
POSITIONS_PER_TERM = 1.5
# The scan is divided into so many tiles a side, which are left out in turn in this many groups.
TILES_A_SIDE = 6
FOLDS = 5


@dataclass(frozen=True)
class Surface:
    """A polynomial over the scan for y and x of the beam.

    Parameters
    ----------
    coefficients : (term, 2) array, pixels
    terms : (term, 2) int array
        Orders in scan_y and scan_x of the Legendre polynomials.
    scan_shape : (int, int)
    """

    coefficients: np.ndarray
    terms: np.ndarray
    scan_shape: tuple[int, int]

    def at(self, places: np.ndarray) -> np.ndarray:
        """Return (place, 2) positions in pixels at scan places (place, 2)."""
        return _basis(places, self.terms, self.scan_shape) @ self.coefficients

    def everywhere(self) -> np.ndarray:
        """Return the positions (scan_y, scan_x, 2), float32, pixels."""
        along_y, along_x = (
            np.polynomial.legendre.legvander(_unit(np.arange(side), side), LARGEST_ORDER)
            for side in self.scan_shape
        )
        table = np.zeros((LARGEST_ORDER + 1, LARGEST_ORDER + 1, 2))
        table[self.terms[:, 0], self.terms[:, 1]] = self.coefficients
        return np.einsum("yi,ijc,xj->yxc", along_y, table, along_x).astype(np.float32)

    @property
    def order(self) -> int:
        """The highest order of a term."""
        return int(self.terms.sum(axis=1).max())


@dataclass(frozen=True)
class SmoothFit:
    """A surface, and how well the measured positions agree with it.

    Parameters
    ----------
    surface : Surface
    position : (pattern, 2) array, pixels
        The disc of each pattern that is the direct beam; where none lies near the surface, its
        brightest; NaN where there is none.
    near : (pattern,) bool array
        Where one of the discs lies within reach of the surface.
    inlier : (pattern,) bool array
        Those of them that are no outliers.
    scatter_px : float
        Standard deviation of one measurement along one axis.
    error_px : float
        Standard error of the surface along one axis, with errors that neighbours share counted in.
    """

    surface: Surface
    position: np.ndarray
    near: np.ndarray
    inlier: np.ndarray
    scatter_px: float
    error_px: float


def fit_smooth(
    places: np.ndarray,
    candidates: np.ndarray,
    scan_shape: tuple[int, int],
    reach: float,
    centre: np.ndarray,
    centre_sigma: float,
) -> SmoothFit | None:
    """Choose the direct beam among the discs of each pattern and fit a smooth surface.

    Parameters
    ----------
    places : (pattern, 2) array
        Row and column of each pattern in the scan.
    candidates : (pattern, candidate, 3) array
        y, x in pixels and brightness of the discs, the brightest first, NaN for none.
    scan_shape : (int, int)
    reach : float, pixels
        How far a disc may lie from the surface and still be the beam: about the disc's radius.
    centre : (2,) array, pixels
        Where the beam is expected, and ``centre_sigma`` how vaguely, for deciding between discs
        that are there in as many patterns.

    Returns
    -------
    SmoothFit or None
        None where no pattern has a disc.
    """
    measured = np.flatnonzero(np.isfinite(candidates[:, 0, 0]))
    if not measured.size:
        return None
    discs = candidates[measured].astype(np.float64)
    places = places[measured].astype(np.float64)
    few = _evenly(len(measured), CONSENSUS_POSITIONS)
    surface = consensus_plane(places[few], discs[few], scan_shape, reach, centre, centre_sigma)
    some = _evenly(len(measured), FIT_POSITIONS)
    where, given = places[some], discs[some]
    # The plane lies exactly on the few discs that it was drawn through: fit it to all of them.
    chosen, near = nearest_disc(given, surface.at(where), reach)
    surface = _through(where[near], chosen[near], surface.terms, scan_shape)
    for order in range(1, LARGEST_ORDER + 1):
        surface, chosen, used = _refit(surface, where, given, reach, order)
    order = choose_order(where[used], chosen[used], scan_shape)
    for _ in range(3):
        surface, chosen, used = _refit(surface, where, given, reach, order)
    residual = (chosen - surface.at(where))[used]
    scatter = float(np.sqrt(np.mean(residual**2))) if residual.size else 0.0
    shared = _shared_error(residual, where[used], scan_shape)
    error = scatter * np.sqrt(shared * len(surface.terms) / max(1, len(residual)))

    expected = surface.at(places)
    chosen, within = nearest_disc(discs, expected, reach)
    position = np.full((len(candidates), 2), np.nan, np.float32)
    position[measured] = chosen
    near, inlier = np.zeros((2, len(candidates)), dtype=bool)
    near[measured] = within
    inlier[measured] = within & (np.abs(chosen - expected) <= _limits(residual)).all(axis=1)
    return SmoothFit(surface, position, near, inlier, scatter, float(error))


def consensus_plane(
    places: np.ndarray,
    discs: np.ndarray,
    scan_shape: tuple[int, int],
    reach: float,
    centre: np.ndarray,
    centre_sigma: float,
) -> Surface:
    """Return the plane on which most patterns have a disc.

    Parameters
    ----------
    places : (pattern, 2) array
        Scan rows and columns.
    discs : (pattern, candidate, 3) array
        Every pattern has a first disc; NaN for none.
    scan_shape : (int, int)
    reach, centre, centre_sigma
        As in `fit_smooth`.

    Returns
    -------
    Surface
        Of the planes through three discs drawn at random (seeded; bright ones more often), the one
        with the largest sum of the square roots of relative brightness of the discs within reach:
        the direct beam, dim in some grains but there in all, counts more than a reflection that
        is brighter in some.
        A constant where there are fewer than five patterns.

    References
    ----------
    Fischler & Bolles (1981), Commun. ACM 24, 381-395, doi:10.1145/358669.358692
    """
    rng = np.random.default_rng(0)
    share = np.sqrt(np.nan_to_num(discs[:, :, 2] / discs[:, :1, 2]))
    yx = np.where(np.isfinite(discs[:, :, :2]), discs[:, :, :2], np.inf)
    chance = np.cumsum(share / share.sum(axis=1, keepdims=True), axis=1)
    terms = _terms(1, scan_shape, len(places))
    basis = _basis(places, terms, scan_shape)
    best, best_score = None, -1.0
    for trial in range(PLANES_TRIED):
        # Constants are tried too: what lies beside three points is bent far off by their errors.
        use = 1 if trial % CONSTANT_EVERY == 0 else len(terms)
        drawn = rng.choice(len(places), size=use, replace=False, shuffle=False)
        disc = (rng.random((use, 1)) > chance[drawn]).sum(axis=1).clip(max=share.shape[1] - 1)
        coefficients = np.linalg.lstsq(basis[drawn, :use], yx[drawn, disc], rcond=1e-6)[0]
        away = yx - (basis[:, :use] @ coefficients)[:, None]
        within = np.einsum("pcd,pcd->pc", away, away) <= reach**2
        agreement = np.where(within, share, 0).max(axis=1).sum()
        off_centre = np.sum((coefficients[0] - centre) ** 2)
        score = agreement * np.exp(-off_centre / (2 * centre_sigma**2))
        if score > best_score:
            best, best_score = Surface(coefficients, terms[:use], scan_shape), score
    return best


def nearest_disc(
    discs: np.ndarray, expected: np.ndarray, reach: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return (pattern, 2) the brightest disc within reach of a position, and where there is one.

    Where there is none, the brightest of all.
    """
    distance = np.hypot(*np.moveaxis(discs[:, :, :2] - expected[:, None], -1, 0))
    within = distance <= reach
    # Discs are in order of brightness: the first within reach, or the first.
    first = within.argmax(axis=1)
    return discs[np.arange(len(discs)), first, :2], within.any(axis=1)


def choose_order(places: np.ndarray, positions: np.ndarray, scan_shape: tuple[int, int]) -> int:
    """Return the lowest order that predicts about as well as the best.

    Parameters
    ----------
    places, positions : (pattern, 2) arrays
        Scan places, and the beam there in pixels.
    scan_shape : (int, int)

    Returns
    -------
    int
        By leaving out whole tiles of the scan: positions beside each other in one grain share
        errors, and would predict each other however wild the surface.
    """
    fold = _folds(places, scan_shape)
    errors = []
    for order in range(LARGEST_ORDER + 1):
        terms = _terms(order, scan_shape, len(places))
        squares = 0.0
        for out in np.unique(fold):
            kept = fold != out
            fit = _through(places[kept], positions[kept], terms, scan_shape)
            squares += np.sum((positions[~kept] - fit.at(places[~kept])) ** 2)
        errors.append(squares / max(1, len(places)))
    allowed = min(errors) * (1 + ORDER_GAIN) + ORDER_GAIN_PX**2
    return int(np.argmax(np.array(errors) <= allowed))


def _refit(
    surface: Surface, places: np.ndarray, discs: np.ndarray, reach: float, order: int
) -> tuple[Surface, np.ndarray, np.ndarray]:
    """Choose discs near a surface, drop outliers and fit the surface of an order to the rest."""
    expected = surface.at(places)
    chosen, near = nearest_disc(discs, expected, reach)
    residual = chosen - expected
    used = near & (np.abs(residual) <= _limits(residual[near])).all(axis=1)
    if not used.any():
        return surface, chosen, used
    terms = _terms(order, surface.scan_shape, np.count_nonzero(used))
    return _through(places[used], chosen[used], terms, surface.scan_shape), chosen, used


def _through(
    places: np.ndarray, positions: np.ndarray, terms: np.ndarray, scan_shape: tuple[int, int]
) -> Surface:
    """Fit a surface to positions (place, 2) by least squares."""
    basis = _basis(places, terms, scan_shape)
    return Surface(np.linalg.lstsq(basis, positions, rcond=1e-6)[0], terms, scan_shape)


def _limits(residual: np.ndarray) -> np.ndarray:
    """Return how large residuals may be along y and x."""
    if len(residual) <= FEWEST_RESIDUALS:
        return np.full(2, np.inf)
    sigma = SIGMA_PER_MAD * np.median(np.abs(residual), axis=0)
    # A fit to few positions follows them, which leaves residuals smaller than the errors.
    sigma *= len(residual) / (len(residual) - FEWEST_RESIDUALS)
    return np.maximum(OUTLIER_SIGMA * sigma, OUTLIER_FLOOR_PX)


def _shared_error(residual: np.ndarray, places: np.ndarray, scan_shape: tuple[int, int]) -> float:
    """Return how much larger the variance of tile means is than of independent errors, at least 1.

    Errors that the positions of a grain share do not average out over them.
    """
    tile = _tiles(places, scan_shape) @ (TILES_A_SIDE, 1)
    count = np.bincount(tile)
    if residual.size == 0 or np.count_nonzero(count) < 2:
        return 1.0
    means = np.stack([np.bincount(tile, residual[:, axis]) for axis in (0, 1)])[:, count > 0]
    count = count[count > 0]
    variance = max(float(np.mean(residual**2)), 1e-12)
    return max(1.0, float(np.mean(means**2 / count) / variance))


def _tiles(places: np.ndarray, scan_shape: tuple[int, int]) -> np.ndarray:
    """Return (place, 2) the tile that each scan place lies in."""
    return (places * TILES_A_SIDE // np.array(scan_shape)).astype(int)


def _folds(places: np.ndarray, scan_shape: tuple[int, int]) -> np.ndarray:
    """Return the group of tiles that each place is left out with."""
    if len(places) <= FOLDS * 2:
        return np.arange(len(places))
    # Tiles of one group lie a knight's move apart, so that none is left out beside another.
    return _tiles(places, scan_shape) @ (1, 2) % FOLDS


def _terms(order: int, scan_shape: tuple[int, int], positions: int) -> np.ndarray:
    """Return the terms (term, 2) of an order, a lower one where positions are too few for it."""
    rows, columns = scan_shape
    while True:
        terms = [
            (total - along_x, along_x)
            for total in range(order + 1)
            for along_x in range(total + 1)
            if total - along_x < rows and along_x < columns
        ]
        if order == 0 or POSITIONS_PER_TERM * len(terms) <= positions:
            return np.array(terms)
        order -= 1


def _basis(places: np.ndarray, terms: np.ndarray, scan_shape: tuple[int, int]) -> np.ndarray:
    """Return (place, term) products of Legendre polynomials, the scan from -1 to 1."""
    along_y, along_x = (
        np.polynomial.legendre.legvander(_unit(places[:, axis], scan_shape[axis]), LARGEST_ORDER)
        for axis in (0, 1)
    )
    return along_y[:, terms[:, 0]] * along_x[:, terms[:, 1]]


def _unit(place: np.ndarray, side: int) -> np.ndarray:
    """Return places along a side of the scan from -1 to 1, 0 on a side of one."""
    return 2 * place / (side - 1) - 1 if side > 1 else np.zeros(len(place))


def _evenly(count: int, at_most: int) -> np.ndarray:
    """Return up to ``at_most`` numbers spread evenly over ``range(count)``."""
    return np.unique(np.linspace(0, count - 1, min(count, at_most)).astype(int))
