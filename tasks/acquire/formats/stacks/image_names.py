"""Take the names of images apart: the numbers in them, with their signs, and what stands before.

A minus is a sign where it comes and goes, ``x-3`` beside ``x3``, and separates where it is in all
names, ``col-3_row-4``.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from orimap.tasks.errors import InputError

COLUMN_LABELS = {"x", "ix", "nx", "posx", "scanx", "col", "cols", "column", "columns", "c"}
ROW_LABELS = {"y", "iy", "ny", "posy", "scany", "row", "rows", "line", "lines", "r"}
NAMED_AT_MOST = 3
# Of a grid, or of numbers that count, this part must be there: else they are something else.
LEAST_FILLED = 0.75
SIGNS = {"-": -1.0, "\u2212": -1.0, "+": 1.0}
# An exponent has a sign and follows a point or one digit: 12e3 is a name rather than a number.
NUMBER = r"\d+(?:\.\d+)?(?:e[+-]\d+)?"
NUMBER_WITH_COMMA = r"\d+(?:[.,]\d+)?(?:e[+-]\d+)?"


def natural_order(name: str) -> list[tuple[int, int | str]]:
    """Return a sort key that puts ``image_9`` before ``image_10``."""
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts if part]


@dataclass(frozen=True)
class Names:
    """Names that differ in numbers only.

    ``numbers`` are (files, numbers in a name); ``literals`` is what stands before each.
    """

    numbers: np.ndarray
    literals: tuple[str, ...]

    @staticmethod
    def of(files: Sequence[Path]) -> "Names | None":
        """Take names apart; None where they differ in more than numbers, or have none."""
        for number in (NUMBER_WITH_COMMA, NUMBER):
            names = Names._split(files, number)
            if names is not None and (number == NUMBER or names.labelled() is not None):
                return names
        return None

    @staticmethod
    def _split(files: Sequence[Path], number: str) -> "Names | None":
        """Take names apart at numbers that look like this."""
        split = [re.split(f"({number})", file.stem.lower()) for file in files]
        if len({len(parts) for parts in split}) != 1 or len(split[0]) < 3:
            return None
        if len({parts[-1] for parts in split}) != 1:
            return None
        numbers = np.array([[n.replace(",", ".") for n in p[1::2]] for p in split], float)
        literals_of = zip(*(parts[:-1:2] for parts in split), strict=True)
        before = [_without_signs(literals) for literals in literals_of]
        known = [each for each in before if each is not None]
        if len(known) < len(before):
            return None
        signs = np.stack([each[1] for each in known], axis=1)
        literals = [each[0] for each in known]
        if (signs < 0).any():
            for place, literal in enumerate(literals):
                if literal[-1:] in SIGNS and _axis_of(literal) and (signs[:, place] > 0).all():
                    signs[:, place], literals[place] = SIGNS[literal[-1]], literal[:-1]
        return Names(numbers * signs, tuple(literals))

    @staticmethod
    def hexadecimal(files: Sequence[Path]) -> "Names | None":
        """Return numbers of base 16 that count images, None where names have no such ones."""
        stems = [file.stem.lower() for file in files]
        pairs = enumerate(zip(min(stems), max(stems), strict=False))
        same = next((n for n, (first, last) in pairs if first != last), 0)
        rest = [stem[same:] for stem in stems]
        whole = all(re.fullmatch("[0-9a-f]+", each) and len(each) == len(rest[0]) for each in rest)
        if not whole or len({each[-1] for each in rest}) < 16:
            return None
        numbers = np.array([[int(each, 16)] for each in rest], float)
        filled = len(numbers) >= LEAST_FILLED * (np.ptp(numbers) + 1)
        return Names(numbers, (stems[0][:same],)) if filled else None

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

    def rising(self) -> bool:
        """Return whether some number rises from each name to the next."""
        return len(self.numbers) < 2 or bool((np.diff(self.numbers, axis=0) > 0).all(axis=0).any())


def _without_signs(literals: Sequence[str]) -> tuple[str, np.ndarray] | None:
    """Return what stands before numbers, and their signs; None where more than signs differs."""
    different = set(literals)
    if len(different) == 1:
        return literals[0], np.ones(len(literals))
    base = min(different, key=len)
    if all(len(each) == len(base) and each[-1:] in SIGNS for each in different):
        base = base[:-1]
    signs = {base: 1.0} | {base + sign: value for sign, value in SIGNS.items()}
    if different - signs.keys():
        return None
    return base, np.array([signs[each] for each in literals])


def families(files: Sequence[Path]) -> list[list[Path]]:
    """Group files by what their names have besides numbers and signs, in the order of the files."""
    found: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        parts = re.split(f"({NUMBER})", file.stem.lower())
        parts[1::2] = ["0"] * (len(parts) // 2)
        found["".join(parts)].append(file)
    joined: list[list[Path]] = []
    for alike in found.values():
        for others in joined:
            if Names.of([others[0], alike[0]]) is not None:  # they differ in signs only
                others += alike
                break
        else:
            joined.append(alike)
    place = {file: n for n, file in enumerate(files)}
    return [sorted(alike, key=place.__getitem__) for alike in joined]


def _axis_of(literal: str) -> str:
    """Return "x" or "y" where the last word before a number names an axis, else nothing."""
    found = re.search(r"([a-z]+)[^a-z]*$", literal)
    word = found[1] if found else ""
    if word in COLUMN_LABELS or re.fullmatch(r"(image|img|pattern|frame|scan|pos)x", word):
        return "x"
    if word in ROW_LABELS or re.fullmatch(r"(image|img|pattern|frame|scan|pos)y", word):
        return "y"
    return ""


def numbers_by_template(files: Sequence[Path], template: str) -> tuple[np.ndarray, np.ndarray]:
    """Return column and row of each image as a template says, with ``{x}`` and ``{y}``.

    Raises
    ------
    InputError
        If it does not have each of them once, or some name is unlike it.
    """
    fields = re.findall(r"\{[^{}]*\}", template)
    if sorted(fields) != ["{x}", "{y}"] or "}{" in template:
        raise InputError(
            "{x} for the column and {y} for the row, once each and with something between them",
            f"--image-names {template or repr(template)}",
            "give the name of an image with {x} and {y} in the place of its numbers, for instance "
            "--image-names 'pattern_{x}_{y}'; * stands for anything",
        )
    number = NUMBER if "," in template else NUMBER_WITH_COMMA
    escaped = re.escape(template).replace(r"\*", ".*?")
    for axis in "xy":
        # A minus behind what may be anything belongs to that.
        sign = "" if f"*{{{axis}}}" in template else "[+\u2212-]?"
        escaped = escaped.replace(rf"\{{{axis}\}}", f"(?P<{axis}>{sign}{number})")
    pattern = re.compile(escaped, re.IGNORECASE)
    found = [pattern.fullmatch(file.name) or pattern.fullmatch(file.stem) for file in files]
    unlike = [file.name for file, match in zip(files, found, strict=True) if match is None]
    if unlike:
        raise InputError(
            f"images named as {template}, as --image-names says",
            f"{len(unlike)} of {len(files)} are not: {some_of(unlike)}",
            "correct --image-names; * stands for anything, {x} and {y} for column and row",
        )
    x, y = (np.array([_number(match[axis]) for match in found if match]) for axis in "xy")
    return x, y


def _number(text: str) -> float:
    """Return a number as it stands in a name."""
    return float(text.replace(",", ".").replace("\u2212", "-"))


def template_of(file: Path, names: Names, grid: tuple[int, int], axes: str) -> str:
    """Return a name with ``{x}`` and ``{y}`` for the numbers of a grid, * for other numbers."""
    parts = re.split(f"({NUMBER})", file.stem, flags=re.IGNORECASE)
    for place, before in enumerate(names.literals):
        parts[2 * place] = parts[2 * place][: len(before)]  # without the sign of this number
        parts[2 * place + 1] = f"{{{axes[grid.index(place)]}}}" if place in grid else "*"
    return "".join(parts)


def some_of(names: Sequence[str]) -> str:
    """Name a few."""
    return ", ".join(names[:NAMED_AT_MOST]) + (", ..." if len(names) > NAMED_AT_MOST else "")
