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
from orimap.tasks.acquire.formats.stacks.image_names import (
    LEAST_FILLED,
    NAMED_AT_MOST,
    Names,
    families,
    natural_order,
    numbers_by_template,
    some_of,
    template_of,
)
from orimap.tasks.acquire.formats.stacks.place_frames import Places, describe_numbers
from orimap.tasks.acquire.formats.stacks.scan_shape import Asked
from orimap.tasks.errors import InputError

IN_ORDER = "order"  # of --image-names, where the numbers are no positions


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
        return _in_order(files, asked)
    if asked.image_names is not None:
        x, y = numbers_by_template(files, asked.image_names)
        return _by_numbers(
            files, x, y, asked, (f"images are placed as {asked.image_names} says",),
            _against_words(files, x, y),
        )  # fmt: skip
    alike = families(files)
    most = max(alike, key=len)
    names = Names.of(most)
    if len(alike) == 1 and names is not None:
        return _by_names(files, names, asked)
    counted = Names.hexadecimal(files)
    if counted is not None:
        order = np.argsort(counted.numbers[:, 0])
        counted = replace(counted, numbers=counted.numbers[order])
        placed = _by_counter([files[n] for n in order], counted, asked)
        note = f"the numbers in the names of the images are hexadecimal, as in {files[0].name}"
        return replace(placed, notes=(*placed.notes, note))
    if names is None or len(most) < LEAST_FILLED * len(files):
        return _mixed(files, alike, asked)
    return _without_others(files, most, names, asked)


def _by_names(files: Sequence[Path], names: Names, asked: Asked) -> Placed:
    """Place images whose names differ in numbers only."""
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


def _in_order(files: Sequence[Path], asked: Asked) -> Placed:
    """Take images in the order of their names: a guess where these tell another one."""
    names = Names.of(files)
    if names is None:
        return _mixed(files, families(files), asked)
    labelled, grid, against = names.labelled(), names.grid(), ""
    if labelled is not None:
        x, y = (names.numbers[:, place] for place in labelled)
        if not np.array_equal(np.lexsort((x, y)), np.arange(len(files))):
            against = "these give another one by words for column and row"
    elif grid is not None:
        sizes = tuple(np.unique(names.numbers[:, place]).size for place in grid)
        evidence = _first_is_faster(files, names, grid)
        if asked.scan_shape is not None and tuple(asked.scan_shape) == sizes[::-1] != sizes:
            against = f"two of their numbers form {sizes[0]} rows of {sizes[1]} in that order"
        elif evidence is not None and evidence[0]:
            against = f"the first number changes from image to image: {evidence[1]}"
    if not against:
        return Placed(tuple(files))
    guess = (
        f"images are taken in the order of their names, as --image-names {IN_ORDER} says, although "
        f"{against}, as in {files[0].name}"
    )
    return Placed(tuple(files), guesses=(guess,))


def _against_words(files: Sequence[Path], x: np.ndarray, y: np.ndarray) -> tuple[str, ...]:
    """Say that --image-names contradicts words before the numbers: nothing where it does not."""
    names = Names.of(files)
    labelled = None if names is None else names.labelled()
    if names is None or labelled is None:
        return ()
    said = [names.numbers[:, place] for place in labelled]
    if all(np.array_equal(_ranks(a), _ranks(b)) for a, b in zip((x, y), said, strict=True)):
        return ()
    return (
        "column and row are taken as --image-names says, although words before the numbers say "
        f"otherwise, as in {files[0].name}",
    )


