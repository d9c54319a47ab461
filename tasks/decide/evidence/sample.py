"""A bounded sample of patterns in memory, for evidence that needs them whole."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from orimap.tasks.factorise.exact_pass import sampled
from orimap.tasks.factorise.weighting import Weighting
from orimap.tasks.patterns.source import PatternSource
from orimap.tasks.stream.blocks import Block, broadcast, map_blocks

# A sample of this size takes a second or two for every k, and a grain of a hundredth of the scan
# still has fifteen positions in it.
MOST_POSITIONS = 1500
MOST_PIXELS = 4096


def sample_patterns(
    client: Any, patterns: PatternSource, weighting: Weighting, *, seed: int, side_px: int = 1
) -> np.ndarray:
    """Return weighted patterns of random positions, in one pass.

    Parameters
    ----------
    client : distributed.Client
    patterns : PatternSource
    weighting : Weighting
    seed : int
    side_px : int
        Squares have at least this side.

    Returns
    -------
    (positions, pixels) array
        About `MOST_POSITIONS` positions, or all; fitted pixels, summed over squares of the detector
        so that `MOST_PIXELS` or fewer remain: 50 MB. In the order of the scan, whatever its chunks.
    """
    height, width = patterns.detector_shape
    factor = max(side_px, int(np.ceil(np.sqrt(height * width / MOST_PIXELS))))
    y, x = np.mgrid[:height, :width] // factor
    square = (y * -(-width // factor) + x)[weighting.valid]
    used, square = np.unique(square[weighting.fitted], return_inverse=True)
    summing = sp.csr_array(
        (np.ones(len(square)), (np.flatnonzero(weighting.fitted), square)),
        shape=(len(weighting.pixel), len(used)),
    )
    share = min(1.0, MOST_POSITIONS / patterns.positions)
    shared = broadcast(client, weighting, summing)
    parts = map_blocks(
        client, _sample_block, patterns.blocks(), patterns, *shared, share, seed, name="sample"
    )
    rows, numbers = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows[np.argsort(numbers)]


def _sample_block(
    block: Block,
    patterns: PatternSource,
    weighting: Weighting,
    summing: sp.csr_array,
    share: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Take the chosen positions of a block, and their running numbers, on a worker."""
    taken, places = [np.zeros((0, summing.shape[1]))], [np.zeros(0, int)]
    for piece in patterns.batches(block):
        numbers = patterns.position_numbers(piece)
        chosen = np.flatnonzero(sampled(numbers, share, seed))
        if len(chosen):
            rows = patterns.rows(piece, weighting.valid)[chosen]
            weighted = weighting.apply(rows, weighting.row_factor(rows)) @ summing
            taken.append(weighted.toarray() if sp.issparse(weighted) else np.asarray(weighted))
            places.append(numbers[chosen])
    return np.concatenate(taken), np.concatenate(places)
