import numpy as np
import pytest

from orimap.tasks.acquire.ingest.beam_disc import BeamDisc, beam_disc
from orimap.tasks.acquire.ingest.blocks.sum_block import Roles, sum_block
from orimap.tasks.acquire.ingest.blocks.sums import region_cuts, region_positions
from orimap.tasks.acquire.ingest.defects import pixels as defects
from orimap.tasks.acquire.ingest.defects.pixels import Fano
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.stream.blocks import Block

BEAM = BeamDisc(15.5, 15.5, 2.0)


def spot(y, x, *, sigma_px=0.8, side=32):
    rows, columns = np.ogrid[:side, :side]
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma_px**2))


def summed(scan):
    """Sums over a whole scan."""
    roles = Roles(BEAM, np.ones(scan.shape[2:], bool), np.zeros((0, 2), int))
    cuts = region_cuts(scan.shape[:2], scan.shape[2:])
    return sum_block(scan, Block(0, scan.shape[0], 0, scan.shape[1]), cuts, roles).sums


def look(scan, beam=BEAM):
    """Hot and dead pixels and the Fano factor of a whole scan."""
    cuts = region_cuts(scan.shape[:2], scan.shape[2:])
    sums = summed(scan)
    regions = np.stack([sums.regions[number] for number in sorted(sums.regions)])
    hot = defects.hot_pixels(regions, region_positions(cuts), beam)
    dead = defects.dead_pixels(regions.sum(axis=0), scan.shape[0] * scan.shape[1])
    usable = ~hot & ~beam.mask(scan.shape[2:], times=2)
    return hot, dead, defects.pooled_fano(sums.squares, sums.pairs, usable)


def test_pixels_that_are_bright_everywhere_are_hot_even_in_pairs():
    rng = np.random.default_rng(0)
    scan = rng.poisson(0.2, (8, 9, 32, 32)).astype(np.uint16)
    for y, x in ((3, 4), (3, 5), (0, 31), (27, 9)):
        scan[:, :, y, x] = rng.poisson(20, (8, 9))
    hot, _, _ = look(scan)
    assert sorted(map(tuple, np.argwhere(hot))) == [(0, 31), (3, 4), (3, 5), (27, 9)]


@pytest.mark.parametrize("sigma_px", [0.5, 0.7, 1.0])
@pytest.mark.parametrize("offset", [0.0, 0.3, 0.5])
def test_reflections_of_a_single_crystal_are_not_hot(sigma_px, offset):
    # The same reflections at every position: constancy says nothing, only their width does.
    mean = 0.1 + sum(
        300 * spot(y + offset, x, sigma_px=sigma_px) for y in (4, 11, 24) for x in (5, 25)
    )
    scan = np.random.default_rng(0).poisson(mean, (8, 8, 32, 32)).astype(np.uint16)
    hot, dead, _ = look(scan)
    assert not hot.any()
    assert not dead.any()


def test_a_sharp_reflection_of_one_grain_is_not_hot():
    mean = np.full((8, 8, 32, 32), 0.1)
    mean[:, :4, 6, 6] = 50.0
    hot, _, _ = look(np.random.default_rng(0).poisson(mean).astype(np.uint16))
    assert not hot.any()


def test_nothing_within_the_direct_beam_is_hot():
    scan = np.zeros((8, 8, 32, 32), np.uint16)
    scan[:, :, 15, 15] = 500
    assert not look(scan)[0].any()


def test_few_positions_or_pixels_are_no_evidence():
    scan = np.zeros((3, 5, 32, 32), np.uint16)
    scan[:, :, 4, 4] = 500
    assert not look(scan)[0].any()
    assert not look(np.ones((8, 8, 12, 12), np.uint16))[1].any()


def test_dead_pixels_and_lines_are_found_but_not_dark_corners():
    scan = np.random.default_rng(0).poisson(3.0, (6, 7, 32, 32)).astype(np.uint16)
    dead = np.zeros((32, 32), bool)
    dead[5, 6] = dead[0, 12] = dead[20] = dead[:, 25] = True
    scan[:, :, dead] = 0
    np.testing.assert_array_equal(look(scan)[1], dead)
    scan[:, :, :10, :10] = 0  # a beam stop
    found = look(scan)[1]
    assert not found[:9, :9].any()


