"""Place images in a scan by the numbers in their names.

``pattern_x3y7.bmp`` says where it belongs; ``3_7.tiff`` says it only together with all others,
whose two numbers form a full grid, and leaves open which of them is the row. Then a counter beside
them, the order in which the files were written, or a shape that was asked for may tell; where
nothing does, the user is asked.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from orimap.tasks.acquire.formats.signals import NUMBERS, TIMES
from orimap.tasks.acquire.formats.stacks.place_frames import Places, describe_numbers
from orimap.tasks.acquire.formats.stacks.scan_shape import Asked
from orimap.tasks.errors import InputError

IN_ORDER = "order"  # of --image-names, where the numbers are no positions
COLUMN_LABELS = {"x", "ix", "nx", "posx", "scanx", "col", "cols", "column", "columns", "c"}
ROW_LABELS = {"y", "iy", "ny", "posy", "scany", "row", "rows", "line", "lines", "r"}
NAMED_AT_MOST = 3
# Of a grid, or of numbers that count, this part must be there: else they are something else.
LEAST_FILLED = 0.75


@dataclass(frozen=True)
class Placed:
    """Images in the order of the scan, row by row.

    Parameters
    ----------
    files : tuple of Path
    scan_shape : (int, int) or None
        None where names say nothing but the order.
    notes, guesses : tuple of str
    places : Places or None
        Where they belong in a row, where some are missing between them.
    unbroken_by : str
        As of a signal: NUMBERS where those in their names follow each other.
    """

    files: tuple[Path, ...]
    scan_shape: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()
    places: Places | None = None
    unbroken_by: str = ""


def natural_order(name: str) -> list[tuple[int, int | str]]:
    """Return a sort key that puts ``image_9`` before ``image_10``."""
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]


def place_images(files: Sequence[Path], asked: Asked) -> Placed:
    """Return images in the order of the scan.

    Parameters
    ----------
    files : sequence of Path
        In any order.
    asked : Asked
        ``image_names`` comes before what the names say; ``scan_shape`` tells rows from columns.

    Raises
    ------
    InputError
        If names give a position twice, or too few of them, if they contradict what was asked for,
        or if nothing tells which number is the row.
    """
    files = sorted(files, key=lambda file: natural_order(file.name))
    if asked.image_names == IN_ORDER:
        return Placed(tuple(files))
    if asked.image_names is not None:
        x, y = _numbers_by_template(files, asked.image_names)
        return _by_numbers(files, x, y, asked, (f"images are placed as {asked.image_names} says",))
    names = _Names.of(files)
    if names is None:
        return Placed(tuple(files))
    labelled = names.labelled()
    if labelled is not None:
        x, y = (names.numbers[:, place] for place in labelled)
        words = tuple(names.literals[place] for place in labelled)
        note = (
            f"images are placed by the numbers in their names: that after {words[0]!r} is the "
            f"column, that after {words[1]!r} the row, as in {files[0].name}"
        )
        return _by_numbers(files, x, y, asked, (note,))
    grid = names.grid()
    if grid is None:
        return _by_counter(files, names, asked)
    return _by_evidence(files, names, grid, asked)


@dataclass(frozen=True)
class _Names:
    """Names that differ in numbers only.

    ``numbers`` are (files, numbers in a name); ``literals`` is what stands before each.
    """

    numbers: np.ndarray
    literals: tuple[str, ...]

    @staticmethod
    def of(files: Sequence[Path]) -> "_Names | None":
        """Take names apart; None where they differ in more than numbers, or have none."""
        split = [re.split(r"(\d+(?:\.\d+)?)", file.stem.lower()) for file in files]
        literals = tuple(split[0][::2])
        if len(literals) < 2 or any(tuple(parts[::2]) != literals for parts in split):
            return None
        return _Names(np.array([parts[1::2] for parts in split], float), literals[:-1])

    def labelled(self) -> tuple[int, int] | None:
        """Return the places of column and row, where words before the numbers say so."""
        found: dict[str, list[int]] = {"x": [], "y": []}
        for place, literal in enumerate(self.literals):
            axis = _axis_of(literal)
            if axis:
                found[axis].append(place)
        if len(found["x"]) != 1 or len(found["y"]) != 1:
            return None
        x, y = found["x"][0], found["y"][0]
        varying = {*np.flatnonzero(np.ptp(self.numbers, axis=0) > 0).tolist()}
        return (x, y) if varying & {x, y} else None

    def grid(self) -> tuple[int, int] | None:
        """Return the places of the two numbers that form a grid, None where none do.

        A few of its images may be missing.
        """
        count = len(self.numbers)
        sizes = [np.unique(column).size for column in self.numbers.T]
        pairs = {
            (first, second): sizes[first] * sizes[second]
            for first in range(len(sizes))
            for second in range(first + 1, len(sizes))
            if min(sizes[first], sizes[second]) > 1
            and np.unique(self.numbers[:, [first, second]], axis=0).shape[0] == count
        }
        for least in (1.0, LEAST_FILLED):
            full = [pair for pair, size in pairs.items() if least * size <= count <= size]
            if full:
                return full[0] if len(full) == 1 else None
        return None

    def counter(self) -> np.ndarray | None:
        """Return whole numbers that rise with the names where nothing else in them differs."""
        varying = np.flatnonzero(np.ptp(self.numbers, axis=0) > 0)
        if varying.size != 1:
            return None
        numbers = self.numbers[:, varying[0]]
        rising = (numbers == np.rint(numbers)).all() and (np.diff(numbers) > 0).all()
        return numbers.astype(np.int64) if rising else None


def _axis_of(literal: str) -> str:
    """Return "x" or "y" where the last word before a number names an axis, else nothing."""
    found = re.search(r"([a-z]+)[^a-z]*$", literal)
    word = found[1] if found else ""
    if word in COLUMN_LABELS or re.fullmatch(r"(image|img|pattern|frame|scan|pos)x", word):
        return "x"
    if word in ROW_LABELS or re.fullmatch(r"(image|img|pattern|frame|scan|pos)y", word):
        return "y"
    return ""


def _numbers_by_template(files: Sequence[Path], template: str) -> tuple[np.ndarray, np.ndarray]:
    """Return column and row of each image as a template says, with ``{x}`` and ``{y}``."""
    number = r"\d+(?:\.\d+)?"
    escaped = re.escape(template).replace(r"\*", ".*?")
    for axis in "xy":
        escaped = escaped.replace(rf"\{{{axis}\}}", f"(?P<{axis}>{number})")
    pattern = re.compile(escaped, re.IGNORECASE)
    found = [pattern.fullmatch(file.name) or pattern.fullmatch(file.stem) for file in files]
    unlike = [file.name for file, match in zip(files, found, strict=True) if match is None]
    if unlike:
        raise InputError(
            f"images named as {template}, as --image-names says",
            f"{len(unlike)} of {len(files)} are not: {_some(unlike)}",
            "correct --image-names; * stands for anything, {x} and {y} for column and row",
        )
    return tuple(np.array([float(match[axis]) for match in found]) for axis in "xy")


def _by_numbers(
    files: Sequence[Path], x: np.ndarray, y: np.ndarray, asked: Asked, notes: tuple[str, ...],
    guesses: tuple[str, ...] = (),
) -> Placed:  # fmt: skip
    """Place images by column and row; of a scan that was stopped early, the last may be missing."""
    columns, rows = _ranks(x), _ranks(y)
    shape = (int(rows.max()) + 1, int(columns.max()) + 1)
    places = rows * shape[1] + columns
    order = np.argsort(places, kind="stable")
    twice = np.flatnonzero(np.diff(places[order]) == 0)
    if twice.size:
        raise InputError(
            "one image for each position",
            f"{twice.size} positions have more than one: "
            f"{files[order[twice[0]]].name}, {files[order[twice[0] + 1]].name}",
            "keep those of one scan in the folder; --image-names {x}_{y} says which numbers are "
            f"column and row, --image-names {IN_ORDER} that none are",
        )
    # Row by row, with few missing but at the end.
    missing = np.setdiff1d(np.arange(places.max() + 1), places)
    gaps = None
    if missing.size:
        some = [f"column {p % shape[1]}, row {p // shape[1]}" for p in missing[:NAMED_AT_MOST]]
        named = "; ".join(some) + (" and others" if missing.size > NAMED_AT_MOST else "")
        if len(files) < LEAST_FILLED * (places.max() + 1):
            raise InputError(
                f"{shape[0]}×{shape[1]} images, as the numbers in their names say",
                f"{len(files)}: there is none for {named} (counted from 0)",
                "copy those that are missing; --image-names says which numbers are column and row, "
                f"--image-names {IN_ORDER} with --scan-shape that none are",
            )
        many = "1 image is" if missing.size == 1 else f"{missing.size} images are"
        why = f"{many} missing: there is none for {named} (counted from 0)"
        gaps = Places(np.sort(places), why, awaited=(f"the image for {some[0]}",))
    whole = asked.scan_shape or shape
    # Of a scan that was stopped early, the last rows have no images.
    if whole[1] != shape[1] or whole[0] < shape[0]:
        raise InputError(
            f"a scan of {whole[0]}×{whole[1]} positions, as --scan-shape says",
            f"the numbers in the names of the images say {shape[0]}×{shape[1]}",
            f"leave out --scan-shape, or give --image-names {IN_ORDER} if they are no positions",
        )
    return Placed(tuple(files[n] for n in order), whole, notes, guesses, gaps, TIMES)


def _by_counter(files: Sequence[Path], names: _Names, asked: Asked) -> Placed:
    """Keep images in the order of a number that counts them, with room for those that are missing.

    That the first ones are missing is believed where the last one has the number of positions.
    """
    placed = Placed(tuple(files))
    numbers = names.counter()
    if numbers is None or len(files) < 3:
        return placed
    step = int(np.diff(numbers).min())
    at, uneven = np.divmod(numbers - numbers[0], step)
    if uneven.any():
        return placed
    positions = None
    if asked.scan_shape is not None:
        positions = math.prod(asked.scan_shape) + sum(asked.skip_frames or (0, 0))
    first = int(numbers[0])
    if step == 1 < first and int(numbers[-1]) == positions:
        at, first = at + first - 1, 1
    there, length = len(files), int(at[-1]) + 1
    if length == there:
        return replace(placed, unbroken_by=NUMBERS)
    if positions is not None and (positions <= there or length > positions):
        jump = int(np.argmax(np.diff(at) != 1))
        guess = (
            "images are taken one after the other, although the numbers in their names jump from "
            f"{numbers[jump]} to {numbers[jump + 1]}: some may be missing, and what follows lies "
            "too early in the scan"
        )
        return replace(placed, guesses=(guess,))
    if there < LEAST_FILLED * length:
        return placed
    missing = int(np.setdiff1d(np.arange(length), at)[0]) * step + first
    why = f"{describe_numbers(at, first, 'image', step)}, as in {files[0].name}"
    return replace(placed, places=Places(at, why, awaited=(f"image number {missing}",)))


def _ranks(numbers: np.ndarray) -> np.ndarray:
    """Return numbers as 0, 1, 2, ...; gaps of an even step are gaps of ranks."""
    known = np.unique(numbers)
    steps = np.diff(known)
    if not steps.size:
        return np.zeros(numbers.size, int)
    ranks = (numbers - known[0]) / steps.min()
    even = np.allclose(ranks, np.rint(ranks), atol=1e-3)
    return np.rint(ranks).astype(int) if even else np.searchsorted(known, numbers)


def _by_evidence(
    files: Sequence[Path], names: _Names, grid: tuple[int, int], asked: Asked
) -> Placed:
    """Place images by two numbers of which nothing says which is the row, by what else tells."""
    first, second = (names.numbers[:, place] for place in grid)
    sizes = (np.unique(first).size, np.unique(second).size)
    example = files[0].name
    as_columns = f"the first number in {example} is taken as the column, the second as the row"
    as_rows = f"the first number in {example} is taken as the row, the second as the column"
    shape = asked.scan_shape
    if shape is not None and sizes[0] != sizes[1] and tuple(shape) in (sizes, sizes[::-1]):
        if tuple(shape) == sizes:
            return _by_numbers(files, second, first, asked, (f"{as_rows}, as --scan-shape says",))
        return _by_numbers(files, first, second, asked, (f"{as_columns}, as --scan-shape says",))
    evidence = _first_is_faster(files, names, grid)
    if evidence is None:
        raise InputError(
            "which number in the names of the images is the column, and which the row",
            f"{len(files)} images named as {example}: two of their numbers form a full grid of "
            f"{sizes[0]} by {sizes[1]}, and nothing says which is which",
            f"--image-names '{_template(files[0], grid, 'xy')}' if the first is the column, "
            f"--image-names '{_template(files[0], grid, 'yx')}' if it is the row, "
            f"--image-names {IN_ORDER} with --scan-shape YxX if they are no positions",
        )
    faster, why = evidence
    override = "(--image-names overrides)"
    if faster:
        return _by_numbers(files, first, second, asked, (), (f"{as_columns}: {why} {override}",))
    return _by_numbers(files, second, first, asked, (), (f"{as_rows}: {why} {override}",))


def _first_is_faster(
    files: Sequence[Path], names: _Names, grid: tuple[int, int]
) -> tuple[bool, str] | None:
    """Return whether the first number changes from image to image, and what tells; None if nothing.

    The beam moves along a row before it comes to the next.
    """
    first, second = (names.numbers[:, place] for place in grid)
    orders = {True: np.lexsort((first, second)), False: np.lexsort((second, first))}
    counters = [n for n in names.numbers.T if np.unique(n).size == len(files)]
    written = np.array([file.stat().st_mtime_ns for file in files])
    alphabetic = np.argsort([file.name for file in files], kind="stable")
    for values, why in (
        *((counter, "so the third number in their names counts") for counter in counters),
        (written, "in that order the files were written"),
    ):
        rising = [faster for faster, order in orders.items() if np.all(np.diff(values[order]) >= 0)]
        if len(rising) != 1:
            continue
        # A copy may be written in the order of the names, whatever the scan's.
        if values is written and np.array_equal(orders[rising[0]], alphabetic):
            continue
        return rising[0], why
    return None


def _template(file: Path, grid: tuple[int, int], axes: str) -> str:
    """Return a name with ``{x}`` and ``{y}`` for the numbers of a grid, * for other numbers."""
    parts = re.split(r"(\d+(?:\.\d+)?)", file.stem)
    for place in range(len(parts) // 2):
        parts[2 * place + 1] = f"{{{axes[grid.index(place)]}}}" if place in grid else "*"
    return "".join(parts)


def _some(names: Sequence[str]) -> str:
    """Name a few."""
    return ", ".join(names[:NAMED_AT_MOST]) + (", ..." if len(names) > NAMED_AT_MOST else "")
