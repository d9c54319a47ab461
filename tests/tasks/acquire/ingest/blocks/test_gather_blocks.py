import numpy as np
import pytest

from orimap.tasks.acquire.ingest.beam_disc import BeamDisc
from orimap.tasks.acquire.ingest.blocks.gather_blocks import (
    DEAD,
    GIVEN,
    HOT,
    NO_NUMBER,
    NOT_FINITE,
    BlockRecord,
    ScanTotals,
)
from orimap.tasks.acquire.ingest.blocks.sum_block import Roles, sum_block
from orimap.tasks.acquire.ingest.blocks.sums import SourceFaults, region_cuts
from orimap.tasks.store.cleaning import Spikes
from orimap.tasks.stream.blocks import plan_blocks

SCAN, DETECTOR = (6, 7), (20, 21)
BEAM = BeamDisc(9.5, 10.0, 2.0)
CANDIDATES = np.array([[3, 4], [16, 17], [0, 0]])


def records(scan, used=None, block_shape=(4, 3)):
    """What workers tell of a scan, block by block; the checksum is the number of the block."""
    detector = scan.shape[2:]
    roles = Roles(BEAM, np.ones(detector, bool) if used is None else used, CANDIDATES)
    cuts = region_cuts(SCAN, detector)
    for number, block in enumerate(plan_blocks(SCAN, block_shape)):
        patterns = scan[block.slices]
        sums = sum_block(patterns, block, cuts, roles)
        spikes = Spikes.none(scan.dtype)
        missing = NO_NUMBER * ~np.isfinite(patterns).any(axis=(2, 3))
        yield BlockRecord(block, number, sums, SourceFaults.of(patterns), spikes, missing)


def gathered(scan, given=None, **blocks):
    detector = scan.shape[2:]
    given = np.zeros(detector, bool) if given is None else given
    totals = ScanTotals(SCAN, detector, CANDIDATES)
    for record in records(scan, ~given, **blocks):
        totals.add(record)
    return totals.dataset(given, np.zeros(detector, bool), BEAM, scan.dtype, 1)


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(5, (*SCAN, *DETECTOR)).astype(np.uint16)


def test_many_positions_are_left_out_only_beyond_what_a_detector_spans(counts):
    for times, share, left_out in ((10**6, 1, 1), (10**6, 10, 0), (1e37, 10, 10), (1e300, 10, 10)):
        scan = counts.astype(np.float64)
        scan.reshape(-1, *DETECTOR)[:share] *= times
        totals = ScanTotals(SCAN, DETECTOR, CANDIDATES)
        for record in records(scan, np.ones(DETECTOR, bool)):
            totals.add(record)
        found = totals.dazzled(1.0)
        assert len(found) == left_out
        assert [tuple(at) for at in found] == [divmod(n, SCAN[1]) for n in range(left_out)]


@pytest.mark.parametrize("block_shape", [(6, 7), (4, 3), (1, 7), (2, 2)])
def test_maps_and_sums_are_those_of_numpy_whatever_the_blocks(counts, block_shape):
    ds = gathered(counts, block_shape=block_shape)
    np.testing.assert_array_equal(ds["scan_total_intensity"], counts.sum(axis=(2, 3)))
    disc = counts[:, :, BEAM.mask(DETECTOR)].sum(axis=-1)
    np.testing.assert_array_equal(ds["scan_virtual_bright_field"], disc)
    np.testing.assert_allclose(ds["detector_mean"], counts.mean(axis=(0, 1)), rtol=1e-6)
    np.testing.assert_array_equal(ds["detector_maximum"], counts.max(axis=(0, 1)))
    blocks = plan_blocks(SCAN, block_shape)
    np.testing.assert_array_equal(ds["block_checksum"], range(len(blocks)))
    np.testing.assert_array_equal(ds["block_patterns"], [b.positions for b in blocks])
    corners = [[b.y0, b.y1, b.x0, b.x1] for b in blocks]
    np.testing.assert_array_equal(ds["block_corner"], corners)
    assert ds.attrs["zero_fraction"] == pytest.approx(np.mean(counts == 0))
    assert ds.attrs["mean_intensity"] == pytest.approx(counts.mean())
    assert ds.attrs["counts_like"]
    assert (ds.attrs["n_masked"], ds.attrs["notes"]) == (0, [])


