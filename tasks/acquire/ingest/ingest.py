"""Stream an acquisition into ``patterns.zarr`` and verify every chunk against the source.

Each Dask task reads one block of scan positions, crops and bins it, writes it as one chunk, reads
the chunk back and compares. Counts that are mostly zero are written in their sparse form as well,
which is what the passes then read. What the block tells about defects is summed up on the way, so
that the source is read once, but for a few patterns that show where the direct beam lies.
"""

import math
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import xarray as xr
import zarr

from orimap.tasks.acquire.acquisition import Acquisition
from orimap.tasks.acquire.ingest import beam_disc
from orimap.tasks.acquire.ingest.beam_disc import BeamDisc
from orimap.tasks.acquire.ingest.defects.correction import Correction
from orimap.tasks.acquire.ingest.defects.spikes import find_spikes, is_as_sharp_as_a_pixel
from orimap.tasks.acquire.ingest.gather_blocks import (
    ALL_ZERO,
    NO_DATA,
    NO_NUMBER,
    BlockRecord,
    ScanTotals,
)
from orimap.tasks.acquire.ingest.reduction import (
    Region,
    describe_reduction,
    read_mask,
    reduce_mask,
    reduce_patterns,
    stored_dtype,
    whole_or_part,
)
from orimap.tasks.acquire.ingest.sample import Sample
from orimap.tasks.acquire.ingest.sum_block import Roles, sum_block
from orimap.tasks.acquire.ingest.sums import SourceFaults, region_cuts
from orimap.tasks.acquire.ingest.verified_write import write_verified
from orimap.tasks.errors import InputError
from orimap.tasks.store import cleaning, groups, sparse_patterns, variables
from orimap.tasks.store.cleaning import Spikes, write_spikes
from orimap.tasks.store.pixel_lists import Entries
from orimap.tasks.stream.blocks import (
    MOST_TASKS,
    Block,
    Progress,
    block_shape,
    broadcast,
    in_groups,
    map_blocks,
    plan_blocks,
    silent,
)
from orimap.tasks.stream.sizes import SPARSE_BELOW

NO_CORRECTION = Correction()
# Neighbouring blocks whose sums over the detector travel as one, where there are many.
BLOCKS_A_TASK = 8
FEWEST_TASKS = 128
# Of Blosc's compressors on simulated counts (2 scans, 23 and 8 electrons in 1,000 pixels), zstd
# level 3 with bitshuffle: 10 to 14 times smaller, written at 300 MB/s, read at 1.2 to 1.5 GB/s.
# Level 5 saves another 8 % at half the speed of writing; plain shuffle stores 10 % more.
COMPRESSION = {"cname": "zstd", "clevel": 3, "shuffle": "bitshuffle"}


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
        return "grey level" if self.acquisition.grey_levels else "electron"

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
    patterns, faults, missing = _read_block(block, plan)
    checksum = google_crc32c.value(patterns)
    spikes = find_spikes(patterns, plan.used) if plan.spikes else Spikes.none(patterns.dtype)
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
        if known is not None:
            y, x = plan.roi[0], plan.roi[2]
            gaps = known[rows.start + y : rows.stop + y, columns.start + x : columns.stop + x]
            missing[part][gaps] = NO_DATA
            source[gaps] = 0
        if faults is not None:
            faults = faults.merge(SourceFaults.of(source))
        source = plan.correction.of(source)
        if plan.bin > 1 and plan.flagged.any():
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


