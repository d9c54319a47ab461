"""The paper's own fits and its rule: Kullback-Leibler, every pattern a small image, all in memory.

What its scripts do, to set our answer beside: patterns resized to 128 x 128 and scaled to [0, 1];
one fit from a random start for each k from 3 to 20 by multiplicative updates; the knee of their
K-component loss; and the four metrics between the components of the fit of twelve, whose column
means, diagonal included, each name a number. Ours are the seed (theirs have none), hot and masked
pixels set to 0, and single precision (its loss agrees with that of double precision to 1e-6).

References
----------
Cao et al. (2025), Digital Discovery, doi:10.1039/d5dd00071h
"""

import math
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from orimap.tasks.decide.components.metrics import pair_metrics
from orimap.tasks.decide.evidence.knee import RangeOfInterest, range_of_interest
from orimap.tasks.errors import InputError
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.store import variables
from orimap.tasks.store.variables import METRICS
from orimap.tasks.stream.blocks import Block, Progress, broadcast, map_blocks, silent, submit
from orimap.tasks.stream.memory import COMMAND_BASE_BYTES, WORKER_BASE_BYTES

SIDE_PX = 128
FIRST_K, LAST_K = 3, 20
ITERATIONS = 200
TOLERANCE = 1e-4
# The metrics compare the components of this one fit.
PAIRED_K = 12
# A scan of 64 x 64. Its fits take half an hour of one core, and 1.3 GB a worker.
MOST_POSITIONS = 4096
# The images, and in a fit their model, quotient and mask, with room for one more while they change.
IMAGES_AT_ONCE = 5


@dataclass(frozen=True)
class PublishedFits:
    """The fits and metrics that the paper's rule goes by.

    Parameters
    ----------
    ks : (number of k,) array of int
    loss : (number of k,) array
        Mean absolute error over all entries, of images in [0, 1].
    paired_k : int
        How many components the compared fit has: 12, or the most there are.
    metrics : dict of (paired_k, paired_k) arrays
        "ssim", "gmsd", "mdsi", "psnr" between its components at unit maximum.
    """

    ks: np.ndarray
    loss: np.ndarray
    paired_k: int
    metrics: dict[str, np.ndarray]

    @property
    def interest(self) -> RangeOfInterest:
        """The knee of the loss, and four on either side."""
        return range_of_interest(self.ks, self.loss)

    def votes(self) -> dict[str, int]:
        """Return the number that each metric names: a column of its matrix, counted from 1.

        The column with the smallest mean, diagonal included, for SSIM; the largest for the others.
        A metric that these patterns are too small for has no vote.
        """
        votes = {}
        for name in METRICS:
            column = self.metrics[name].mean(axis=0)
            if not np.isnan(column).any():
                votes[name] = 1 + int(column.argmin() if name == "ssim" else column.argmax())
        return votes


def most_votes(votes: dict[str, int]) -> int:
    """Return the number with most votes; where several have as many, the one named first."""
    tally = Counter(votes.values())
    return max(votes.values(), key=lambda vote: tally[vote])


@dataclass(frozen=True)
class KLFit:
    """One Kullback-Leibler fit.

    Parameters
    ----------
    components : (k, pixels) float32 array
    loss : float
        Mean absolute error over all entries.
    iterations : int
    """

    components: np.ndarray
    loss: float
    iterations: int


def fit_kullback_leibler(images: np.ndarray, k: int, seed: int) -> KLFit:
    """Fit k components from a random start by multiplicative updates.

    Parameters
    ----------
    images : (positions, pixels) float32 array, values in [0, 1]
    k : int
    seed : int
        The start depends on it and on k.

    References
    ----------
    Lee & Seung (2001), NIPS 13, 556; as in scikit-learn.
    """
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    start = int(np.random.SeedSequence([seed, k]).generate_state(1)[0])
    model = NMF(
        k,
        init="random",
        solver="mu",
        beta_loss="kullback-leibler",
        max_iter=ITERATIONS,
        tol=TOLERANCE,
        random_state=start,
    )
    with warnings.catch_warnings():
        # The paper's fits stop after as many iterations, too.
        warnings.simplefilter("ignore", ConvergenceWarning)
        weights = model.fit_transform(images)
    error = sum(
        np.abs(row - weight @ model.components_).sum(dtype=float)
        for row, weight in zip(images, weights, strict=True)
    )
    return KLFit(model.components_, float(error / images.size), int(model.n_iter_))


def published_ks(positions: int, pixels: int) -> list[int]:
    """Return 3 to 20, or as far as a tiny scan allows."""
    most = max(1, min(positions, pixels))
    return list(range(min(FIRST_K, most), min(LAST_K, most) + 1))


def check_size(scan_shape: tuple[int, int]) -> None:
    """Check that all patterns of a scan fit in the memory of a worker.

    Raises
    ------
    InputError
        If there are more than 4096.
    """
    positions = math.prod(scan_shape)
    if positions > MOST_POSITIONS:
        raise InputError(
            f"at most {MOST_POSITIONS} scan positions for --strategy published, whose fits hold "
            "all patterns in memory",
            f"{scan_shape[0]} x {scan_shape[1]} = {positions}, which would take "
            f"{fit_bytes(positions) / 1e9:.1f} GB a worker",
            "choose a part of the scan with --roi, or another strategy",
        )