def test_blocks_of_one_pattern_have_no_neighbours_to_tell_counts_by(counts):
    ds = gathered(counts, block_shape=(1, 1))
    np.testing.assert_array_equal(ds["scan_total_intensity"], counts.sum(axis=(2, 3)))
    assert np.isnan(ds["detector_fano"]).all()
    assert not ds.attrs["counts_like"]
    assert ds.attrs["notes"] == [
        "too little to tell whether the values are counts: not treated as counts"
    ]


def test_the_mask_tells_why_each_pixel_is_left_out(counts):
    scan = counts.astype(np.float32)
    given = np.zeros(DETECTOR, bool)
    given[0, 0] = given[12, 3] = True
    scan[..., 3, 4] = 300
    scan[..., 5, 15] = 0
    # In more than a tenth of the patterns, and in fewer.
    scan[:1, :, 14, 2] = scan[0, :4, 14, 5] = np.nan
    ds = gathered(scan, given)
    expected = np.zeros(DETECTOR, int)
    expected[0, 0] = expected[12, 3] = GIVEN
    expected[3, 4], expected[5, 15], expected[14, 2] = HOT, DEAD, NOT_FINITE
    np.testing.assert_array_equal(ds["detector_mask"], expected)
    numbers = {name: ds.attrs[f"n_{name}"] for name in ("hot", "dead", "not_finite", "masked")}
    assert numbers == {"hot": 1, "dead": 1, "not_finite": 11, "masked": 5}
    # What a hot pixel, known only now, added to each pattern is taken off again.
    kept = np.nan_to_num(scan)
    kept[..., 3, 4] = 0
    total = kept[:, :, ~given].sum(axis=-1)
    np.testing.assert_allclose(ds["scan_total_intensity"], total, rtol=1e-6)
    notes = " / ".join(ds.attrs["notes"])
    assert "1 hot pixel masked" in notes
    assert "1 dead pixel masked" in notes
    assert "11 values are not finite, taken as 0" in notes
    assert not ds.attrs["counts_like"]


def test_saturation_across_blocks_is_counted_a_pixel(counts):
    scan = counts.astype(np.uint8)
    scan[0, 0, 7, 7] = scan[5, 6, 7, 7] = scan[2, 3, 8, 8] = 255
    ds = gathered(scan)
    assert (ds.attrs["saturation_value"], ds.attrs["n_saturated"]) == (255, 3)
    assert (ds["detector_saturated"].values[7, 7], ds["detector_saturated"].values[8, 8]) == (2, 1)
    assert "3 values are saturated at 255; kept" in ds.attrs["notes"]


def test_values_that_are_no_counts_are_told_by_their_variance(counts):
    ds = gathered(3 * counts)
    assert ds.attrs["fano"] == pytest.approx(3, rel=0.1)
    (note,) = ds.attrs["notes"]
    assert note.startswith("the values are not electron counts (variance 3")


def test_lines_that_are_unlike_those_beside_them_are_named_and_kept():
    mean = np.full((36, 40), 5.0)
    mean[:, 25:27] *= 2.5
    mean[8] *= 2.5
    ds = gathered(np.random.default_rng(0).poisson(mean, (*SCAN, *mean.shape)).astype(np.uint16))
    assert (ds.attrs["n_odd_rows"], ds.attrs["n_odd_columns"], ds.attrs["n_masked"]) == (1, 2, 0)
    assert (ds.attrs["odd_rows"], ds.attrs["odd_columns"]) == ([8], [25, 26])
    (note,) = ds.attrs["notes"]
    assert note.startswith("row 8 and columns 25, 26 of the stored patterns (from 0) are 2.")
    assert "times as bright as those beside them, all along" in note
    assert note.endswith("; kept")


def test_sums_of_blocks_that_are_added_on_the_way_give_the_same(counts):
    """A worker passes on one sum for several of its blocks; their maps stay their own."""
    first, *others = records(counts)
    expected = gathered(counts)
    totals = ScanTotals(SCAN, DETECTOR, CANDIDATES)
    stripped = [record.without_sums() for record in others]
    for record in others:
        first = first.with_sums_of(record)
    for record in (first, *stripped):
        totals.add(record)
    found = totals.dataset(*np.zeros((2, *DETECTOR), bool), BEAM, counts.dtype, 1)
    assert all(record.sums.sums.maximum is None for record in stripped)
    assert found.identical(expected)
