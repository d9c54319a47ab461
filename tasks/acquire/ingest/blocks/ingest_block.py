"""Take in one block of a scan on a worker: read, correct, cut, bin, write, read back, sum up."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import google_crc32c
import numpy as np

from orimap.tasks.acquire.acquisition import Acquisition
from orimap.tasks.acquire.ingest.beam_disc import BeamDisc
from orimap.tasks.acquire.ingest.blocks.gather_blocks import (
    ALL_ZERO,
    NO_DATA,
    NO_NUMBER,
    ONE_NUMBER,
    BlockRecord,
)
from orimap.tasks.acquire.ingest.blocks.sum_block import Roles, sum_block
from orimap.tasks.acquire.ingest.blocks.sums import SourceFaults, region_cuts
from orimap.tasks.acquire.ingest.blocks.verified_write import write_verified
from orimap.tasks.acquire.ingest.defects.correction import Correction
from orimap.tasks.acquire.ingest.defects.spikes import find_spikes
from orimap.tasks.acquire.ingest.reduction import LARGEST, Region, reduce_patterns
from orimap.tasks.store import cleaning, variables
from orimap.tasks.store.cleaning import Spikes
from orimap.tasks.store.pixel_lists import Entries
from orimap.tasks.stream.blocks import MOST_TASKS, Block, block_shape

# Neighbouring blocks whose sums over the detector travel as one, where there are many.
BLOCKS_A_TASK = 8
FEWEST_TASKS = 128
# So many pixels of a pattern tell nearly always that it holds more than one number.
FEW_PIXELS = 64


@dataclass(frozen=True)
class IngestPlan:
    """What each worker needs to take in one block.

    Parameters
    ----------
    acquisition : Acquisition
    store : Path
        Of which the array ``raw/pattern_intensity`` exists.
    roi, crop : tuple of int
        Of scan and detector, as first and last row and column (y0, y1, x0, x1), ends excluded.
    bin : int
        Detector pixels along each side that become one.
    exponent : int
        Values are multiplied by two to this power.
    dtype : numpy.dtype
        As stored.
    beam : BeamDisc
    used : (detector_y, detector_x) bool array
        False where a mask was given.
    flagged : (rows, columns) bool array
        Pixels of the crop, before binning, that were not measured: 0 in the sums of binned ones.
    candidates : (candidate, 2) int array
        Rows and columns of pixels that may turn out hot.
    chunk_bytes : int
    sparse : bool
        Whether patterns are written in their sparse form, too.
    spikes : bool
        Whether spikes are looked for.
    shift, pedestal : float
        From `Sample`.
    in_electrons : bool
        Whether the noise does not speak against one electron for each unit of what is stored.
    correction : Correction
    dazzled : (position, 2) array of int
        Rows and columns of positions that are left out.
    """

    acquisition: Acquisition
    store: Path
    roi: Region
    crop: Region
    bin: int
    exponent: int
    dtype: np.dtype
    beam: BeamDisc
    used: np.ndarray
    flagged: np.ndarray
    candidates: np.ndarray
    chunk_bytes: int
    sparse: bool
    spikes: bool
    shift: float
    pedestal: float
    in_electrons: bool
    correction: Correction
    dazzled: np.ndarray

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Rows and columns of what is taken of the scan."""
        return self.roi[1] - self.roi[0], self.roi[3] - self.roi[2]

    @property
    def detector_shape(self) -> tuple[int, int]:
        """Rows and columns of the stored patterns."""
        return (
            (self.crop[1] - self.crop[0]) // self.bin,
            (self.crop[3] - self.crop[2]) // self.bin,
        )

    @property
    def units(self) -> str:
        """What an intensity of 1 stands for."""
        if self.correction.electrons:
            return "electron"
        if self.acquisition.grey_levels:
            return "grey level"
        return "electron" if self.in_electrons else "a.u."

    def coordinates(self) -> dict[str, tuple[np.ndarray, str, str]]:
        """Return values, unit and meaning of every axis; 0 is where it is in the whole file."""
        source = self.acquisition
        found = {}
        for place, axis in enumerate(variables.SCAN):
            start, stop = self.roi[2 * place : 2 * place + 2]
            values = np.arange(start, stop) * source.scan_step[place]
            found[axis] = values.astype(float), source.scan_units, "scan position"
        for place, axis in enumerate(variables.DETECTOR):
            # The middle of the pixels that are summed, from the middle of the whole detector.
            first = self.crop[2 * place] + (self.bin - 1) / 2 - source.detector_shape[place] // 2
            pixels = first + self.bin * np.arange(self.detector_shape[place])
            meaning = "distance from the middle of the detector"
            found[axis] = pixels * source.detector_step[place], source.detector_units, meaning
        return found


def ingest_block(block: Block, plan: IngestPlan) -> BlockRecord:
    """Read, reduce, write and verify one block; runs on a worker."""
    plan.acquisition.require_same_file()
    patterns, faults, missing = _read_block(block, plan)
    checksum = google_crc32c.value(patterns)
    spikes = Spikes.none(patterns.dtype)
    if plan.spikes:
        spikes = find_spikes(patterns, plan.used, plan.beam)
    whole = replace(Spikes.none(patterns.dtype), dazzled=plan.dazzled).within(block)
    spikes = replace(spikes, dazzled=whole.dazzled)
    cleaned = cleaning.shifted(spikes.taken_out_of(patterns), plan.shift)
    entries = None
    if plan.sparse:
        entries = Entries.of(cleaned.reshape(block.positions, -1))
        if faults is None:
            faults = SourceFaults.listed(entries, plan.acquisition.dtype, plan.detector_shape)
    cuts = region_cuts(plan.scan_shape, plan.detector_shape)
    roles = Roles(plan.beam, plan.used, plan.candidates)
    sums = sum_block(cleaned, block, cuts, roles, entries)
    write_verified(plan.store, block, patterns, entries)
    spikes = spikes.moved(block.y0, block.x0)
    return BlockRecord(block, checksum, sums, faults, spikes, missing)


