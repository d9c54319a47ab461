"""Stream an acquisition into ``patterns.zarr`` and verify every chunk against the source.

Each Dask task reads one block of scan positions, crops and bins it, writes it as one chunk, reads
the chunk back and compares. Counts that are mostly zero are written in their sparse form as well,
which is what the passes then read. What the block tells about defects is summed up on the way, so
that the source is read once, but for a few patterns that show where the direct beam lies.
"""

import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from orimap.tasks.acquire.acquisition import Acquisition
from orimap.tasks.acquire.identity import ChangedError
from orimap.tasks.acquire.ingest import beam_disc
from orimap.tasks.acquire.ingest.blocks.gather_blocks import ScanTotals
from orimap.tasks.acquire.ingest.blocks.ingest_block import (
    IngestPlan,
    blocks_a_task,
    ingest_blocks,
)
from orimap.tasks.acquire.ingest.defects.correction import NO_CORRECTION, Correction
from orimap.tasks.acquire.ingest.defects.spikes import is_as_sharp_as_a_pixel
from orimap.tasks.acquire.ingest.reduction import (
    Region,
    describe_reduction,
    read_mask,
    reduce_mask,
    stored_dtype,
    whole_or_part,
)
from orimap.tasks.acquire.ingest.sample import Sample
from orimap.tasks.errors import InputError
from orimap.tasks.store import cleaning, groups, sparse_patterns, variables
from orimap.tasks.store.cleaning import Spikes, write_spikes
from orimap.tasks.store.whole.metadata import remove_cut_metadata
from orimap.tasks.store.whole.seal import CHECKSUM
from orimap.tasks.stream.blocks import (
    Progress,
    block_shape,
    broadcast,
    in_groups,
    map_blocks,
    plan_blocks,
    silent,
)
from orimap.tasks.stream.sizes import SPARSE_BELOW

# Of Blosc's compressors on simulated counts (2 scans, 23 and 8 electrons in 1,000 pixels), zstd
# level 3 with bitshuffle: 10 to 14 times smaller, written at 300 MB/s, read at 1.2 to 1.5 GB/s.
# Level 5 saves another 8 % at half the speed of writing; plain shuffle stores 10 % more.
COMPRESSION = {"cname": "zstd", "clevel": 3, "shuffle": "bitshuffle"}


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
    ChangedError
        If files of the acquisition change meanwhile: then nothing is marked.
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
        in_electrons=sample.in_electrons,
        correction=correction,
        dazzled=np.zeros((0, 2), np.int64),
    )
    with _unchanged(acquisition):
        totals = _take_in(client, plan, progress)
        dazzled = totals.dazzled(sample.gain)
        if len(dazzled):
            # They are known at the end only, and by then they are in every sum.
            plan = replace(plan, dazzled=dazzled)
            totals = _take_in(client, plan, progress)
    ds = totals.dataset(given, flagged, beam, acquisition.dtype, bin, sample.gain)
    ds.attrs.update(_facts(plan))
    ds.attrs.update(sample.attributes)
    ds.attrs["guesses"] += sample.doubts
    if sample.measured.curve is not None:
        ds = ds.assign(sample.measured.curve.variables)
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


@contextmanager
def _unchanged(acquisition: Acquisition) -> Iterator[None]:
    """Raise where the files of an acquisition have changed while they were read.

    What reading stumbles upon in a file that changes is no fault of the file as it will be.
    """
    try:
        yield
    except (InputError, OSError) as error:
        if not isinstance(error, ChangedError):
            acquisition.require_unchanged()
        raise
    acquisition.require_unchanged()


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


def _create(plan: IngestPlan, chunk: tuple[int, int]) -> None:
    """Make group ``raw`` with an empty pattern array and its coordinates."""
    plan.store.parent.mkdir(parents=True, exist_ok=True)
    remove_cut_metadata(plan.store)
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
        compressors=(zarr.codecs.BloscCodec(**COMPRESSION), CHECKSUM),
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
            compressors=(groups.USUAL, CHECKSUM),
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
        "guesses": [*acquisition.guesses, *plan.correction.guesses],
        "scan_step": list(acquisition.scan_step),
        "scan_units": acquisition.scan_units,
        "detector_step": [step * plan.bin for step in acquisition.detector_step],
        "detector_units": acquisition.detector_units,
        "beam_energy_kev": acquisition.beam_energy_kev,
        "intensity_units": plan.units,
        "intensity_exponent": plan.exponent,
    }