def predict_published_bytes(scan_shape: tuple[int, int], *, workers: int) -> int:
    """Return a bound on the memory of these fits, over all processes of a run."""
    positions = math.prod(scan_shape)
    images = positions * SIDE_PX**2 * np.dtype(np.float32).itemsize
    # The command gathers the images, and packs them once for the workers.
    return workers * (WORKER_BASE_BYTES + fit_bytes(positions)) + COMMAND_BASE_BYTES + 2 * images


def fit_bytes(positions: int) -> int:
    """Return what one fit holds in memory."""
    return IMAGES_AT_ONCE * positions * SIDE_PX**2 * np.dtype(np.float32).itemsize


def small_images(
    client: Any,
    patterns: PatternSource,
    valid: np.ndarray,
    *,
    side: int,
    progress: Progress = silent,
) -> np.ndarray:
    """Return every pattern resized to a square, all on one scale from 0 to 1.

    Parameters
    ----------
    client : distributed.Client
    patterns : PatternSource
    valid : (detector_y, detector_x) array of bool
        Other pixels are set to 0.
    side : int
        Pixels.

    Returns
    -------
    (positions, side * side) float32 array
    """
    images = np.empty((patterns.positions, side * side), np.float32)
    blocks = patterns.blocks()
    made = map_blocks(
        client, _resize_block, blocks, patterns, valid, side, name="resize", progress=progress
    )
    for block, small in zip(blocks, made, strict=True):
        images[patterns.position_numbers(block)] = small
    largest = images.max()
    if largest > 0:
        images /= largest
    return images


def _resize_block(block: Block, patterns: PatternSource, valid: np.ndarray, side: int) -> Any:
    """Return the patterns of a block (positions, side * side), on a worker."""
    order = patterns.position_numbers(block)
    small = np.empty((len(order), side * side), np.float32)
    for piece in patterns.batches(block):
        rows = np.searchsorted(order, patterns.position_numbers(piece))
        small[rows] = resized(np.where(valid, patterns.images(piece), 0), side).reshape(-1, side**2)
    return small


def resized(images: np.ndarray, side: int) -> np.ndarray:
    """Resize images (positions, y, x) to squares, linearly, blurred first where they shrink."""
    from skimage.transform import resize

    return np.stack(
        [
            resize(image.astype(np.float32), (side, side), order=1, preserve_range=True)
            for image in images
        ]
    )


def published_fits(
    client: Any,
    patterns: PatternSource,
    valid: np.ndarray,
    *,
    seed: int,
    side: int = SIDE_PX,
    progress: Progress = silent,
) -> xr.Dataset:
    """Fit every k of the paper, one Dask task each, and compare the components of one.

    Parameters
    ----------
    client : distributed.Client
    patterns : PatternSource
    valid : (detector_y, detector_x) array of bool
    seed : int
    side : int
        Pixels of the small images.

    Returns
    -------
    xarray.Dataset
        The group /published: the loss of every k (of images in [0, 1]); component patterns of the
        fit that is compared, on the small images; the metrics between them, NaN for other k.
        Attributes paired_k, iterations, seed.

    Raises
    ------
    InputError
        If there are too many patterns to hold in memory.
    """
    from distributed import as_completed

    check_size(patterns.scan_shape)
    images = small_images(client, patterns, valid, side=side)
    ks = published_ks(*images.shape)
    (shared,) = broadcast(client, images)
    # Large k take longest: first in, so that no worker ends alone with one.
    futures = {
        submit(client, "published fit", fit_kullback_leibler, shared, k, seed): k
        for k in reversed(ks)
    }
    fits: dict[int, KLFit] = {}
    try:
        for done, future in enumerate(as_completed(list(futures)), start=1):
            fits[futures[future]] = future.result()
            progress(done, len(ks))
    finally:
        client.cancel([future for future in futures if not future.done()])
    paired_k = min(PAIRED_K, ks[-1])
    components = fits[paired_k].components.reshape(-1, side, side).astype(float)
    tables = {}
    for name, matrix in pair_metrics(components).items():
        tables[name] = np.full((len(ks), paired_k, paired_k), np.nan)
        tables[name][ks.index(paired_k)] = matrix
    sums = components.sum(axis=(1, 2), keepdims=True)
    v = variables
    ds = v.dataset(
        {
            v.k_component_loss: np.array([fits[k].loss for k in ks]),
            v.component_pattern: (components / np.where(sums > 0, sums, 1)).astype(np.float32),
            v.pair_ssim: tables["ssim"],
            v.pair_gmsd: tables["gmsd"],
            v.pair_mdsi: tables["mdsi"],
            v.pair_psnr: tables["psnr"],
        },
        paired_k=paired_k,
        iterations=[fits[k].iterations for k in ks],
        seed=seed,
    ).assign_coords(k=ks)
    ds[v.k_component_loss.name].attrs["units"] = "1"  # of images in [0, 1], not of counts
    return ds


def read_published(ds: xr.Dataset) -> PublishedFits:
    """Read back what the rule looks at from the group /published."""
    v = variables
    paired_k = int(ds.attrs["paired_k"])
    pairs = (v.pair_ssim, v.pair_gmsd, v.pair_mdsi, v.pair_psnr)
    return PublishedFits(
        ds["k"].values,
        v.k_component_loss.read(ds).values,
        paired_k,
        {
            name: pair.read(ds).sel(k=paired_k).values
            for name, pair in zip(METRICS, pairs, strict=True)
        },
    )
