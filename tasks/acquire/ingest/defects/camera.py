"""Measure a camera from the patterns themselves: gain, offset, read-out noise, point spread, gamma.

Noise grows with brightness by the gain (photon transfer; Janesick 2007, doi:10.1117/3.725073), and
what changes in the crystal adds a part that grows with the square. Single electrons make the noise
lean to one side, which read-out noise does not, and where electrons are spread over pixels these
share it: either goes down to nothing where there are no electrons, and so tells where zero lies.

Valid where patterns are dim somewhere, down to a few tens of electrons a pixel, and where the dark
image is even or was taken off: a slope of it over the detector looks like brightness. A camera
whose contrast was stretched (gamma) has no one gain; how much it was stretched is measured instead.
The spread reaches over 2 pixels: what a lens throws further is missing from the gain. Electrons
that the sensor takes for more or less than one (straggling) add their scatter to it.
"""

from dataclasses import dataclass

import numpy as np

from orimap.tasks.acquire.ingest.defects.photon_transfer import (
    FEWEST_GROUPS,
    PhotonTransfer,
    photon_transfer,
)

# A curve has to be better than a straight line by so many squared errors.
CURVES = 9.0
# A gain that is known to worse than this part of it is none.
GAIN_ERROR = 0.5
# Groups further off than this many errors are left out, in so many rounds.
FAR_OFF = 4.0
# Where groups of like brightness differ in noise by so many squared errors, something else than
# brightness decides: a dark image or a gain map that was not applied.
WORST_FIT = 3.5
ROUNDS = 8
# No error is taken to be smaller than this part of what is usual.
SMALLEST_ERROR = 0.5
# The noise that pixels share is a spread where it is this part of their own, and this many errors.
LEAST_SPREAD = 0.3
CLEAR = 3.0
# Values were stretched where noise falls with brightness by so many errors; by one of these powers.
FALLS = 4.0
GAMMAS = np.linspace(0.3, 1.0, 71)
# Why there is no camera.
TOO_FEW = "too few patterns or pixels can be compared with their neighbours"
UNEVEN = (
    "pixels of like brightness differ in noise, as where a dark image that is not even, or a gain "
    "map, was not applied (--dark, --gain-map)"
)
DOES_NOT_GROW = (
    "the noise does not grow with the intensity, as where read-out noise hides that of electrons, "
    "or the contrast was stretched by about the square root"
)
# Steps of a digital scale make noise no smoother than to this part.
FLAT = 0.03


@dataclass(frozen=True)
class Camera:
    """What a value stands for; errors are standard errors.

    Parameters
    ----------
    gain, gain_error : float
        Units of intensity per electron, over all pixels that see it.
    offset, offset_error : float
        Value without electrons.
    read_noise, read_noise_error : float
        Standard deviation without electrons, in units of intensity.
    shift, shift_error : float
        What has to be added to values so that their variance is proportional to them, as that of
        electrons is. It follows from the noise alone, without the offset.
    spread, spread_error : float
        Part of the noise of electrons that a pixel shares with those around it: 0 without a point
        spread.
    gamma, gamma_error : float
        Power by which values grow with the number of electrons: 1, and an infinite error, where
        nothing shows that they were stretched. Where they were, all else is NaN.
    """

    gain: float
    gain_error: float
    offset: float
    offset_error: float
    read_noise: float
    read_noise_error: float
    shift: float
    shift_error: float
    spread: float
    spread_error: float
    gamma: float
    gamma_error: float

    @property
    def attributes(self) -> dict[str, float]:
        """What is known of it, named as it is stored."""
        known = {name: float(value) for name, value in vars(self).items() if np.isfinite(value)}
        if self.is_linear:
            del known["gamma"]
        return {f"camera_{name}": value for name, value in known.items()}

    @property
    def is_linear(self) -> bool:
        """Whether values grow as electrons do."""
        return not np.isfinite(self.gamma_error)


@dataclass(frozen=True)
class Measured:
    """A camera, and what it was measured by.

    Parameters
    ----------
    camera : Camera or None
        None where the patterns do not tell.
    curve : PhotonTransfer or None
        None for too few patterns or pixels.
    why_not : str
        Why there is no camera, in words; empty where there is one.
    """

    camera: Camera | None
    curve: PhotonTransfer | None
    why_not: str = ""


def measure_camera(
    before: np.ndarray, patterns: np.ndarray, after: np.ndarray, measured: np.ndarray
) -> Measured:
    """Measure a camera from patterns and their two neighbours in the scan.

    Parameters
    ----------
    before, patterns, after : (pattern, part, part_y, part_x) arrays
        Parts of the detector, as acquired.
    measured : (part, part_y, part_x) array of bool
        False for pixels that are not believed.
    """
    if not patterns.size:
        return Measured(None, None, TOO_FEW)
    # Powers of values that are far from 0 would lose their digits.
    zero = float(np.median(np.nan_to_num(patterns[0], posinf=0, neginf=0)))
    three = (
        np.nan_to_num(one - np.float64(zero), posinf=0, neginf=0).astype(np.float32)
        for one in (before, patterns, after)
    )
    curve = photon_transfer(*three, measured)
    if curve is None:
        return Measured(None, None, TOO_FEW)
    found = fit_camera(curve, zero)
    if isinstance(found, str):
        return Measured(None, _moved(curve, zero), found)
    return Measured(found, _moved(curve, zero))


