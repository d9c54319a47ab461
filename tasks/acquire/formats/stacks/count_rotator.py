"""Find the frames of a scan in a TVIPS stream: a counter in their headers goes with the beam.

The camera runs before the scan begins and after it ends. Meanwhile the rotator index stays as it
is; during the scan it grows by one from each position to the next.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

# The general header of the first file, as far as it is needed, in numbers of 4 bytes: its own
# length, version, width, height, bits a pixel, and far behind the length of a frame's header.
GENERAL_NUMBERS = 13
MOST_TIMES_AS_MANY = 2  # positions as frames: else the index counts something else
ROTATOR_OFFSET = 48  # bytes from the beginning of a frame's header


@dataclass(frozen=True)
class Rotator:
    """What the rotator index tells.

    Parameters
    ----------
    around : (int, int)
        Frames before and after the scan.
    note, guess : str
        For people; empty where there is nothing to say.
    at : (frames,) array of int, or None
        Where each frame belongs, those around the scan too, where the index skips positions.
    """

    around: tuple[int, int] = (0, 0)
    note: str = ""
    guess: str = ""
    at: np.ndarray | None = None


def rotator_index(files: tuple[Path, ...]) -> np.ndarray:
    """Return the rotator index of every frame of a stream.

    Parameters
    ----------
    files : tuple of Path
        All files of the stream, in order.

    Returns
    -------
    (frames,) array of int64
    """
    head = np.fromfile(files[0], "<u4", GENERAL_NUMBERS)
    length, _, width, height, bits = (int(number) for number in head[:5])
    frame_head = int(head[12])
    record = np.dtype(
        {
            "names": ["rotator"],
            "formats": ["<u4"],
            "offsets": [ROTATOR_OFFSET],
            "itemsize": frame_head + width * height * bits // 8,
        }
    )
    found = []
    for number, file in enumerate(files):
        offset = length if number == 0 else 0
        frames = (file.stat().st_size - offset) // record.itemsize
        if frames:
            mapped = np.memmap(file, record, "r", offset, (frames,))
            found.append(mapped["rotator"].astype(np.int64))
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def frames_of_scan(index: np.ndarray) -> Rotator:
    """Return which frames lie before and after a scan.

    Parameters
    ----------
    index : (frames,) array of integers

    Returns
    -------
    Rotator
        Nothing where the index does not grow. Where it repeats positions between its first step
        and its last, no frame is left out, since none could be put in its place.
    """
    steps = np.diff(index)
    growing = np.flatnonzero(steps > 0)
    if not growing.size:
        return Rotator()
    # Before the first step the index is 0, or that of the first position.
    first = int(growing[0]) + (1 if index[growing[0]] == 0 else 0)
    last = int(growing[-1]) + 1
    within = steps[first:last]
    at = None
    if np.any(within != 1) and np.all(within >= 1):
        at = np.concatenate([np.arange(first), first + index[first : last + 1] - index[first]])
        at = np.concatenate([at, at[-1] + np.arange(1, index.size - last)])
        if at[-1] >= MOST_TIMES_AS_MANY * index.size:
            at = None
    if at is None and np.any(within != 1):
        return Rotator(
            guess=f"the rotator index skips or repeats a position {np.count_nonzero(within != 1)} "
            "times: frames are taken in the order they come"
        )
    around = (first, index.size - 1 - last)
    if not any(around):
        return Rotator(at=at)
    return Rotator(
        around,
        f"the rotator index counts {index[last] - index[first] + 1} positions: {around[0]} frames "
        f"before them and {around[1]} after them are left out (--skip-frames overrides)",
        at=at,
    )
