"""How many directions the patterns are sketched with."""

# Random directions beyond twice the largest number of components (Halko et al. 2011 advise 5-10;
# each pass multiplies by the patterns twice, which needs fewer).
OVERSAMPLING = 4


def sketch_rank(k_max: int, positions: int, pixels: int) -> int:
    """Return the rank of a sketch that serves up to ``k_max`` components."""
    return min(2 * max(k_max, 20) + OVERSAMPLING, positions, pixels)
