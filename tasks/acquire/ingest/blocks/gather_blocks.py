"""Gather what the workers tell about their blocks into the group ``acquisition``."""

from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr

from orimap.tasks.acquire.ingest.beam_disc import BeamDisc
from orimap.tasks.acquire.ingest.blocks.sum_block import BlockSums
from orimap.tasks.acquire.ingest.blocks.sums import (
    PatternSums,
    SourceFaults,
    region_cuts,
    region_positions,
)
from orimap.tasks.acquire.ingest.defects import lines
from orimap.tasks.acquire.ingest.defects import pixels as defects
from orimap.tasks.acquire.ingest.reduction import BEYOND_ANY_DETECTOR, bin_counts
from orimap.tasks.errors import InputError
from orimap.tasks.store import variables
from orimap.tasks.store.cleaning import Spikes
from orimap.tasks.store.variables import Variable
from orimap.tasks.stream.blocks import Block

# A pixel that is NaN or infinite in more of the patterns than this is masked.
NOT_FINITE_SHARE = 0.1

# 16 stands for pixels that leave the detector where patterns are centred.
HOT, DEAD, GIVEN, NOT_FINITE, FLAGGED = 1, 2, 4, 8, 32

# A position that is so many times brighter than the usual one, which has so many electrons, is left
# out; no more than this part of all positions is, but for what is beyond any detector.
DAZZLING = 1000
FEWEST_ELECTRONS = 100
MOST_DAZZLED = 0.01
# Why a position was not measured: the file holds nothing there; its pattern has no number in it;
# or nothing but zeros, beside patterns that are full.
NO_DATA, NO_NUMBER, ALL_ZERO, ONE_NUMBER = 1, 2, 3, 4
# Patterns of zeros are none where at most this part of the others has fewer than FEWEST_ELECTRONS:
# where some have a few electrons, others may have had none.
MOST_DIM = 0.01
# So many patterns with spikes are named.
MOST_NAMED = 5

block_checksum = Variable(
    "block_checksum", ("block",), "iu", "1", "CRC-32C of each chunk, as read from the source"
)
block_patterns = Variable("block_patterns", ("block",), "iu", "1", "patterns in each chunk")
block_corner = Variable(
    "block_corner", ("block", "corner"), "iu", "1", "first and last row, first and last column"
)


@dataclass(frozen=True)
class BlockRecord:
    """What a worker tells about a block that it has written and verified.

    Parameters
    ----------
    block : Block
    checksum : int
        CRC-32C of the patterns as read from the source, which those read back have too.
    sums : BlockSums
        Without spikes.
    faults : SourceFaults
    spikes : Spikes
        Counted from the corner of the scan.
    missing : (scan_y, scan_x) array of int
        NO_DATA, NO_NUMBER, ALL_ZERO or ONE_NUMBER; 0 where there is a pattern.
    """

    block: Block
    checksum: int
    sums: BlockSums
    faults: SourceFaults
    spikes: Spikes
    missing: np.ndarray

    def with_sums_of(self, other: "BlockRecord") -> "BlockRecord":
        """Return this record with what another block adds over the detector; uses this one up."""
        self.sums.sums.merge(other.sums.sums)
        return replace(self, faults=self.faults.merge(other.faults))

    def without_sums(self) -> "BlockRecord":
        """Return this record without what it adds over the detector."""
        return replace(self, sums=replace(self.sums, sums=PatternSums()), faults=SourceFaults())