def fit_camera(curve: PhotonTransfer, zero: float = 0.0) -> Camera | str:
    """Fit a camera to a photon transfer curve whose brightness counts from ``zero``.

    Where none fits, says why.
    """
    gamma, gamma_error = _gamma(curve, zero)
    if np.isfinite(gamma_error):
        return Camera(
            **dict.fromkeys(Camera.__annotations__, np.nan)
            | {"gamma": gamma, "gamma_error": gamma_error}
        )
    own = _Line.fit(curve.mean, curve.variance, curve.variance_error)
    whole = _Line.fit(curve.mean, curve.whole, curve.whole_error)
    if own is None or whole is None:
        return TOO_FEW
    if own.misfit > WORST_FIT:
        return UNEVEN
    shared, shared_error = whole.slope - own.slope, np.hypot(whole.error, own.error)
    spreads = shared > LEAST_SPREAD * own.slope and shared > CLEAR * shared_error
    # With the neighbours it is right either way; alone it is known better, where nothing spreads.
    line = own if shared + shared_error < LEAST_SPREAD * own.slope else whole
    if not line.slope > 0 or line.error > GAIN_ERROR * line.slope:
        return DOES_NOT_GROW
    estimates = [_root(curve.mean, curve.third, curve.third_error)]
    if spreads:
        error = np.hypot(curve.whole_error, curve.variance_error)
        estimates.append(_root(curve.mean, curve.whole - curve.variance - curve.striped, error))
    elif line is own:
        estimates = [_zero_by_gain(curve, own.slope)]
    offset, offset_error = _together([one for one in estimates if one is not None])
    if not np.isfinite(offset_error):
        # No more electrons can be where it is dimmest than the noise there allows.
        offset, offset_error = line.least, line.level / line.slope
    variance = max(own.at(offset), 0.0)
    variance_error = np.hypot(own.level_error, own.slope * offset_error)
    read_noise = float(np.sqrt(variance))
    shift = line.level / line.slope
    return Camera(
        line.slope,
        line.error,
        offset + zero,
        offset_error,
        read_noise,
        float(min(variance_error / max(2 * read_noise, 1e-300), np.sqrt(variance_error))),
        shift - line.least - zero,
        float(np.hypot(line.level_error, shift * line.error) / line.slope),
        min(max(shared / line.slope, 0.0), 1.0) if spreads else 0.0,
        float(min(shared_error / line.slope, 1.0)),
        gamma,
        gamma_error,
    )


@dataclass(frozen=True)
class _Line:
    """Variance that grows with brightness: a level, a slope and a curvature, none below 0.

    Parameters
    ----------
    least : float
        Brightness where it has its level.
    level, level_error : float
    slope, error : float
    curvature : float
    misfit : float
        Mean squared deviation, in errors, at most that of groups far off.
    """

    least: float
    level: float
    level_error: float
    slope: float
    error: float
    curvature: float
    misfit: float

    @classmethod
    def fit(cls, mean: np.ndarray, value: np.ndarray, error: np.ndarray) -> "_Line | None":
        """Fit it, leaving out what is far off; straight unless a curve is clearly better.

        A curve that is allowed for nothing takes its part of the slope.
        """
        curved = cls._fit(mean, value, error, 3)
        straight = cls._fit(mean, value, error, 2)
        if curved is None or straight is None:
            return curved
        gained = (straight.misfit - curved.misfit) * len(mean)
        return curved if gained > CURVES * max(curved.misfit, 1.0) else straight

    @classmethod
    def _fit(
        cls, mean: np.ndarray, value: np.ndarray, error: np.ndarray, powers: int
    ) -> "_Line | None":
        """Fit a polynomial of so many terms."""
        from scipy.optimize import nnls

        x = mean - mean.min()
        known = (error > 0) & np.isfinite(value)
        if np.count_nonzero(known) < FEWEST_GROUPS or not np.ptp(x[known]) > 0:
            return None
        usual = np.median(error[known] / np.maximum(np.abs(value[known]), 1e-300))
        # Errors that follow from the scatter of few squares are themselves uncertain.
        weight = 1 / np.maximum(np.maximum(error, SMALLEST_ERROR * usual * np.abs(value)), 1e-300)
        terms = x[:, None] ** np.arange(powers) * weight[:, None]
        kept = known
        for _ in range(ROUNDS):
            size = np.maximum(np.abs(terms[kept]).max(axis=0), 1e-300)
            found = nnls(terms[kept] / size, (value * weight)[kept])[0] / size
            off = terms @ found - value * weight
            now = known & (np.abs(off) < FAR_OFF)
            if np.array_equal(now, kept) or np.count_nonzero(now) < FEWEST_GROUPS:
                break
            kept = now
        free = found > 0
        free[:2] = True
        spread = np.sqrt(np.diag(np.linalg.pinv(terms[kept][:, free].T @ terms[kept][:, free])))
        return cls(
            float(mean.min()),
            float(found[0]),
            float(spread[0]),
            float(found[1]),
            float(spread[1]),
            float(found[2]) if powers > 2 else 0.0,
            float((np.minimum(np.abs(off[known]), FAR_OFF) ** 2).mean()),
        )

    def at(self, mean: float) -> float:
        """Return the variance at a brightness."""
        x = mean - self.least
        return self.level + self.slope * x + self.curvature * max(x, 0.0) ** 2