def ingest_acquisition(
    client: Any,
    acquisition: Acquisition,
    store: Path,
    mark: str,
    *,
    crop: Region | None = None,
    roi: Region | None = None,
    bin: int = 1,
    mask: Path | None = None,
    correction: Correction = NO_CORRECTION,
    chunk_bytes: int = 32_000_000,
    progress: Progress = silent,
) -> xr.Dataset:
    """Write an acquisition into group ``raw`` of a store, verified, and tell what is in it.

    Parameters
    ----------
    client : distributed.Client
    acquisition : Acquisition
    store : Path
        ``patterns.zarr``; an earlier group ``raw`` in it is replaced.
    mark : str
        Fingerprint with which the group is marked complete, last.
    crop, roi : (int, int, int, int), optional
        What to take of the detector and of the scan: first and last row, first and last column,
        ends excluded, in pixels and positions of the file.
    bin : int
        Detector pixels along each side that are summed into one.
    mask : Path, optional
        Image of the detector, whole or cropped, that is not zero where pixels are to be left out.
    correction : Correction, optional
        What is done to the values first, for the crop.
    chunk_bytes : int
        Most that one chunk holds, before compression. A worker needs about three times this.
    progress : callable
        Called with blocks done and blocks in all.

    Returns
    -------
    xarray.Dataset
        The group ``acquisition``: virtual bright field, total intensity (given mask, and hot pixels
        left out), detector maps, checksum of each block. Values that are negative or not finite
        are stored as acquired, and count as 0 in all that is computed. The direct beam's disc is
        found in the mean of up to 64 patterns evenly spread over the scan.

    Raises
    ------
    InputError
        If a region or the mask does not fit, or a value does not fit its kind of number.
    OSError
        If a chunk does not read back as written.
    """
    roi = whole_or_part(roi, acquisition.scan_shape, "--roi", "positions")
    crop = whole_or_part(crop, acquisition.detector_shape, "--crop", "detector pixels")
    shape = tuple((crop[i + 1] - crop[i]) // max(1, bin) for i in (0, 2))
    if bin < 1 or min(shape) < 2:
        raise InputError(
            "patterns of 2×2 pixels or more after binning",
            f"--bin {bin} on {crop[1] - crop[0]}×{crop[3] - crop[2]} pixels",
            "give a smaller --bin",
        )
    given = read_mask(mask, acquisition.detector_shape, crop, bin)
    dtype = np.dtype(np.float32) if correction else stored_dtype(acquisition.dtype, bin)
    sample = Sample.of(acquisition, roi, crop, bin, correction)
    flagged = reduce_mask(sample.flags.flagged, crop, bin) & ~given
    beam = beam_disc.beam_disc(sample.mean)
    plan = IngestPlan(
        acquisition,
        store,
        roi,
        crop,
        bin,
        sample.exponent,
        dtype,
        beam,
        ~(given | flagged),
        sample.flags.flagged[crop[0] : crop[1], crop[2] : crop[3]],
        sample.candidates,
        chunk_bytes,
        sparse=dtype.kind in "iu" and sample.filled < SPARSE_BELOW and not sample.shift,
        spikes=not is_as_sharp_as_a_pixel(sample.mean, beam),
        shift=sample.shift * bin**2,
        pedestal=sample.pedestal * bin**2,
        correction=correction,
        dazzled=np.zeros((0, 2), np.int64),
    )
    totals = _take_in(client, plan, progress)
    dazzled = totals.dazzled(sample.gain)
    if len(dazzled):
        # They are known at the end only, and by then they are in every sum.
        plan = replace(plan, dazzled=dazzled)
        totals = _take_in(client, plan, progress)
    ds = totals.dataset(given, flagged, beam, acquisition.dtype, bin, sample.gain)
    ds.attrs.update(_facts(plan))
    ds.attrs.update(sample.attributes)
    if sample.measured:
        ds = ds.assign(sample.measured[1].variables)
    ds.attrs["notes"] = [
        *acquisition.notes,
        *describe_reduction(acquisition.scan_shape, acquisition.detector_shape, roi, crop, bin),
        *(sample.flags.notes if flagged.any() else ()),
        *correction.notes,
        *sample.scale_notes,
        *ds.attrs["notes"],
    ]
    there = zarr.open_array(store, path="raw/pattern_intensity", mode="r+").nchunks_initialized
    if there != len(totals.blocks):
        raise OSError(f"{there} of {len(totals.blocks)} chunks are in {store}: check the disk")
    write_spikes(store, Spikes.joined(totals.spikes), mark)
    if plan.sparse:
        sparse_patterns.finish(store, mark)
    groups.mark_complete(store, "raw", mark)
    return ds


def _take_in(client: Any, plan: IngestPlan, progress: Progress) -> ScanTotals:
    """Write every block, and add up what the workers tell."""
    pattern_bytes = math.prod(plan.detector_shape) * plan.dtype.itemsize
    chunk = block_shape(plan.scan_shape, pattern_bytes, plan.chunk_bytes)
    _create(plan, chunk)
    blocks = plan_blocks(plan.scan_shape, chunk)
    (shared,) = broadcast(client, plan)
    totals = ScanTotals(plan.scan_shape, plan.detector_shape, plan.candidates, plan.pedestal)
    several = in_groups(blocks, blocks_a_task(len(blocks)))
    # A record of a large detector takes some 20 MB: few wait on the workers at once.
    for records in map_blocks(
        client, ingest_blocks, several, shared, name="ingest", progress=progress, ahead=2
    ):
        for record in records:
            totals.add(record)
    return totals


def _pieces(block: Block, plan: IngestPlan) -> Iterator[tuple[slice, slice]]:
    """Cut a block so that no piece takes more than a chunk's memory before it is reduced."""
    patterns = max(1, plan.chunk_bytes // plan.acquisition.pattern_bytes)
    rows, columns = block_shape(
        (block.y1 - block.y0, block.x1 - block.x0), 1, min(patterns, block.positions)
    )
    for y in range(block.y0, block.y1, rows):
        for x in range(block.x0, block.x1, columns):
            yield slice(y, min(y + rows, block.y1)), slice(x, min(x + columns, block.x1))


def _create(plan: IngestPlan, chunk: tuple[int, int]) -> None:
    """Make group ``raw`` with an empty pattern array and its coordinates."""
    plan.store.parent.mkdir(parents=True, exist_ok=True)
    zarr.open_group(plan.store, mode="a")
    shutil.rmtree(plan.store / "raw", ignore_errors=True)
    group = zarr.open_group(plan.store, path="raw", mode="w")
    shape = (*plan.scan_shape, *plan.detector_shape)
    groups.remove_group(plan.store, sparse_patterns.GROUP)
    groups.remove_group(plan.store, cleaning.GROUP)
    if plan.sparse:
        sparse_patterns.create(plan.store, plan.scan_shape, chunk, plan.detector_shape, plan.dtype)
    group.create_array(
        "pattern_intensity",
        shape=shape,
        chunks=(*chunk, *plan.detector_shape),
        dtype=plan.dtype,
        compressors=zarr.codecs.BloscCodec(**COMPRESSION),
        dimension_names=variables.pattern_intensity.dims,
        attributes={
            "units": plan.units,
            "long_name": variables.pattern_intensity.long_name,
            "shift": plan.shift,
            "pedestal": plan.pedestal,
        },
    )
    for axis, (values, units, meaning) in plan.coordinates().items():
        group.create_array(
            axis,
            data=values,
            chunks=values.shape,
            dimension_names=[axis],
            attributes={"units": units, "long_name": meaning},
        )


def _facts(plan: IngestPlan) -> dict[str, Any]:
    """Return what the file says about itself, as attributes."""
    acquisition = plan.acquisition
    return {
        "reader": acquisition.reader,
        "signal": acquisition.signal,
        "source_file": acquisition.path.name,
        "guesses": list(acquisition.guesses),
        "scan_step": list(acquisition.scan_step),
        "scan_units": acquisition.scan_units,
        "detector_step": [step * plan.bin for step in acquisition.detector_step],
        "detector_units": acquisition.detector_units,
        "beam_energy_kev": acquisition.beam_energy_kev,
        "intensity_units": plan.units,
        "intensity_exponent": plan.exponent,
    }