@dataclass
class ScanTotals:
    """Sums over all blocks, added in block order so that they never depend on the workers."""

    scan_shape: tuple[int, int]
    detector_shape: tuple[int, int]
    candidates: np.ndarray
    pedestal: float = 0.0
    sums: PatternSums = field(default_factory=PatternSums)
    faults: SourceFaults = field(default_factory=SourceFaults)
    blocks: list[Block] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)
    spikes: list[Spikes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the maps."""
        self.bright_field = np.zeros(self.scan_shape, dtype=np.float32)
        self.total = np.zeros(self.scan_shape)
        self.missing = np.zeros(self.scan_shape, np.uint8)
        self.candidate_values = np.zeros((*self.scan_shape, len(self.candidates)), np.float32)

    def add(self, record: BlockRecord) -> None:
        """Take in one block."""
        self.blocks.append(record.block)
        self.checksums.append(record.checksum)
        self.spikes.append(record.spikes)
        self.bright_field[record.block.slices] = record.sums.bright_field
        self.total[record.block.slices] = record.sums.total
        self.missing[record.block.slices] = record.missing
        self.candidate_values[record.block.slices] = record.sums.candidate_values
        self.sums.merge(record.sums.sums)
        self.faults = self.faults.merge(record.faults)

    def dazzled(self, gain: float) -> np.ndarray:
        """Return rows and columns (position, 2) that are far brighter than all others.

        ``gain`` in units of intensity per electron: beside next to nothing all is bright.
        """
        lit = np.where((self.missing > 0) | (self.total <= 0), np.nan, self.total)
        if np.isnan(lit).all():
            return np.zeros((0, 2), np.int64)
        lit = lit - self.pedestal * np.prod(self.detector_shape)
        usual = np.nanmedian(lit)
        if usual <= 0 or lit.size < defects.FEWEST_POSITIONS:
            return np.zeros((0, 2), np.int64)
        dazzled = np.argwhere(lit > DAZZLING * usual)
        known = usual >= FEWEST_ELECTRONS * gain
        if known and len(dazzled) <= max(1, MOST_DAZZLED * lit.size):
            return dazzled
        return np.argwhere(lit > BEYOND_ANY_DETECTOR * usual)

    def not_measured(self, gain: float) -> np.ndarray:
        """Return why positions were not measured, 0 where they were; as (scan_y, scan_x).

        A pattern without a single electron is one where few electrons are usual. Beside others of
        which hardly any is dim, it was never written. ``gain`` in units of intensity per electron.
        """
        lit = self.total[self.missing == 0] - self.pedestal * np.prod(self.detector_shape)
        dim = np.count_nonzero(lit < FEWEST_ELECTRONS * gain)
        some_are_dim = not lit.size or dim > max(1, MOST_DIM * lit.size)
        if some_are_dim:
            return np.where(self.missing == ALL_ZERO, 0, self.missing)
        return self.missing

    def dataset(
        self,
        given: np.ndarray,
        flagged: np.ndarray,
        beam: BeamDisc,
        source_dtype: np.dtype,
        bin: int,
        gain: float = 1.0,
    ) -> xr.Dataset:
        """Decide what is defective, and return the variables and findings.

        Parameters
        ----------
        given : (detector_y, detector_x) bool array
            Pixels that the user wants left out.
        flagged : (detector_y, detector_x) bool array
            Others that the file or its values say were not measured.
        beam : BeamDisc
        source_dtype : numpy.dtype
            As acquired, for saturation.
        bin : int
            Detector pixels along each side that were summed into one.
        gain : float
            Units of intensity per electron.
        """
        shape = self.detector_shape
        reasons = self.not_measured(gain)
        missing, without_number = np.count_nonzero(reasons), np.count_nonzero(reasons == NO_NUMBER)
        measured = reasons == 0
        for part in self.spikes:
            measured[tuple(part.dazzled.T)] = False
        positions = int(measured.sum())
        if positions == 0:
            raise InputError(
                "a pattern with numbers in it",
                "nothing but values that are not finite, or one number everywhere"
                + (", and positions without data" if missing > without_number else ""),
                "check the file: it may have been written before the scan was",
            )
        faults = self.faults
        saturation = None
        if faults.largest is not None:
            saturation = defects.saturation_value(
                faults.largest, faults.often, faults.next_often, source_dtype
            )
        saturated = bin_counts(faults.saturated if saturation is not None else None, bin, shape)
        negative = bin_counts(faults.negative, bin, shape)
        not_finite = bin_counts(faults.not_finite, bin, shape)
        not_finite = np.maximum(not_finite - without_number * bin**2, 0)
        for found in (saturated, negative, not_finite, self.sums.maximum):
            found[flagged] = 0
        if not saturated.any():
            saturation = None
        numbers = sorted(self.sums.regions)
        regions = np.stack([self.sums.regions[number] for number in numbers])
        regions[:, flagged] = 0
        region_size = region_positions(region_cuts(self.scan_shape, shape))[numbers]
        total = regions.sum(axis=0)

        left_out = given | flagged
        undefined = not_finite > NOT_FINITE_SHARE * positions * bin * bin
        plain = ~(left_out | undefined | (saturated > 0) | beam.mask(shape, times=2))
        squares, pairs = self.sums.squares, self.sums.pairs
        gain = max(1.0, defects.pooled_fano(squares, pairs, plain).dim or 1.0)
        hot = defects.hot_pixels(regions, region_size, beam, gain) & ~left_out
        fano = defects.pooled_fano(squares, pairs, plain & ~hot)
        dead = defects.dead_pixels(total, positions, gain) & ~left_out & ~undefined
        counts = defects.looks_like_counts(fano, source_dtype, int(negative.sum()))
        mask = HOT * hot + DEAD * dead + GIVEN * given + NOT_FINITE * undefined + FLAGGED * flagged
        used = mask == 0
        odd = lines.odd_lines(total, squares, pairs, used, positions, self.pedestal)
        odd_rows, odd_columns = (
            sorted(line.place for line in odd if line.axis == axis) for axis in (0, 1)
        )
        # Hot pixels are known only now: what they added to each pattern is taken off again.
        hot_candidates = hot[self.candidates[:, 0], self.candidates[:, 1]]
        hot_candidates &= ~left_out[self.candidates[:, 0], self.candidates[:, 1]]
        total_map = self.total - self.candidate_values[..., hot_candidates].sum(axis=-1)
        # Noise was summed with its pedestal, intensity is told without.
        mean = total / positions - self.pedestal
        summed = np.count_nonzero(~left_out) - np.count_nonzero(hot_candidates)
        total_map -= self.pedestal * summed
        bright_field = self.bright_field - self.pedestal * beam.mask(shape).sum()

        ds = variables.dataset(
            {
                variables.scan_virtual_bright_field: bright_field.astype(np.float32),
                variables.scan_total_intensity: total_map.astype(np.float32),
                variables.scan_measured: measured.astype(np.uint8),
                variables.detector_mean: np.where(flagged, 0, mean).astype(np.float32),
                variables.detector_maximum: (self.sums.maximum - self.pedestal).astype(np.float32),
                variables.detector_fano: defects.fano_factor(squares, pairs),
                variables.detector_mask: mask.astype(np.uint8),
                variables.detector_negative: negative,
                variables.detector_not_finite: not_finite,
                variables.detector_saturated: saturated,
                block_checksum: np.array(self.checksums, dtype=np.int64),
                block_patterns: np.array([b.positions for b in self.blocks], dtype=np.int64),
                block_corner: np.array([[b.y0, b.y1, b.x0, b.x1] for b in self.blocks]),
            }
        )
        ds.attrs.update(
            n_saturated=int(saturated.sum()),
            n_negative=int(negative.sum()),
            n_not_finite=int(not_finite.sum()),
            n_hot=int(hot.sum()),
            n_dead=int(dead.sum()),
            n_not_measured=int(missing),
            n_without_number=int(without_number),
            n_all_zero=int(np.count_nonzero(reasons == ALL_ZERO)),
            n_dazzled=int(measured.size - missing - positions),
            n_spikes=sum(len(part) for part in self.spikes),
            n_odd_rows=len(odd_rows),
            n_odd_columns=len(odd_columns),
            odd_rows=odd_rows,
            odd_columns=odd_columns,
            n_flagged=int(flagged.sum()),
            n_masked=int(np.count_nonzero(~used)),
            saturation_value=saturation,
            counts_like=counts,
            fano=fano.dim,
            zero_fraction=self.sums.zeros / (self.missing.size * shape[0] * shape[1]),
            mean_intensity=float(mean[used].mean()) if used.any() else 0.0,
            beam_centre=[beam.y, beam.x],
            beam_radius_px=beam.radius,
        )
        ds.attrs["notes"] = [*self._notes(ds.attrs, source_dtype, fano), *lines.describe(odd)]
        return ds

    def _notes(self, found: dict, dtype: np.dtype, fano: defects.Fano) -> list[str]:
        """Say in plain words what was found and what was done about it."""
        notes = []
        if found["n_hot"]:
            notes.append(
                f"{_pixels(found['n_hot'], 'hot')} masked: bright and alike in all patterns, "
                "unlike their neighbours"
            )
        if found["n_dead"]:
            notes.append(
                f"{_pixels(found['n_dead'], 'dead')} masked: nothing where all their "
                "neighbours count"
            )
        if found["n_without_number"]:
            notes.append(
                f"{found['n_without_number']} positions hold no valid number at all, as where a "
                "scan was stopped: not measured, and left out"
            )
        filled = np.count_nonzero(self.missing == ONE_NUMBER)
        if filled:
            notes.append(
                f"{'1 position holds' if filled == 1 else f'{filled} positions hold'} one number "
                "in all pixels, other than 0, as a file is filled where nothing was recorded: not "
                "measured, and left out"
            )
        zero = np.count_nonzero(self.missing == ALL_ZERO)
        if found["n_all_zero"]:
            notes.append(
                f"{'1 pattern holds' if zero == 1 else f'{zero} patterns hold'} nothing but "
                f"zeros, where hardly any other has fewer than {FEWEST_ELECTRONS} electrons, as "
                "where a scan was stopped: taken as not measured, and left out"
            )
        elif zero:
            notes.append(
                f"{'1 pattern holds' if zero == 1 else f'{zero} patterns hold'} nothing but "
                "zeros: kept, since others are dim as well"
            )
        if found["n_dazzled"]:
            where = [f"({y}, {x})" for part in self.spikes for y, x in part.dazzled.tolist()]
            many = "1 position" if len(where) == 1 else f"{len(where)} positions"
            notes.append(
                f"{many} left out, over {DAZZLING:,} times brighter than usual (row and column "
                f"{', '.join(where[:MOST_NAMED])})"
            )
        if found["n_spikes"]:
            where = sorted({tuple(at[:2]) for part in self.spikes for at in part.place.tolist()})
            named = ", ".join(f"({y}, {x})" for y, x in where[:MOST_NAMED])
            more = ", ..." if len(where) > MOST_NAMED else ""
            notes.append(
                f"{found['n_spikes']} values left out, as of X-rays or cosmic rays: single pixels "
                f"far above all around, in one pattern only (row and column {named}{more}; all are "
                "listed, with their pixels, in the group spikes of patterns.zarr)"
            )
        small = min(self.detector_shape) < defects.SMALLEST_PATTERN_PX
        if small or np.prod(self.scan_shape) < defects.FEWEST_POSITIONS:
            notes.append("hot and dead pixels not looked for: too few positions or pixels to tell")
        if found["n_negative"]:
            kept = (
                "noise of read-out, and analysed as they are"
                if self.pedestal
                else "stored as they are; the analysis takes them as 0"
            )
            notes.append(f"{found['n_negative']:,} values lie below 0: {kept}")
        if found["n_not_finite"]:
            notes.append(f"{found['n_not_finite']:,} values are not finite, taken as 0")
        if found["saturation_value"] is not None:
            most = found["saturation_value"]
            notes.append(f"{found['n_saturated']:,} values are saturated at {most}; kept")
        if dtype.kind in "iu" and fano.dim is None:
            notes.append("too little to tell whether the values are counts: not treated as counts")
        elif dtype.kind in "iu" and not found["counts_like"]:
            notes.append(
                f"the values are not electron counts (variance {fano.dim:.3g} times the mean "
                f"in the dim part, at least {fano.lowest:.3g} elsewhere)"
            )
        return notes


def _pixels(many: int, kind: str) -> str:
    """Return a number of pixels of a kind."""
    return f"{many} {kind} pixel{'' if many == 1 else 's'}"
