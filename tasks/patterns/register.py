"""Register the reflections of a whole scan: every pattern encoded once, block by block on Dask."""

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from orimap.tasks.patterns.beam.position import falling_radius, radial_profile
from orimap.tasks.patterns.reflections.encode import Encoder, encode_patterns
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.reflection_list import Reflections
from orimap.tasks.patterns.rows import Rows, as_rows
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.patterns.thinning import thin
from orimap.tasks.stream.blocks import Block, Progress, broadcast, map_blocks, silent

# So many patterns, spread over the scan, show the reflections of every larger grain.
SAMPLE_PATTERNS = 64
# Of the brightest reflections that stand alone, at most so many are averaged, at least so many are
# needed.
MOST, FEWEST = 200, 10
# Alone: no other within so many radii of the direct beam, nor the edge.
ALONE_RADII = 3.5
REACH_RADII = 2.5
# Two radii that agree so well are one; that of the direct beam is known better.
AGREE = 0.15

# Pixels whose counts are split at a time. Beside the chunk that it has read, a worker holds the
# counts, two halves and one of these as images: 14 MB where no pixel is empty.
BATCH_PIXELS = 2**19
# Blocks a worker that are submitted at once: one that is encoded, one that waits.
BLOCKS_AHEAD = 2


def register_scan(
    client: Any,
    patterns: PatternSource,
    encoder: Encoder,
    beam: np.ndarray,
    *,
    halves: bool = False,
    seed: int = 0,
    progress: Progress = silent,
) -> list[Reflections]:
    """Register the reflections of every pattern as it was acquired, whatever the filter.

    Parameters
    ----------
    client : Client
    patterns : PatternSource
        Of which /raw is read, once.
    encoder : Encoder
    beam : (scan_y, scan_x, 2) array, pixels
        Where the direct beam was measured (y, x).
    halves : bool
        Whether the counts of every pattern are also split in two independent halves (binomial
        thinning), each encoded by itself.
    seed : int
        The split is keyed by it and by the scan position: the same whatever the blocks are.
    progress : Progress

    Returns
    -------
    list of Reflections
        Of all counts; with ``halves`` also of the training half and of the held-out half. Each in
        scan order, whatever the shape of the blocks.
    """
    blocks = patterns.blocks()
    shared = broadcast(client, encoder, np.asarray(beam))
    parts = list(
        map_blocks(
            client, register_block, blocks, patterns, *shared, seed if halves else None,
            name="register", progress=progress, ahead=BLOCKS_AHEAD,
        )
    )  # fmt: skip
    in_blocks = np.concatenate([patterns.position_numbers(block) for block in blocks])
    order = np.argsort(in_blocks)
    return [Reflections.join(lists).take(order) for lists in zip(*parts, strict=True)]


def register_block(
    block: Block, patterns: PatternSource, encoder: Encoder, beam: np.ndarray, seed: int | None
) -> list[Reflections]:
    """Register one block on a worker: all counts, and two halves of them unless ``seed`` is None.

    The block is read at once, since it is one chunk. The encoder takes one pattern after the other.
    """
    stored = patterns.stored(block, "raw").reshape(-1, *patterns.detector_shape)
    places = beam[block.slices].reshape(-1, 2)
    lists = [encode_patterns(stored, encoder, places)]
    if seed is None:
        return lists
    numbers = patterns.position_numbers(block)
    size = max(1, BATCH_PIXELS // encoder.valid.size)
    halves: list[list[Reflections]] = []
    for start in range(0, len(stored), size):
        batch = slice(start, start + size)
        counts = as_rows(stored[batch], encoder.valid)
        training = thin(counts, numbers[batch], seed)
        images = (as_images(half, encoder.valid) for half in (training, counts - training))
        halves.append([encode_patterns(half, encoder, places[batch]) for half in images])
    return lists + [Reflections.join(parts) for parts in zip(*halves, strict=True)]


def as_images(rows: Rows, valid: np.ndarray) -> np.ndarray:
    """Return rows of valid pixels as patterns (n, detector_y, detector_x), 0 where not valid."""
    images = np.zeros((rows.shape[0], *valid.shape), np.float32)
    images[:, valid] = rows if isinstance(rows, np.ndarray) else rows.toarray()
    return images


def sample_positions(scan_shape: tuple[int, int]) -> np.ndarray:
    """Return the running numbers of positions spread evenly over the scan."""
    side = int(SAMPLE_PATTERNS**0.5)
    rows, columns = (np.unique(np.linspace(0, n - 1, side).round().astype(int)) for n in scan_shape)
    return (rows[:, None] * scan_shape[1] + columns).ravel()


def reflection_radius(
    patterns: np.ndarray, beam: np.ndarray, valid: np.ndarray, direct_radius: float, *, counts: bool
) -> float:
    """Return the half-maximum radius of the discs of reflections.

    Parameters
    ----------
    patterns : (patterns, detector_y, detector_x) array
        A sample of the scan.
    beam : (patterns, 2) array, pixels
        Where the direct beam is.
    valid : (detector_y, detector_x) array of bool
    direct_radius : float, pixels
        Half-maximum radius of the direct beam; returned where the reflections agree with it, or
        too few stand alone.
    counts : bool
        Whether the values are counts of electrons.
    """
    found = encode_patterns(patterns, Encoder(Lengths.of_disc(direct_radius), valid, counts), beam)
    chosen = _standing_alone(found, valid.shape, direct_radius)
    if len(chosen) < FEWEST:
        return direct_radius
    profile = radial_profile(
        np.where(valid, patterns, 0)[found.pattern_numbers[chosen]],
        np.stack([found.y[chosen], found.x[chosen]], axis=1),
        REACH_RADII * direct_radius,
    )
    radius = falling_radius(profile, direct_radius)
    return radius if abs(radius - direct_radius) > AGREE * direct_radius else direct_radius


def _standing_alone(found: Reflections, shape: tuple[int, int], radius: float) -> np.ndarray:
    """Return the brightest entries that have no neighbour and lie off the edge."""
    if not len(found.y):
        return np.zeros(0, int)
    # Patterns lie so far apart in the third direction that none is another's neighbour.
    apart = found.pattern_numbers * 10.0 * max(shape)
    places = np.stack([found.y, found.x, apart], axis=1)
    nearest = cKDTree(places).query(places, k=2)[0][:, 1]
    edge = np.minimum.reduce([found.y, found.x, shape[0] - 1 - found.y, shape[1] - 1 - found.x])
    alone = (nearest > ALONE_RADII * radius) & (edge > REACH_RADII * radius) & ~found.is_direct
    entries = np.flatnonzero(alone)
    return entries[np.argsort(-found.intensity[entries], kind="stable")][:MOST]