def test_an_empty_pixel_among_dim_ones_is_not_dead():
    scan = np.random.default_rng(0).poisson(0.05, (8, 8, 32, 32)).astype(np.uint16)
    assert (scan.sum(axis=(0, 1)) == 0).any()
    assert not look(scan)[1].any()


@pytest.mark.parametrize(
    ("largest", "often", "next_often", "dtype", "expected"),
    [
        (255, 2, 900, "u1", 255),  # the type ends here
        (63, 50, 3, "u1", 63),  # a six-bit counter piles up
        (63, 2, 9, "u1", None),  # the tail of a distribution that happens to end at 63
        (63, 1, 0, "u1", None),  # once is chance
        (4095, 10, 10, "u2", 4095),
        (4000, 10, 0, "u2", None),
        (2**31 - 1, 3, 0, "i4", 2**31 - 1),
    ],
)
def test_saturation_is_where_counting_stops(largest, often, next_often, dtype, expected):
    assert defects.saturation_value(largest, often, next_often, np.dtype(dtype)) == expected


def test_the_fano_factor_of_worked_values():
    # One pixel sees 1, 3, 2: (1-3)² + (3-2)² = 5 over (1+3) + (3+2) = 9.
    scan = np.array([1, 3, 2], np.uint8).reshape(1, 3, 1, 1)
    sums = summed(scan)
    assert defects.fano_factor(sums.squares, sums.pairs)[0, 0] == pytest.approx(5 / 9)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda v: v, True),
        (lambda v: 3 * v, False),  # gain
        (lambda v: (v + np.roll(v, 1, -1) + np.roll(v, 1, -2)) // 3, False),  # interpolated
        (lambda v: np.sqrt(40 * v).astype(np.uint16), False),  # stretched
    ],
)
def test_counts_are_told_from_what_was_made_of_them(make, expected):
    mean = 0.5 + 20 * spot(6, 6) + 5 * spot(20, 25, sigma_px=4)
    counts = np.random.default_rng(0).poisson(mean, (6, 7, 32, 32)).astype(np.uint16)
    scan = make(counts).astype(np.uint16)
    assert defects.looks_like_counts(look(scan)[2], scan.dtype, 0) is expected


def test_what_cannot_be_told_is_not_taken_for_counts():
    assert look(np.ones((1, 1, 8, 8), np.uint16))[2] == Fano(None, None)
    assert not defects.looks_like_counts(Fano(None, None), np.dtype("u2"), 0)
    assert not defects.looks_like_counts(Fano(1.0, 1.0), np.dtype("u2"), 1)
    assert not defects.looks_like_counts(Fano(1.0, 1.0), np.dtype("f4"), 0)


@pytest.mark.parametrize(
    "name",
    [
        "lnmo_6grains", "lnmo_9grains_bent", "au_4grains_lowdose", "si_7grains_zone",
        "au_12grains", "lnmo_5grains_sped", "lnmo_3grains_descan", "si_10grains_overlap",
    ],
)  # fmt: skip
def test_scans_with_known_defects(shared_data, name):
    scan = open_acquisition(shared_data / "scans" / f"{name}.hspy").read(slice(None), slice(None))
    truth = np.load(shared_data / "scans" / f"{name}.npz")
    hot, dead, fano = look(scan, beam_disc(scan.mean(axis=(0, 1))))
    np.testing.assert_array_equal(hot, truth["hot_mask"])
    assert not (dead & ~truth["dead_mask"]).any()
    # Of the dead pixels, those whose neighbours count enough to tell.
    around = scan.sum(axis=(0, 1)).astype(float)
    around[truth["dead_mask"]] = np.inf
    padded = np.pad(around, 2, constant_values=np.inf)
    dimmest = np.lib.stride_tricks.sliding_window_view(padded, (5, 5)).min(axis=(2, 3))
    assert dead[truth["dead_mask"] & (dimmest >= defects.DEAD_EXPECTED_COUNTS)].all()
    assert defects.looks_like_counts(fano, scan.dtype, 0)