def blocks_a_task(blocks: int) -> int:
    """Return how many of so many blocks one task takes in."""
    return max(1, min(BLOCKS_A_TASK, blocks // FEWEST_TASKS), -(-blocks // MOST_TASKS))


def ingest_blocks(blocks: Sequence[Block], plan: IngestPlan) -> list[BlockRecord]:
    """Take in some blocks, one after the other, on a worker.

    The record of the first holds what all of them add up to over the detector, which is large.
    """
    records: list[BlockRecord] = []
    for block in blocks:
        record = ingest_block(block, plan)
        if records:
            records[0] = records[0].with_sums_of(record)
            record = record.without_sums()
        records.append(record)
    return records


def _read_block(
    block: Block, plan: IngestPlan
) -> tuple[np.ndarray, SourceFaults | None, np.ndarray]:
    """Read and reduce one block.

    Returns
    -------
    patterns : (scan_y, scan_x, detector_y, detector_x) array
    faults : SourceFaults or None
        None where the lists of what is not zero tell as much.
    missing : (scan_y, scan_x) array of int
        As in `BlockRecord`, where nothing is computed of the values.
    """
    source_kind = plan.acquisition.dtype.kind
    listed = plan.sparse and plan.bin == 1 and source_kind in "iu"
    faults = None if listed else SourceFaults()
    y0, y1, x0, x1 = plan.crop
    patterns = None
    missing = np.zeros((block.y1 - block.y0, block.x1 - block.x0), np.uint8)
    known = plan.acquisition.no_data
    for rows, columns in _pieces(block, plan):
        source = plan.acquisition.read(
            slice(rows.start + plan.roi[0], rows.stop + plan.roi[0]),
            slice(columns.start + plan.roi[2], columns.stop + plan.roi[2]),
        )[:, :, y0:y1, x0:x1]
        part = Block(rows.start, rows.stop, columns.start, columns.stop).slices_in(block)
        if source_kind == "f":
            finite = np.isfinite(source)
            finite[:, :, plan.flagged] = False
            missing[part] = NO_NUMBER * ~finite.any(axis=(2, 3))
        missing[part][_all_zero(source)] = ALL_ZERO
        filled = _one_number(source, plan.flagged)
        missing[part][filled] = ONE_NUMBER
        source[filled] = 0
        if known is not None:
            y, x = plan.roi[0], plan.roi[2]
            gaps = known[rows.start + y : rows.stop + y, columns.start + x : columns.stop + x]
            missing[part][gaps] = NO_DATA
            source[gaps] = 0
        if faults is not None:
            faults = faults.merge(SourceFaults.of(source))
        source = plan.correction.of(source)
        if plan.flagged.any() and (plan.bin > 1 or _out_of_range(source, plan)):
            source = np.where(plan.flagged, source.dtype.type(0), source)
        reduced = reduce_patterns(
            source, plan.bin, plan.dtype, plan.exponent, keep_negative=plan.shift != 0
        )
        del source
        if reduced.shape[:2] == missing.shape:
            return reduced, faults, missing
        if patterns is None:
            patterns = np.empty((*missing.shape, *plan.detector_shape), plan.dtype)
        patterns[part] = reduced
    return patterns, faults, missing


def _all_zero(patterns: np.ndarray) -> np.ndarray:
    """Return which patterns are nothing but zeros: (scan_y, scan_x) array of bool."""
    # Most have something in the middle, which is looked at first.
    middle = tuple(
        slice(size // 2 - size // 8, size // 2 + size // 8 + 1) for size in patterns.shape[2:]
    )
    found = ~patterns[:, :, *middle].any(axis=(2, 3))
    found[found] = ~patterns[found].any(axis=(1, 2))
    return found


def _out_of_range(source: np.ndarray, plan: IngestPlan) -> bool:
    """Return whether what flagged pixels hold may be too much to be stored or computed with."""
    if source.dtype.kind != "f":
        return source.dtype.itemsize > plan.dtype.itemsize
    values = np.abs(source[:, :, plan.flagged])
    return bool(np.any(np.isfinite(values) & (values > LARGEST)))


def _one_number(patterns: np.ndarray, flagged: np.ndarray) -> np.ndarray:
    """Return which patterns hold one number alone, other than 0: (scan_y, scan_x) array of bool.

    ``flagged`` (detector_y, detector_x) pixels are left out.
    """
    places = np.flatnonzero(~flagged)
    if not len(places):
        return np.zeros(patterns.shape[:2], bool)
    flat = patterns.reshape(*patterns.shape[:2], -1)
    first = flat[:, :, places[0]]
    found = first != 0
    # Most differ within a few pixels, which are looked at first.
    for pixels in (places[:: -(-len(places) // FEW_PIXELS)], places):
        found[found] = (flat[found][:, pixels] == first[found][:, None]).all(axis=1)
    return found


def _pieces(block: Block, plan: IngestPlan) -> Iterator[tuple[slice, slice]]:
    """Cut a block so that no piece takes more than a chunk's memory before it is reduced."""
    patterns = max(1, plan.chunk_bytes // plan.acquisition.pattern_bytes)
    rows, columns = block_shape(
        (block.y1 - block.y0, block.x1 - block.x0), 1, min(patterns, block.positions)
    )
    for y in range(block.y0, block.y1, rows):
        for x in range(block.x0, block.x1, columns):
            yield slice(y, min(y + rows, block.y1)), slice(x, min(x + columns, block.x1))