def _zero_by_gain(curve: PhotonTransfer, gain: float) -> tuple[float, float] | None:
    """Return the brightness without electrons, and its error, by how much noise leans.

    The third moment of n electrons is n times the third power of the gain.
    """
    if not gain**2 > 0:
        return None
    zero, error = curve.mean - curve.third / gain**2, curve.third_error / gain**2
    known = (error > 0) & np.isfinite(zero)
    kept = known
    found = 0.0
    for _ in range(ROUNDS):
        if np.count_nonzero(kept) < FEWEST_GROUPS:
            return None
        weight = np.where(kept, 1 / np.maximum(error, 1e-300) ** 2, 0.0)
        found = float((zero * weight)[kept].sum() / weight.sum())
        now = known & (np.abs(zero - found) < FAR_OFF * error)
        if np.array_equal(now, kept):
            break
        kept = now
    return found, float(1 / np.sqrt(weight.sum()))


def _root(x: np.ndarray, y: np.ndarray, error: np.ndarray) -> tuple[float, float] | None:
    """Return where a straight line that rises crosses 0, and the standard error of that."""
    known = (error > 0) & np.isfinite(y)
    kept = known
    for _ in range(ROUNDS):
        if np.count_nonzero(kept) < FEWEST_GROUPS:
            return None
        terms = np.stack([np.ones_like(x), x], axis=1)[kept] / error[kept, None]
        normal = terms.T @ terms
        if not np.isfinite(normal).all() or np.linalg.cond(normal) > 1e14:
            return None
        covariance = np.linalg.inv(normal)
        level, slope = covariance @ (terms.T @ (y[kept] / error[kept]))
        off = np.zeros_like(x)
        off[known] = (y - level - slope * x)[known] / error[known]
        now = known & (np.abs(off) < FAR_OFF)
        if np.array_equal(now, kept):
            break
        kept = now
    if not slope > CLEAR * np.sqrt(covariance[1, 1]):
        return None
    root = -level / slope
    variance = covariance[0, 0] + root**2 * covariance[1, 1] + 2 * root * covariance[0, 1]
    return float(root), float(np.sqrt(max(variance, 0.0)) / slope)


def _together(estimates: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the mean of some estimates, weighted by their errors, and its error."""
    if not estimates:
        return 0.0, np.inf
    value, error = np.array(estimates).T
    weight = 1 / np.maximum(error, 1e-300) ** 2
    return float((value * weight).sum() / weight.sum()), float(1 / np.sqrt(weight.sum()))


def _gamma(curve: PhotonTransfer, zero: float) -> tuple[float, float]:
    """Return the power by which values grow with electrons, and its error.

    Nothing but a stretch makes the noise fall where it is brighter: read-out noise is lifted with
    the dim values. Where it does not fall, a stretch cannot be told from crystal that changes:
    1, and an infinite error.
    """
    value = curve.mean + zero
    known = (value > 0) & (curve.variance_error > 0)
    if np.count_nonzero(known) < FEWEST_GROUPS:
        return 1.0, np.inf
    value, variance = value[known], curve.variance[known]
    error = np.maximum(curve.variance_error[known], FLAT * variance)
    line = np.polyfit(value, variance, 1, w=1 / error, cov="unscaled")
    if not line[0][0] < -FALLS * np.sqrt(line[1][0, 0]):
        return 1.0, np.inf
    misfit = np.array([_misfit(value / value.max(), variance, error, gamma) for gamma in GAMMAS])
    # One standard error raises the sum of squares by 1 where the fit is as good as its errors.
    within = GAMMAS[misfit <= misfit.min() + max(misfit.min(), 1.0) / len(value)]
    step = GAMMAS[1] - GAMMAS[0]
    return float(within.mean()), float(max(np.ptp(within) / 2, step))


def _misfit(value: np.ndarray, variance: np.ndarray, error: np.ndarray, gamma: float) -> float:
    """Return how far off, in squared errors, an unstretched noise is from growing in a line."""
    from scipy.optimize import nnls

    electrons, slope = value ** (1 / gamma), value ** (1 / gamma - 1) / gamma
    weight = 1 / (error * slope**2)
    terms = np.stack([np.ones_like(electrons), electrons], axis=1) * weight[:, None]
    off = terms @ nnls(terms, variance * slope**2 * weight)[0] - variance * slope**2 * weight
    return float(np.minimum(off**2, FAR_OFF**2).mean())


def _moved(curve: PhotonTransfer, zero: float) -> PhotonTransfer:
    """Return a curve whose brightness counts from 0."""
    return PhotonTransfer(**{**vars(curve), "mean": curve.mean + zero})
