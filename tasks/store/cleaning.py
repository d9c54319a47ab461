"""What counts as 0 wherever patterns are computed with; apart, since it needs nothing compiled."""

import numpy as np


def clean(patterns: np.ndarray) -> np.ndarray:
    """Return patterns with values that are negative or not finite replaced by 0."""
    if patterns.dtype.kind == "u":
        return patterns
    if patterns.dtype.kind == "f":
        patterns = np.nan_to_num(patterns, nan=0.0, posinf=0.0, neginf=0.0)
    return np.maximum(patterns, 0)
