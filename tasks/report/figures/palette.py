"""Colours of clusters: distinct for twenty and more, also for colour-blind readers.

``COLOURS`` is a sequence whose first n members are far apart for every n: what matters is the
smallest CIEDE2000 difference between any two, as seen with normal vision and as seen with
protanopia and deuteranopia. ``choose_colours`` is how the sequence was made.
"""

from collections.abc import Sequence

import numpy as np

# Red, green and blue (linear light) as seen without the long- (protanopia) or the
# medium-wavelength (deuteranopia) cones. Machado, Oliveira & Fernandes (2009), IEEE TVCG 15,
# 1291-1298, doi:10.1109/TVCG.2009.113, severity 1.0.
VISION = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}

NO_CLUSTER = "#ececec"
"""Where a position belongs to no cluster."""

NOT_MEASURED = "#000000"
"""Where a position has no pattern at all. Like the other it is kept clear of by all colours."""

FIRST = ("#2f6fd0", "#f28e1c")
"""Blue and orange: the pair of hues that all three kinds of vision tell apart."""

# Colours have three dimensions with normal vision and two without one kind of cone, so the many
# readers with normal vision can be given more: their differences count divided by this.
NORMAL_ALLOWANCE = 1.6

# choose_colours((8, 12, 20, 24, 32)). Smallest difference with normal vision, protanopia and
# deuteranopia: 27, 18, 17 for 8 colours; 17, 11, 10 for 12; 15, 9, 9 for 20; 11, 6, 6 for 32.
COLOURS: tuple[str, ...] = (
    *("#2f6fd0", "#f28e1c", "#e12d5a", "#009696", "#3c5a0f", "#f096ff", "#00e196", "#692d69"),
    *("#ffe100", "#000fe1", "#00875a", "#a57800"),
    *("#2d96c3", "#87003c", "#a54b78", "#f0a5c3", "#a5a569", "#87f0ff", "#a54b3c", "#4b4b96"),
    *("#69b496", "#8778ff", "#f04ba5", "#c3f087"),
    *("#b4f0c3", "#c37878", "#8700ff", "#d2c35a", "#00d2c3", "#00b4d2", "#875aa5", "#ff3c3c"),
)


def rgb(colours: Sequence[str]) -> np.ndarray:
    """Return (n, 3) values in 0..1 of colours written as ``#rrggbb``."""
    codes = [bytes.fromhex(colour.removeprefix("#")) for colour in colours]
    return np.array([list(code) for code in codes], dtype=float).reshape(-1, 3) / 255


def hexadecimal(values: np.ndarray) -> tuple[str, ...]:
    """Write (n, 3) values in 0..1 as ``#rrggbb``."""
    return tuple("#" + bytes(row).hex() for row in np.round(values * 255).astype(np.uint8))


def linear_light(values: np.ndarray) -> np.ndarray:
    """Return sRGB values (0..1) as amounts of light (IEC 61966-2-1)."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def seen_with(values: np.ndarray, vision: str) -> np.ndarray:
    """Return sRGB values (..., 3) in 0..1 as a reader with this vision sees them.

    Parameters
    ----------
    values : (..., 3) array in 0..1
    vision : {"normal", "protanopia", "deuteranopia"}
    """
    light = np.clip(linear_light(values) @ VISION[vision].T, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def smallest_difference(colours: Sequence[str], vision: str = "normal") -> float:
    """Return the smallest CIEDE2000 difference between any two colours, as seen with ``vision``.

    About 1 is just noticeable side by side; 10 is plain at a glance.
    """
    from skimage.color import deltaE_ciede2000, rgb2lab

    lab = rgb2lab(seen_with(rgb(colours), vision))
    upper = np.triu_indices(len(lab), 1)
    return float(deltaE_ciede2000(lab[upper[0]], lab[upper[1]]).min())


def text_colour(colour: str) -> str:
    """Return black or white, whichever stands out more on ``colour`` (WCAG 2 contrast)."""
    luminance = float(linear_light(rgb([colour]))[0] @ [0.2126, 0.7152, 0.0722])
    return "#000000" if (luminance + 0.05) ** 2 > 0.05 * 1.05 else "#ffffff"


def cluster_colours(count: int, chosen: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the colours of clusters 0 to ``count - 1``; never changes for a given cluster.

    Parameters
    ----------
    count : int
    chosen : sequence of str
        What somebody chose for each (the attribute ``cluster_colours`` of a revision), empty where
        nobody did.
    """
    usual = COLOURS[:count] if count <= len(COLOURS) else choose_colours((count,), start=COLOURS)
    own = [*chosen, *[""] * (count - len(chosen))]
    return tuple(one or other for one, other in zip(own, usual, strict=False))


def choose_colours(stages: Sequence[int], *, start: Sequence[str] = FIRST) -> tuple[str, ...]:
    """Choose colours that stay far apart, first for the smallest number of them.

    Each stage adds the candidate farthest from all colours before it (over the three kinds of
    vision the smallest difference counts), then exchanges the colours of that stage one by one
    as long as the smallest difference grows. Candidates are a grid in sRGB, without the very
    dark, the very pale and the nearly grey; white, black and ``NO_CLUSTER`` are kept clear of.

    Parameters
    ----------
    stages : sequence of int
        Numbers of colours for which the sequence is to be good, increasing.
    start : sequence of str
        Colours the sequence begins with.

    References
    ----------
    Glasbey et al. (2007), Color Research & Application 32, 304-309, doi:10.1002/col.20327
    (adding the farthest colour); the exchange is ours.
    """
    from skimage.color import deltaE_ciede2000, rgb2lab

    levels = np.linspace(0, 255, 18).round() / 255
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    lab = rgb2lab(grid)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    grid = grid[(lab[:, 0] > 28) & (lab[:, 0] < 90) & (chroma > 30)]
    views = {vision: rgb2lab(seen_with(grid, vision)) for vision in VISION}

    def from_all(colour: np.ndarray) -> np.ndarray:
        """Difference of every candidate from one colour, the smallest over the visions."""
        differences = [
            deltaE_ciede2000(view, rgb2lab(seen_with(colour[None], vision)))
            / (NORMAL_ALLOWANCE if vision == "normal" else 1)
            for vision, view in views.items()
        ]
        return np.min(differences, 0)

    kept_clear = np.min([from_all(c) for c in rgb(["#ffffff", "#000000", NO_CLUSTER])], 0)
    chosen = list(rgb(start))
    apart = [from_all(colour) for colour in chosen]
    for stage in stages:
        first = len(chosen)
        while len(chosen) < stage:
            best = int(np.argmax(np.min([kept_clear, *apart], 0)))
            chosen.append(grid[best])
            apart.append(from_all(grid[best]))
        for _ in range(20):
            moved = False
            for i in range(first, stage):
                others = np.min([kept_clear, *apart[:i], *apart[i + 1 :]], 0)
                here = int(np.argmin(np.abs(grid - chosen[i]).sum(1)))
                best = int(np.argmax(others))
                if others[best] > others[here] + 1e-9:
                    chosen[i], apart[i], moved = grid[best], from_all(grid[best]), True
            if not moved:
                break
    return hexadecimal(np.array(chosen))
