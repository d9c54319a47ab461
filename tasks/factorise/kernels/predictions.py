"""What the fits of every k predict at every pixel, and how far that is from the counts.

All fits are looked at together, since a look at a pixel's row of the table costs more than the
arithmetic. Eight of them lie side by side, one a SIMD lane: a step through their components then
adds to eight predictions at once, and no sum across lanes is needed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
import scipy.sparse as sp

from orimap.tasks.factorise.kernels.lanes import add_product, load, no_electrons, store
from orimap.tasks.factorise.kernels.products import PIXELS_ABREAST, batches, tile_pixels
from orimap.tasks.patterns.rows import Rows, SparseRows
from orimap.tasks.stream.sizes import FITS_ABREAST, stack_columns, stack_depths

# A model that predicts fewer electrons than this counts as predicting this many: a logarithm of
# zero would let a single stray electron decide.
FEWEST_ELECTRONS = 1e-4
# Predictions of so many single electrons are multiplied before a logarithm is taken of their
# product: at 1e-4 to 1e9 electrons each that stays within double precision.
FACTORS_AT_ONCE = 32
# The sum of so many errors loses nothing in single precision.
SUMMED_AT_ONCE = 64
# Predictions for dense rows, of one fit at so many pixels, stay in second-level cache.
DENSE_PIXELS = 2048
DENSE_PATTERNS = 64


@dataclass(frozen=True)
class Stack:
    """The components of every fit in one table, one row a pixel.

    Parameters
    ----------
    ks : tuple of int
        Number of components of every fit.
    table : (valid pixels, columns) float32 array
        Component images in the unit of the counts; columns that belong to no component are 0.
    """

    ks: tuple[int, ...]
    table: np.ndarray

    @classmethod
    def empty(cls, ks: Sequence[int], pixels: int) -> "Stack":
        """Make room for fits of so many components each."""
        return cls(tuple(ks), np.zeros((pixels, stack_columns(ks)), np.float32))

    @classmethod
    def of(cls, images: Sequence[np.ndarray]) -> "Stack":
        """Stack the component images (k, valid pixels) of several fits."""
        stack = cls.empty([len(part) for part in images], images[0].shape[1])
        for number, part in enumerate(images):
            stack.put(number, part)
        return stack

    def put(self, number: int, images: np.ndarray) -> None:
        """Fill in the component images (k, valid pixels) of one fit."""
        self.table[:, self.columns(number)] = images.T

    @property
    def depths(self) -> np.ndarray:
        """How many components each group of eight fits steps through."""
        return np.array(stack_depths(self.ks), np.uintp)

    @property
    def places(self) -> np.ndarray:
        """Which lane of all each fit has: those with the most components come first."""
        places = np.empty(len(self.ks), int)
        places[_by_size(self.ks)] = np.arange(len(self.ks))
        return places

    def columns(self, number: int) -> slice:
        """Return which columns of the table hold the components of one fit."""
        group, lane = divmod(int(self.places[number]), FITS_ABREAST)
        first = FITS_ABREAST * sum(stack_depths(self.ks)[:group]) + lane
        return slice(first, first + FITS_ABREAST * self.ks[number], FITS_ABREAST)

    def sums(self, pixels: np.ndarray | None = None) -> np.ndarray:
        """Return the sum (columns,) of each column, over all pixels or those that are True."""
        weight = np.ones(len(self.table)) if pixels is None else pixels.astype(float)
        total = np.zeros(self.table.shape[1])
        # In parts: a table in double precision would be twice its size.
        for at in range(0, len(weight), 2**14):
            part = slice(at, at + 2**14)
            total += weight[part] @ self.table[part].astype(float)
        return total


class Mixtures(NamedTuple):
    """What the fits say about some patterns; a tuple, which compiled loops can take.

    Parameters
    ----------
    weights : (patterns, columns) float32 array
        Of the components, in the unit of the counts.
    table, depths : arrays
        Of the `Stack`.
    """

    weights: np.ndarray
    table: np.ndarray
    depths: np.ndarray


def _by_size(ks: Sequence[int]) -> np.ndarray:
    """Return the numbers of the fits, those with the most components first."""
    return np.argsort(-np.asarray(ks), kind="stable")


def absolute_errors(rows: Rows, weights: np.ndarray, stack: Stack, sums: np.ndarray) -> np.ndarray:
    """Return the sum of ``|count - prediction|`` over all pixels, (fits, positions) in double.

    Parameters
    ----------
    rows : (positions, valid pixels) rows
    weights : (positions, columns) float32 array
        Of the components, in the unit of the counts.
    stack : Stack
    sums : (columns,) array
        ``stack.sums()``.

    Notes
    -----
    Where a count is 0 the error is the prediction itself, and its sum over all pixels is a product
    of sums: sparse rows cost as much as they have entries (METHODS, section 1).
    """
    if not sp.issparse(rows):
        return _dense_errors(rows, weights, stack)
    return _over_entries(errors_at_entries, rows, weights, stack, sums)


def poisson_deviances(
    rows: Rows, weights: np.ndarray, stack: Stack, fitted: np.ndarray, sums: np.ndarray
) -> np.ndarray:
    """Return half the Poisson deviance over the fitted pixels, up to a constant of the counts.

    The sum of prediction - count * log(prediction), (fits, positions) in double; arguments as in
    ``absolute_errors``, ``fitted`` (valid pixels,) of bool and ``sums`` over those pixels.
    """
    entries = sp.csr_matrix(rows)
    return _over_entries(logarithms_at_entries, entries, weights, stack, sums, fitted)


def _over_entries(
    kernel: Callable[..., None],
    rows: sp.csr_matrix,
    weights: np.ndarray,
    stack: Stack,
    sums: np.ndarray,
    *more: np.ndarray,
) -> np.ndarray:
    """Add to the sums of all predictions (fits, positions) what a kernel finds at the entries."""
    result = predict_sums(weights, sums, stack.depths)
    for part, batch in batches(rows):
        mixtures = Mixtures(weights[part], stack.table, stack.depths)
        kernel(batch, mixtures, tile_pixels(stack.table), result[part], *more)
    return result[:, stack.places].T


def _dense_errors(rows: np.ndarray, weights: np.ndarray, stack: Stack) -> np.ndarray:
    """As ``absolute_errors`` for dense rows: products of parts that stay in cache."""
    result = np.zeros((len(stack.ks), len(rows)))
    for start in range(0, rows.shape[1], DENSE_PIXELS):
        pixels = slice(start, start + DENSE_PIXELS)
        for number in range(len(stack.ks)):
            columns = stack.columns(number)
            images = np.ascontiguousarray(stack.table[pixels, columns].T)
            for at in range(0, len(rows), DENSE_PATTERNS):
                part = slice(at, at + DENSE_PATTERNS)
                model = weights[part, columns] @ images
                result[number, part] += distances(rows[part, pixels], model)
    return result


@numba.njit(cache=True, fastmath=True, nogil=True)
def distances(counts: np.ndarray, model: np.ndarray) -> np.ndarray:
    """Return the sum of ``|counts - model|`` along each row."""
    found = np.zeros(len(counts))
    for row in range(np.uintp(counts.shape[0])):
        total = 0.0
        for pixel in range(np.uintp(counts.shape[1])):
            total += abs(counts[row, pixel] - model[row, pixel])
        found[row] = total
    return found


@numba.njit(cache=True, fastmath=True, nogil=True)
def predict_sums(weights: np.ndarray, sums: np.ndarray, depths: np.ndarray) -> np.ndarray:
    """Return what every fit predicts in all for every position, (positions, lanes) in double."""
    result = np.zeros((len(weights), FITS_ABREAST * len(depths)))
    for row in range(np.uintp(len(weights))):
        at = np.uintp(0)
        for group in range(np.uintp(len(depths))):
            for _ in range(depths[group]):
                for lane in range(np.uintp(FITS_ABREAST)):
                    place = group * np.uintp(FITS_ABREAST) + lane
                    result[row, place] += np.float64(weights[row, at]) * sums[at]
                    at += np.uintp(1)
    return result


@numba.njit(cache=True, fastmath=True, nogil=True, inline="always")
def predict(row: np.uintp, pixels: np.ndarray, mixtures: Mixtures, models: np.ndarray) -> None:
    """Write what every fit predicts at four pixels of one position into ``models`` (4, lanes).

    Four, since a processor begins several sums before it has finished one.
    """
    weights, table, depths = mixtures
    columns, lanes = np.uintp(table.shape[1]), np.uintp(models.shape[1])
    at, place = row * columns, np.uintp(0)
    p0, p1 = pixels[0] * columns, pixels[1] * columns
    p2, p3 = pixels[2] * columns, pixels[3] * columns
    for group in range(np.uintp(len(depths))):
        m0 = m1 = m2 = m3 = no_electrons()
        for _ in range(depths[group]):
            weight = load(weights, at)
            m0 = add_product(m0, weight, load(table, p0))
            m1 = add_product(m1, weight, load(table, p1))
            m2 = add_product(m2, weight, load(table, p2))
            m3 = add_product(m3, weight, load(table, p3))
            at += np.uintp(FITS_ABREAST)
            p0 += np.uintp(FITS_ABREAST)
            p1 += np.uintp(FITS_ABREAST)
            p2 += np.uintp(FITS_ABREAST)
            p3 += np.uintp(FITS_ABREAST)
        store(models, place, m0)
        store(models, place + lanes, m1)
        store(models, place + np.uintp(2) * lanes, m2)
        store(models, place + np.uintp(3) * lanes, m3)
        place += np.uintp(FITS_ABREAST)


@numba.njit(cache=True, fastmath=True, nogil=True)
def errors_at_entries(rows: SparseRows, mixtures: Mixtures, tile: int, result: np.ndarray) -> None:
    """Add ``|count - prediction| - prediction`` over the entries of each row to ``result``."""
    indptr, indices, data = rows
    lanes = np.uintp(result.shape[1])
    at = indptr[:-1].copy()
    pixels, counts = np.zeros(PIXELS_ABREAST, np.uintp), np.zeros(PIXELS_ABREAST, data.dtype)
    models = np.empty((PIXELS_ABREAST, lanes), np.float32)
    # Kept from tile to tile: how large those are depends on which fits are in the table, and what
    # is found of one must not.
    sums, summed = np.zeros((len(at), lanes), np.float32), np.zeros(len(at), np.intp)
    for end in range(tile, mixtures.table.shape[0] + tile, tile):
        for number in range(len(at)):
            row = np.uintp(number)
            entry, last = np.uintp(at[row]), np.uintp(indptr[number + 1])
            while entry < last and indices[entry] < end:
                taken = np.uintp(0)
                while taken < np.uintp(PIXELS_ABREAST) and entry < last and indices[entry] < end:
                    pixels[taken], counts[taken] = indices[entry], data[entry]
                    taken += np.uintp(1)
                    entry += np.uintp(1)
                predict(row, pixels, mixtures, models)
                for place in range(taken):
                    for lane in range(lanes):
                        model = models[place, lane]
                        sums[row, lane] += abs(counts[place] - model) - model
                    summed[row] += 1
                    if summed[row] == SUMMED_AT_ONCE:
                        add_sums(sums[row], result[row])
                        summed[row] = 0
            at[row] = entry
    for number in range(len(at)):
        add_sums(sums[number], result[number])


@numba.njit(cache=True, fastmath=True, nogil=True)
def add_sums(sums: np.ndarray, result: np.ndarray) -> None:
    """Add sums to a result; they begin anew."""
    for lane in range(len(sums)):
        result[lane] += sums[lane]
        sums[lane] = 0


@numba.njit(cache=True, fastmath=True, nogil=True)
def logarithms_at_entries(
    rows: SparseRows, mixtures: Mixtures, tile: int, result: np.ndarray, fitted: np.ndarray
) -> None:
    """Subtract count * log(prediction) over the fitted entries of each row from ``result``."""
    indptr, indices, data = rows
    lanes = np.uintp(result.shape[1])
    at = indptr[:-1].copy()
    pixels, counts = np.zeros(PIXELS_ABREAST, np.uintp), np.zeros(PIXELS_ABREAST, data.dtype)
    models = np.empty((PIXELS_ABREAST, lanes), np.float32)
    # As in ``errors_at_entries``.
    products, factors = np.ones((len(at), lanes)), np.zeros(len(at), np.intp)
    for end in range(tile, mixtures.table.shape[0] + tile, tile):
        for number in range(len(at)):
            row = np.uintp(number)
            entry, last = np.uintp(at[row]), np.uintp(indptr[number + 1])
            product = products[row]
            while entry < last and indices[entry] < end:
                taken = np.uintp(0)
                while taken < np.uintp(PIXELS_ABREAST) and entry < last and indices[entry] < end:
                    pixels[taken], counts[taken] = indices[entry], data[entry]
                    if counts[taken] > 0 and fitted[pixels[taken]]:
                        taken += np.uintp(1)
                    entry += np.uintp(1)
                if taken == 0:
                    continue
                predict(row, pixels, mixtures, models)
                for place in range(taken):
                    if counts[place] == 1:
                        for lane in range(lanes):
                            model = max(np.float64(models[place, lane]), FEWEST_ELECTRONS)
                            product[lane] *= model
                        factors[row] += 1
                    else:
                        for lane in range(lanes):
                            model = max(np.float64(models[place, lane]), FEWEST_ELECTRONS)
                            result[row, lane] -= counts[place] * np.log(model)
                    if factors[row] == FACTORS_AT_ONCE:
                        take_logarithms(product, result[row])
                        factors[row] = 0
            at[row] = entry
    for number in range(len(at)):
        if factors[number]:
            take_logarithms(products[number], result[number])


@numba.njit(cache=True, fastmath=True, nogil=True)
def take_logarithms(product: np.ndarray, result: np.ndarray) -> None:
    """Subtract the logarithms of products from a result; the products begin anew."""
    for lane in range(len(product)):
        result[lane] -= np.log(product[lane])
        product[lane] = 1
