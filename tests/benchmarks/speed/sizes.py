"""The scans of the benchmark. All have the same kind of grains and are the same in every run."""

from dataclasses import dataclass

from orimap.tasks.simulate.recipe import ScanRecipe


@dataclass(frozen=True)
class Size:
    """One scan and what is asked about it.

    Parameters
    ----------
    name : str
    recipe : ScanRecipe
    ks : tuple of int
        The numbers of components of the sweep.
    peers : str
        "full": the peers fit every k; "sampled": some iterations at some k, the rest follows from
        them; "scaled": nothing, all follows from the next smaller size.
    """

    name: str
    recipe: ScanRecipe
    ks: tuple[int, ...]
    peers: str

    @property
    def entries(self) -> int:
        """Scan positions times detector pixels."""
        (rows, columns), (height, width) = self.recipe.scan, self.recipe.detector
        return rows * columns * height * width


SWEEP = tuple(range(2, 21))
# As many electrons a pixel as in the small scan: then rows are sparse, as they are there.
TINY = ScanRecipe((16, 16), (48, 48), grains=4, dose=700)
SIZES = {
    size.name: size
    for size in (
        Size("tiny", TINY, tuple(range(2, 7)), "full"),
        Size("small", ScanRecipe((64, 64), (128, 128), grains=10), SWEEP, "full"),
        Size("medium", ScanRecipe((128, 128), (256, 256), grains=10), SWEEP, "sampled"),
        # The class of the paper's scans: 100,000 patterns.
        Size("large", ScanRecipe((250, 400), (512, 512), grains=10), SWEEP, "scaled"),
    )
}
# Compiles kernels and loads libraries before anything is timed; not a scan that is measured.
WARM_UP = Size(
    "warm-up", ScanRecipe((16, 16), (64, 64), grains=4, dose=1200, seed=1), (2, 3), "full"
)


def smaller(name: str) -> Size | None:
    """Return the next smaller size, None for the smallest two."""
    names = list(SIZES)
    place = names.index(name)
    return SIZES[names[place - 1]] if place > 1 else None
