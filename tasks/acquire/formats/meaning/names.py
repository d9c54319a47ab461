"""Read from an axis' name whether it belongs to the scan or the detector, and its direction."""

import re
from typing import NamedTuple

SCAN, DETECTOR, SERIES = "scan", "detector", "series"

# What programs call axes, without direction or number. Detector axes need one of these ("kx",
# "detector 0"), since "pattern" alone counts patterns, and so does a single letter.
STEMS = {
    SCAN: (
        *("scan", "probe", "nav", "navigation", "real", "position", "pos", "sample", "specimen"),
        *("stage", "raster", "r"),
    ),
    DETECTOR: (
        *("detector", "det", "diffraction", "dp", "pattern", "reciprocal", "camera", "sensor"),
        *("theta", "2theta", "2th", "angle", "sig", "k", "q", "g", "d"),
    ),
}
# Neither: patterns repeat along them, or they hold what was computed from patterns.
OTHERS = (
    "depth", "thickness", "ring", "rings", "outer", "inner", "energy", "loss", "wavelength",
)  # fmt: skip
# Neither, where there are five axes; in a stack or a line they count scan positions.
OTHERS_OF_FIVE = ("time", "t", "frame", "frames", "tilt", "series", "cycle", "repeat", "repeats")
DIRECTIONS = {
    **dict.fromkeys(("y", "row", "rows", "vertical", "height", "slow"), "y"),
    **dict.fromkeys(("x", "col", "cols", "column", "columns", "horizontal", "width", "fast"), "x"),
}
DIRECTIONS |= {"zeile": "y", "spalte": "x", "ligne": "y", "colonne": "x", "ud": "y", "lr": "x"}
# Where no other word tells the direction: what makes up a row. Patterns have pixels too.
WEAK_DIRECTIONS = {
    **dict.fromkeys(("line", "lines"), "y"),
    **dict.fromkeys(("point", "points", "pixel", "pixels", "step", "steps", "spot", "spots"), "x"),
}
# Without a stem these are mostly of the scan; patterns have them too.
MOSTLY_SCAN = ("y", "x", "row", "rows", "col", "cols", "column", "columns", "slow", "fast")
# What programs write where nobody has named an axis.
NO_NAME = re.compile(
    r"(phony_)?(dim|dimension|axis|ax|index|unnamed|unknown|undefined)?[ _-]*\d*", re.I
)
# How somebody names the axes of a scan in the usual order.
EXAMPLE = "scan_y,scan_x,detector_y,detector_x"


class Mark(NamedTuple):
    """What one source says of an axis; ``sure`` where it would not be said of any other kind."""

    kind: str
    sure: bool = True


class Name(NamedTuple):
    """What an axis' name says: its mark, and "y", "x" or nothing."""

    mark: Mark | None
    direction: str


def read_name(name: str, axes: int = 4) -> Name:
    """Read the name of an axis: ``kx``, ``scan_y``, ``Detector row``, ``R_x [nm]``.

    Parameters
    ----------
    name : str
    axes : int
        How many the data set has.
    """
    words = _words(name)
    direction = next((DIRECTIONS[word] for word in words if word in DIRECTIONS), "")
    weak = next((WEAK_DIRECTIONS[word] for word in words if word in WEAK_DIRECTIONS), "")
    others = OTHERS + (OTHERS_OF_FIVE if axes > 4 else ())
    if any(word in others for word in words):
        return Name(Mark(SERIES), direction or weak)
    one_of_two = bool(direction) or any(word.isdigit() for word in words)
    for kind, stems in STEMS.items():
        told = [word for word in words if word in stems]
        word = bool(told) and len(told[0]) > 1
        if told and (one_of_two or (word and (kind == SCAN or weak))):
            return Name(Mark(kind), direction or weak)
    mostly = len(words) == 1 and words[0] in MOSTLY_SCAN
    return Name(Mark(SCAN, sure=False) if mostly else None, direction or weak)


def tells_nothing(name: str) -> bool:
    """Return whether an axis has no name, or one that numbers it: ``dim_0``."""
    return NO_NAME.fullmatch(name.strip().strip("<>")) is not None


def parse_axes(text: str) -> tuple[str, ...]:
    """Return the axes that somebody named in the order in which they are stored.

    Parameters
    ----------
    text : str
        ``detector_y,detector_x,scan_y,scan_x``, or shorter names as files have them: ``ky``, ``x``.
        ``scan`` alone is the one axis of a stack, ``series`` what is repeated.

    Returns
    -------
    tuple of str
        The same in these long names.

    Raises
    ------
    ValueError
        If they are not one or two scan axes and two detector axes.
    """
    found = []
    for name in text.split(","):
        known = read_name(name, axes=5)
        kind = known.mark.kind if known.mark else ""
        found.append("_".join(filter(None, (kind, known.direction))))
    needed = {
        ("scan", "detector_y", "detector_x"),
        ("scan_y", "scan_x", "detector_y", "detector_x"),
        ("series", "scan_y", "scan_x", "detector_y", "detector_x"),
    }
    if sorted(found) not in [sorted(axes) for axes in needed]:
        raise ValueError(f"must name every axis once, for instance {EXAMPLE}")
    return tuple(found)


def counts_rows_by_x(names: list[str]) -> bool:
    """Return whether names are those of py4DSTEM and Prismatic, whose x goes down the rows."""
    letters = [["q", "x"], ["q", "y"], ["r", "x"], ["r", "y"]]
    return sorted([w for w in _words(name) if w != "n"] for name in names) == letters


def _words(name: str) -> list[str]:
    """Return the words of a name in small letters: ``scanY`` and ``scan_y`` alike."""
    plain = re.sub(r"[(\[].*", "", name)
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", plain).lower()
    words = []
    stems = "|".join(stem for stems in STEMS.values() for stem in stems)
    for word in re.split(r"[^a-z0-9]+", plain):
        # A letter before x or y tells their direction, whatever it stands for.
        together = re.fullmatch(rf"({stems})([xy]|\d)", word) or re.fullmatch("([a-z])([xy])", word)
        words += list(together.groups()) if together else [word] if word else []
    return words
