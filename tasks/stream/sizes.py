"""Sizes of what is held in memory at once: used by the passes and by the forecast of their memory.

Apart from both, so that the memory of a run can be forecast without loading what computes it.
"""

from collections.abc import Sequence

# Dense rows are made in batches of at most this size in double precision.
BATCH_BYTES = 64 * 2**20
# Sparse rows of several blocks are read together, up to about this number of patterns (which share
# one look at a table of pixels) and of non-zero pixels (100 MB).
SPARSE_PATTERNS = 512
SPARSE_ENTRIES = 2**23
# Below this share of non-zero pixels a compressed row is both smaller and faster to multiply.
SPARSE_BELOW = 0.25
# The most pixels that may turn out to be hot and whose values are kept for every position, so that
# those that are hot can be left out of each pattern's total intensity.
CANDIDATES_AT_MOST = 256
# Reflections that a pattern's list holds at most: the limit of Folastre et al. (2024).
MOST_REFLECTIONS = 150
# Random directions beyond twice the largest number of components (Halko et al. 2011 advise 5-10).
# With the 20 components of the default, all of them fill three 64-byte lanes.
OVERSAMPLING = 8
# Fits that lie beside each other in a table of components: eight numbers in single precision fill
# one 32-byte register.
FITS_ABREAST = 8


def sketch_rank(k_max: int, positions: int, pixels: int) -> int:
    """Return the rank of a sketch that serves up to ``k_max`` components."""
    return min(2 * max(k_max, 20) + OVERSAMPLING, positions, pixels)


def stack_depths(ks: Sequence[int]) -> list[int]:
    """Sort the fits by falling number of components; return the largest number in every eight."""
    return sorted(ks, reverse=True)[::FITS_ABREAST]


def stack_columns(ks: Sequence[int]) -> int:
    """Return the number of columns in the table of fits with these numbers of components."""
    return FITS_ABREAST * sum(stack_depths(ks))
