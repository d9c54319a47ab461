"""What a pointer over a map tells: labels, shares and overlap of every position, compactly."""

import base64
import math
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from orimap.tasks.report.page import Swatch
from orimap.tasks.report.results import Results, drawn_labels, scan_grid

# Shares and ratios are told to a hundredth, as one byte: up to 2.54, and 255 where there is none.
HUNDREDTHS, NO_VALUE = 100, 255
# Of scans with more numbers than this, every second, third ... position is told.
MOST_NUMBERS = 6_000_000


def explored(results: Results, cards: Sequence[Swatch]) -> dict[str, Any] | None:
    """Return what the page's script tells of each position; None where there is no map.

    Parameters
    ----------
    results : Results
    cards : sequence of Swatch
        The clusters; the name of one that has it is told.

    Returns
    -------
    dict or None
        ``every``: only one of so many rows and columns is told; ``shape``: of these. ``labels``,
        ``second`` (little-endian int16; -1 no cluster, -2 not measured), ``ratio``, ``shares``
        (cluster after cluster, uint8 in hundredths): zlib, base64; None where not stored.
    """
    labels = drawn_labels(results)
    if labels is None:
        return None
    shares = results.groups["clusters"].get("cluster_share")
    if shares is not None and shares.shape[:2] != labels.shape:
        shares = None
    clusters = 0 if shares is None else shares.shape[2]
    every = max(1, math.ceil(math.sqrt(labels.size * (clusters + 5) / MOST_NUMBERS)))
    part = (slice(None, None, every), slice(None, None, every))
    second, ratio = (results.values("overlap", name) for name in ("second_label", "overlap_ratio"))
    scan = scan_grid(results.attr("acquisition"))
    return {
        "full": list(labels.shape),
        "every": every,
        "shape": list(labels[part].shape),
        "step": [scan.step_y, scan.step_x],
        "unit": "" if scan.units == "px" else scan.units,
        "names": [getattr(card, "name", "") for card in cards],
        "colours": [card.colour for card in cards],
        "labels": packed(labels[part].astype("<i2")),
        "second": None if second is None else packed(second[part].astype("<i2")),
        "ratio": None if ratio is None else packed(hundredths(ratio[part])),
        "shares": None
        if shares is None
        else packed(hundredths(np.moveaxis(shares[part].values, 2, 0))),
    }


def hundredths(values: np.ndarray) -> np.ndarray:
    """Return shares as bytes, in hundredths; those above 2.54 count as that, NaN as 255."""
    known = np.nan_to_num(np.clip(values, 0, (NO_VALUE - 1) / HUNDREDTHS))
    rounded = np.floor(HUNDREDTHS * known.astype(np.float64) + 0.5).astype(np.uint8)
    return np.where(np.isfinite(values), rounded, np.uint8(NO_VALUE))


def packed(values: np.ndarray) -> str:
    """Return an array's bytes, row by row, compressed and as text."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values).tobytes(), 9)).decode()
