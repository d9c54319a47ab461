"""Read electron events, as stempy and the 4D Camera write them: lists of the pixels that were hit.

``electron_events/frames`` holds a list for each frame, ``electron_events/scan_positions`` where
each frame was taken. A position may have several frames, whose electrons are added; in versions 1
and 2 any frame may be of any position, in version 3 those of one position follow one another.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.chunked.linked_files import linked_files
from orimap.tasks.acquire.formats.chunked.no_data import NoData
from orimap.tasks.acquire.formats.signals import Signal
from orimap.tasks.errors import InputError

FRAMES, POSITIONS = "electron_events/frames", "electron_events/scan_positions"


class GatheredEvents:
    """Patterns made from events where they are cut, along the first axis.

    Parameters
    ----------
    frames : h5py.Dataset
        (frames,) lists of pixel numbers, row by row of the detector; or (positions, frames of a
        position).
    positions : (frames,) array of int
        The scan position of each frame.
    scan_positions : int
        Their number.
    detector_shape : (int, int)
    """

    dtype = np.dtype(np.uint16)
    ndim = 3

    def __init__(
        self,
        frames: Any,
        positions: np.ndarray,
        scan_positions: int,
        detector_shape: tuple[int, int],
    ) -> None:
        self.frames = frames
        self.shape = (scan_positions, *detector_shape)
        self._positions = positions
        self._order = np.argsort(positions, kind="stable")

    def __getitem__(self, cut: slice) -> np.ndarray:
        """Add up the electrons of a slice along the first axis.

        Raises
        ------
        InputError
            If an event lies outside the detector.
        """
        start, stop, _ = cut.indices(self.shape[0])
        pixels = self.shape[1] * self.shape[2]
        patterns = np.zeros((max(stop - start, 0), pixels), self.dtype)
        low, high = np.searchsorted(self._positions, (start, stop), sorter=self._order)
        for number, hits in self._events(np.sort(self._order[low:high])):
            if hits.size and hits.max() >= pixels:
                raise InputError(
                    f"events on {self.shape[1]}×{self.shape[2]} pixels",
                    f"frame {number} has one on pixel {hits.max()}",
                    "write the file again: its detector is larger than it says",
                )
            np.add.at(patterns[self._positions[number] - start], hits, 1)
        return patterns.reshape(-1, *self.shape[1:])

    def _events(self, numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the events of frames, in ascending order; neighbours are read together."""
        for run in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1):
            if run.size:
                yield from zip(run.tolist(), self._lists(run[0], run[-1] + 1), strict=True)

    def _lists(self, start: int, stop: int) -> np.ndarray:
        """Read the lists of frames that follow one another."""
        if self.frames.ndim == 1:
            return self.frames[start:stop]
        several = self.frames.shape[1]
        rows = self.frames[start // several : -(-stop // several)]
        return rows.ravel()[start % several :][: stop - start]


def open_events(path: Path) -> Signal:
    """Open the electron events of a file.

    Raises
    ------
    InputError
        If it does not say how large scan and detector are, or frames lie outside the scan.
    """
    import h5py

    importlib.import_module("hdf5plugin")  # registers the compressions that files can have
    file = h5py.File(path, "r")
    frames, stored = file[FRAMES], file[POSITIONS]
    if not all(name in each.attrs for each in (frames, stored) for name in ("Nx", "Ny")):
        raise InputError(
            f"the attributes Nx and Ny of {FRAMES} and {POSITIONS}",
            f"{path.name} does not have them all",
            "write the file again with stempy, which adds them",
        )
    scan = (int(stored.attrs["Ny"]), int(stored.attrs["Nx"]))
    detector = (int(frames.attrs["Ny"]), int(frames.attrs["Nx"]))
    every = scan[0] * scan[1]
    positions = _positions_of_frames(path, frames, stored, every)
    guesses = ()
    if detector[0] != detector[1]:
        guesses = (
            f"Nx = {detector[1]} of {FRAMES} is taken as the columns of the detector; some "
            "versions write its rows there",
        )
    return Signal(
        "electron events",
        GatheredEvents(frames, positions, every, detector),
        tuple(
            Axis("", size, navigate=number < 1) for number, size in enumerate((every, *detector))
        ),
        (path, *linked_files(path)),
        notes=_notes(positions),
        read_memory_bytes=16 * frames.size,
        scan_shape=scan,
        guesses=guesses,
        no_data=_without_frame(positions, every, detector),
    )


def _positions_of_frames(path: Path, frames: Any, stored: Any, every: int) -> np.ndarray:
    """Return the scan position of each frame."""
    positions = stored[()].astype(np.int64).ravel()
    several, over = divmod(frames.size, max(positions.size, 1))
    if over or not several:
        raise InputError(
            "a scan position for each frame",
            f"{path.name} has {frames.size} frames and {positions.size} positions",
            "write the file again: it is not whole",
        )
    outside = np.count_nonzero((positions < 0) | (positions >= every))
    if outside:
        raise InputError(
            f"scan positions from 0 to {every - 1}",
            f"{outside} frames of {path.name} lie elsewhere (up to {positions.max()})",
            "write the file again: its scan is larger than it says",
        )
    return np.repeat(positions, several)


def _notes(positions: np.ndarray) -> tuple[str, ...]:
    """Return what there is to say of frames and positions."""
    seen = np.unique(positions).size
    if seen == positions.size:
        return ()
    return (f"{positions.size} frames at {seen} positions: those of one are added up",)


def _without_frame(positions: np.ndarray, every: int, detector: tuple[int, int]) -> NoData | None:
    """Return the scan positions that no frame is of: not the same as a frame without electrons."""
    missing = np.bincount(positions, minlength=every) == 0
    return NoData.of_positions(missing, detector, "no frame was taken there")