def _mixed(files: Sequence[Path], alike: Sequence[Sequence[Path]], asked: Asked) -> Placed:
    """Keep images in the order of names that differ in more than numbers, which is a guess.

    It is none where each row has a letter, and as many images as a row is asked to have.
    """
    words = [re.sub(r"\d", "", names[0].stem.lower()) for names in alike]
    differing = [letters for letters in zip(*words, strict=False) if len({*letters}) > 1]
    rows_and_columns = (len(alike), len(files) // len(alike))
    if (
        asked.scan_shape is not None
        and tuple(asked.scan_shape) == rows_and_columns
        and all(len(names) == rows_and_columns[1] for names in alike)
        and (len(differing), len({len(word) for word in words})) == (1, 1)
        and [file for names in alike for file in names] == list(files)
    ):
        return Placed(tuple(files))
    guess = (
        "images are taken in the order of their names, which differ in more than numbers: "
        f"{some_of([names[0].name for names in alike])}"
    )
    return Placed(tuple(files), guesses=(guess,))


def _without_others(
    files: Sequence[Path], most: Sequence[Path], names: Names, asked: Asked
) -> Placed:
    """Place the images that are named alike, and leave out the few that are not.

    Nothing is guessed where there is one for each position without them.
    """
    others = [file.name for file in files if file not in set(most)]
    many = "1 is" if len(others) == 1 else f"{len(others)} are"
    found = f"{len(most)} are named as {most[0].name}, and {many} not: {some_of(others)}"
    if asked.skip_frames is not None and any(asked.skip_frames) and names.labelled() is None:
        guess = f"images are taken in the order of their names, of which {found}"
        return Placed(tuple(files), guesses=(guess,))
    try:
        placed = _by_names(most, names, asked)
    except InputError as error:
        raise InputError(error.needed, f"{error.found} ({found})", error.remedy) from error
    shape = placed.scan_shape or asked.scan_shape
    whole = shape is not None and math.prod(shape) == len(most) and placed.places is None
    if not whole and placed.scan_shape is None:
        raise InputError(
            "images named alike, one for each position",
            found,
            f"move out of the folder what is no pattern of the scan, and give --scan-shape YxX; "
            f"--image-names {IN_ORDER} takes all in the order of their names",
        )
    images = "1 image is" if len(others) == 1 else f"{len(others)} images are"
    left = f"{images} left out, named otherwise than {most[0].name}: {some_of(others)}"
    if whole:
        return replace(placed, notes=(*placed.notes, left))
    return replace(placed, guesses=(*placed.guesses, f"{left} (--image-names overrides)"))


def _by_numbers(
    files: Sequence[Path], x: np.ndarray, y: np.ndarray, asked: Asked, notes: tuple[str, ...],
    guesses: tuple[str, ...] = (),
) -> Placed:  # fmt: skip
    """Place images by column and row; of a scan that was stopped early, the last may be missing."""
    if asked.skip_frames is not None and any(asked.skip_frames):
        raise InputError(
            "images in the order of their names, of which --skip-frames leaves out some",
            f"names that say column and row, as {files[0].name}",
            f"leave --skip-frames away, or give --image-names {IN_ORDER} if they are no positions",
        )
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


def _by_counter(files: Sequence[Path], names: Names, asked: Asked) -> Placed:
    """Keep images in the order of a number that counts them, with room for those that are missing.

    That the first ones are missing is believed where the last one has the number of positions.
    """
    placed = Placed(tuple(files))
    numbers = names.counter()
    if numbers is None and not names.rising():
        guess = (
            "images are taken in the order of their names, in which several numbers differ and "
            f"none counts, as in {files[0].name}"
        )
        return replace(placed, guesses=(guess,))
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
    files: Sequence[Path], names: Names, grid: tuple[int, int], asked: Asked
) -> Placed:
    """Place images by two numbers of which nothing says which is the row, by what else tells."""
    first, second = (names.numbers[:, place] for place in grid)
    sizes = (np.unique(first).size, np.unique(second).size)
    example = files[0].name
    as_columns = f"the first number in {example} is taken as the column, the second as the row"
    as_rows = f"the first number in {example} is taken as the row, the second as the column"
    shape = asked.scan_shape
    evidence = _first_is_faster(files, names, grid)
    if shape is not None and sizes[0] != sizes[1] and tuple(shape) in (sizes, sizes[::-1]):
        columns = tuple(shape) != sizes
        said = f"{as_columns if columns else as_rows}, as --scan-shape says"
        against = ()
        if evidence is not None and evidence[0] != columns:
            against = (f"{said}, although it is the other way round: {evidence[1]}",)
        x, y = (first, second) if columns else (second, first)
        return _by_numbers(files, x, y, asked, () if against else (said,), against)
    if evidence is None:
        as_xy, as_yx = (template_of(files[0], names, grid, axes) for axes in ("xy", "yx"))
        raise InputError(
            "which number in the names of the images is the column, and which the row",
            f"{len(files)} images named as {example}: two of their numbers form a full grid of "
            f"{sizes[0]} by {sizes[1]}, and nothing says which is which",
            f"--image-names '{as_xy}' if the first is the column, --image-names '{as_yx}' if it is "
            "the row, "
            f"--image-names {IN_ORDER} with --scan-shape YxX if they are no positions",
        )
    faster, why = evidence
    override = "(--image-names overrides)"
    if faster:
        return _by_numbers(files, first, second, asked, (), (f"{as_columns}: {why} {override}",))
    return _by_numbers(files, second, first, asked, (), (f"{as_rows}: {why} {override}",))


def _first_is_faster(
    files: Sequence[Path], names: Names, grid: tuple[int, int]
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
