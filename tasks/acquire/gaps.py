"""Tell of which positions and pixels of a scan its file has no data."""

from pathlib import Path

import numpy as np

from orimap.tasks.acquire.formats.chunked.no_data import Gaps, NoData, separate
from orimap.tasks.acquire.formats.stacks.scan_shape import Frames
from orimap.tasks.errors import InputError


def find_gaps(path: Path, no_data: NoData, leading: int | None, frames: Frames) -> Gaps:
    """Return of which positions and pixels the chosen scan has no data.

    Parameters
    ----------
    path : Path
        For messages.
    no_data : NoData
        Of the whole array, in the order in which it is read.
    leading : int or None
        Which of several stacked scans was chosen.
    frames : Frames
        Which patterns of a row make the scan, or how many rows of it are kept.

    Raises
    ------
    InputError
        If there is no pattern at all, or gaps in the scan and in the detector cannot be told apart.
    """
    lost = no_data.lost if leading is None else no_data.lost[:, leading]
    rows, columns = frames.scan_shape
    if lost.ndim == 2:
        there = slice(frames.first, frames.first + rows * columns)
        lost = lost[:, there].reshape(len(lost), rows, columns)
    lost = lost[:, :rows]
    gaps = separate(lost, no_data.part)
    if gaps is None:
        lacking = lost.any(axis=0)
        whole = int(np.argmax(lacking.any(axis=1)))
        remedy = "copy the file again from the microscope, with all files that belong to it"
        if whole:
            remedy += f"; --keep-rows {whole} takes the rows before the first gap"
        raise InputError(
            f"whole patterns, or patterns that all lack the same part, in {path.name}",
            f"{np.count_nonzero(lacking)} of {lacking.size} positions lack some part of the "
            f"detector, and most of what is there would be lost without them: {no_data.why}",
            remedy,
        )
    if gaps.positions.all():
        raise InputError(
            f"patterns in {path.name}",
            f"room for {rows}×{columns} of them and no data: {no_data.why}",
            "copy the file again from the microscope, with all files that belong to it",
        )
    return gaps


def describe_gaps(gaps: Gaps, no_data: NoData) -> list[str]:
    """Say how many positions and pixels have no data, and where."""
    notes = [no_data.note] if no_data.note else []
    if gaps.positions.any():
        lack = "have no data"
        if gaps.partly:
            lack += f" (at {gaps.partly} of them a part of the pattern only)"
        notes.append(
            f"{np.count_nonzero(gaps.positions)} of {gaps.positions.size} positions, in "
            f"{_range(gaps.positions, 1, 'row')}, {lack}: {no_data.why}; not measured, and left out"
        )
    if gaps.pixels.any():
        others = gaps.positions.size - np.count_nonzero(gaps.positions)
        where = "any position"
        if gaps.without < others + gaps.partly:
            where = f"{gaps.without} positions"
        notes.append(
            f"{np.count_nonzero(gaps.pixels):,} of {gaps.pixels.size:,} pixels of the detector, in "
            f"its {_range(gaps.pixels, 1, 'row')} and {_range(gaps.pixels, 0, 'column')}, are not "
            f"there at {where}: {no_data.why}; masked"
        )
    return notes


def _range(found: np.ndarray, axis: int, name: str) -> str:
    """Name the first and the last row or column in which there is something."""
    numbers = np.flatnonzero(found.any(axis=axis))
    if len(numbers) == 1:
        return f"{name} {numbers[0]}"
    return f"{name}s {numbers[0]} to {numbers[-1]}"
