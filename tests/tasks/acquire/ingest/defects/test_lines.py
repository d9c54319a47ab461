import warnings

import numpy as np
import pytest

from orimap.tasks.acquire.ingest.defects.lines import OddLine, describe, odd_lines
from orimap.tasks.acquire.open_acquisition import open_acquisition

SHAPE = (64, 70)
Y, X = np.mgrid[:64, :70].astype(float)
RADIUS = np.hypot(Y - 31.5, X - 34.2)
# Beam, what falls off around it, a ring, and reflections of several grains.
DIFFRACTION = 2 + 30 / (1 + (RADIUS / 4) ** 2) + 3 * np.exp(-((RADIUS - 20) ** 2) / 8)
DIFFRACTION[RADIUS < 3] += 300
for _y, _x in np.random.default_rng(3).uniform(4, 60, (25, 2)):
    DIFFRACTION += 20 * np.exp(-((Y - _y) ** 2 + (X - _x) ** 2) / 4)


def counted(mean, *, gain=1.0, more=0.0, seed=0, positions=(10, 12)):
    """A scan of counts, multiplied by ``gain``, with other counts on top."""
    rng = np.random.default_rng(seed)
    shape = (*positions, *mean.shape)
    return rng.poisson(mean, shape) * np.asarray(gain) + rng.poisson(more, shape)


def summed(scan):
    """Total, squares and pairs of a whole scan, and how many positions it has."""
    left, right = scan[:, :-1].astype(float), scan[:, 1:].astype(float)
    squares, pairs = ((left - right) ** 2).sum(axis=(0, 1)), (left + right).sum(axis=(0, 1))
    return scan.sum(axis=(0, 1)), squares, pairs, scan.shape[0] * scan.shape[1]


def look(scan, usable=None, pedestal=0.0):
    """What is odd in a whole scan."""
    total, squares, pairs, positions = summed(scan)
    usable = np.ones(total.shape, bool) if usable is None else usable
    return odd_lines(total, squares, pairs, usable, positions, pedestal)


def places(found):
    """Axis, place and kind of what was found."""
    return [(line.axis, line.place, line.kind) for line in found]


def where(*lines):
    """True on rows (0, place) and columns (1, place)."""
    found = np.zeros(SHAPE, bool)
    for axis, place in lines:
        np.moveaxis(found, axis, 0)[place] = True
    return found


def test_factors_and_differences_are_those_worked_by_hand():
    # 4 patterns that add up to 400 and more; variance over mean is 1.
    total = 400 + np.zeros(SHAPE)
    total[:, 20] *= 1.5
    total[40] *= 0.75
    total[40, 20] = 400 * 1.5 * 0.75
    found = odd_lines(total, total, total, np.ones(SHAPE, bool), 4)
    assert found == [
        OddLine(0, 40, "dark", pytest.approx(0.75)),
        OddLine(1, 20, "bright", pytest.approx(1.5)),
    ]
    # The same 600 in all pixels of a line, beside 400 to 1,945: 600 / 4 in every pattern.
    total = 400 * 1.023**Y
    total[:, 20] += 600
    found = odd_lines(total, total, total, np.ones(SHAPE, bool), 4)
    assert found == [OddLine(1, 20, "more", pytest.approx(150))]
    # 320 of the 400 are there without electrons: 80 / 4 are left, of which a fifth is missing.
    total = np.where(where((0, 9)), 384.0, 400.0)
    small = np.ones(SHAPE)
    found = odd_lines(total, small, total, np.ones(SHAPE, bool), 4, pedestal=80)
    assert found == [OddLine(0, 9, "dark", pytest.approx(0.8))]
    # Variance over mean is 1, and 2.5 in a row.
    total = np.full(SHAPE, 400.0)
    found = odd_lines(total, np.where(where((0, 50)), 1000, total), total, total > 0, 4)
    assert found == [OddLine(0, 50, "noisy", pytest.approx(2.5))]


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("factor", [0.5, 1.6, 2.5])
def test_a_cross_of_other_pixels_is_found_and_nothing_beside_it(width, factor):
    rows, columns = range(31, 31 + width), range(34, 34 + width)
    gain = 1 + (factor - 1) * where(*((0, at) for at in rows))
    gain *= 1 + (factor - 1) * where(*((1, at) for at in columns))
    kind = "bright" if factor > 1 else "dark"
    expected = [(0, at, kind) for at in rows] + [(1, at, kind) for at in columns]
    found = look(counted(DIFFRACTION * gain))
    assert places(found) == expected
    assert all(line.amount == pytest.approx(factor, rel=0.1) for line in found)


def test_lines_at_the_edge_of_the_detector_are_found_where_they_are_brighter():
    edges = where((0, 0), (0, 63), (1, 0), (1, 1))
    expected = [(0, 0, "bright"), (0, 63, "bright"), (1, 0, "bright"), (1, 1, "bright")]
    assert places(look(counted(DIFFRACTION * np.where(edges, 2.0, 1.0)))) == expected
    # A pattern that was shifted or resampled leaves them dark.
    assert look(counted(DIFFRACTION * np.where(edges, 0.5, 1.0))) == []


def test_a_noisy_line_is_found_by_its_noise_or_by_what_it_adds():
    adds = 3.0 * where((1, 7))
    (line,) = look(counted(DIFFRACTION, more=adds))
    assert (line.axis, line.place, line.kind) == (1, 7, "more")
    assert line.amount == pytest.approx(3, rel=0.1)
    # Half of the values are lost, the others are doubled: as bright, and noisier.
    scan = counted(DIFFRACTION)
    lost = where((0, 52)) & (np.random.default_rng(1).random(scan.shape) < 0.5)
    (line,) = look(np.where(lost, 0, np.where(where((0, 52)), 2 * scan, scan)))
    assert (line.axis, line.place, line.kind) == (0, 52, "noisy")


def test_lines_are_found_beside_masked_ones():
    scan = counted(DIFFRACTION * np.where(where((1, 30), (1, 32)), 1.8, 1.0))
    dead = where((1, 31), (1, 10))
    scan[..., dead] = 0
    assert places(look(scan, ~dead)) == [(1, 30, "bright"), (1, 32, "bright")]


def test_noise_of_read_out_does_not_hide_what_lies_on_a_pedestal():
    read_out = np.random.default_rng(2).normal(50, 2, (10, 12, *SHAPE))
    scan = counted(10 + DIFFRACTION * 1.0, gain=np.where(where((1, 40)), 0.6, 1.0)) + read_out
    assert places(look(scan, pedestal=50.0)) == [(1, 40, "dark")]


@pytest.mark.parametrize("seed", range(4))
def test_diffraction_is_no_defect(seed):
    assert look(counted(DIFFRACTION, seed=seed)) == []


def aligned(spacing, radius):
    """Discs of a crystal whose rows lie along the pixels."""
    y, x = (abs((at + spacing / 2) % spacing - spacing / 2) for at in (Y - 31, X - 34))
    return 60 * (np.hypot(y, x) <= radius)


@pytest.mark.parametrize(
    "pattern",
    [
        aligned(8, 1),
        aligned(8, 2.3),
        aligned(12, 5.5),
        aligned(5, 2),
        # Sharp rows of reflections between which little is left.
        40 * (Y % 9 == 4) * (X % 3 > 0),
        # A streak that falls off, and one that is the same all along, as sharp as optics make it.
        50 * np.exp(-((Y - 20) ** 2) / 2) * np.exp(-abs(X - 35) / 10),
        50 * np.exp(-((Y - 20) ** 2) / (2 * 0.7**2)),
        50 * np.exp(-((Y - 20.5) ** 2) / (2 * 0.7**2)),
        50 * np.exp(-((X - 50.3) ** 2) / (2 * 1.2**2)),
        # Kikuchi bands along the pixels, with and without lines at their borders.
        3.0 * (abs(Y - 30) < 7),
        3.0 * (abs(X - 30) < 1.6) * (X + Y < 80),
        2 * np.exp(-((abs(Y - 30) - 6) ** 2) / 2),
        # One half of the detector counts more.
        DIFFRACTION * (X < 40),
    ],
)
def test_what_lies_along_the_pixels_is_no_defect(pattern):
    assert look(counted(DIFFRACTION + pattern)) == []


def test_shadows_and_gaps_make_no_line_beside_them():
    gap = (abs(X - 34) < 4) | (abs(Y - 31) < 4)
    for shadow in (gap, (Y > 30) & (abs(X - 20) < 9), (Y < 12) | (Y > 50), RADIUS > 28):
        scan = counted(np.where(shadow, 0, DIFFRACTION))
        assert look(scan) == []
        assert look(scan, ~shadow) == []


def test_columns_that_all_differ_are_not_named_one_by_one():
    rng = np.random.default_rng(4)
    uneven = rng.normal(1, 0.15, SHAPE[1]).clip(0.5)
    assert look(counted(DIFFRACTION, gain=uneven)) == []
    # Each has an offset of its own, which shows where little else is.
    offset = np.where(X >= 0, rng.normal(8, 1.5, SHAPE[1]), 0)
    assert look(counted(DIFFRACTION) + offset) == []


def test_grains_that_come_and_go_are_not_noise():
    pattern = np.where(np.arange(12)[:, None, None] % 2, DIFFRACTION + aligned(8, 2.3), DIFFRACTION)
    assert look(np.random.default_rng(0).poisson(pattern, (10, *pattern.shape))) == []


def test_few_electrons_or_pixels_are_no_evidence():
    gain = np.where(where((0, 31), (1, 34)), 3.0, 1.0)
    assert look(counted(0.01 * gain)) == []
    assert look(counted((10 * gain)[16:47, 20:])) == []
    assert len(look(counted((10 * gain)[15:47, 20:]))) == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert look(np.zeros((4, 5, *SHAPE))) == []
        # Without neighbouring positions nothing is known of the noise.
        assert look(counted(10 * gain, positions=(9, 1))) == []
        assert look(counted(10 * gain), np.zeros(SHAPE, bool)) == []


def test_notes_name_the_lines_of_each_kind():
    cross = [OddLine(axis, at, "bright", 2.43 + 0.04 * axis) for axis in (0, 1) for at in (63, 64)]
    assert describe(cross) == [
        "rows 63, 64 and columns 63, 64 of the stored patterns (from 0) are 2.4 to 2.5 times as "
        "bright as those beside them, all along, as larger pixels between chips are; kept"
    ]
    assert describe([OddLine(1, 90, "noisy", 3.24), OddLine(0, 4, "more", 1234.5)]) == [
        "row 4 of the stored patterns (from 0) has 1,234 more in every pixel and pattern than "
        "those beside it, all along; kept",
        "column 90 of the stored patterns (from 0) is 3.2 times as noisy (variance over mean) as "
        "those beside it, all along; kept",
    ]
    (note,) = describe([OddLine(1, at, "dark", 0.5) for at in range(0, 90, 10)])
    assert note.startswith("columns 0, 10, 20, 30, 40, 50, ... of the stored patterns")
    assert describe([]) == []


@pytest.mark.parametrize(
    "name",
    [
        *("au_4grains_lowdose", "lnmo_5grains_sped", "lnmo_3grains_descan", "si_7grains_zone"),
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                "lnmo_6grains",
                "lnmo_9grains_bent",
                "au_12grains",
                "si_10grains_overlap",
            )
        ),
    ],
)
def test_scans_without_odd_lines(shared_data, name):
    scan = open_acquisition(shared_data / "scans" / f"{name}.hspy").read(slice(None), slice(None))
    truth = np.load(shared_data / "scans" / f"{name}.npz")
    usable = ~(truth["hot_mask"] | truth["dead_mask"])
    total, squares, pairs, positions = summed(scan)
    assert odd_lines(total, squares, pairs, usable, positions) == []
    # Sharp reflections of few grains scatter most, and the noise tells where brightness does not.
    gain = np.ones(total.shape)
    gain[40:42] = 2.0
    found = odd_lines(total * gain, squares * gain**2, pairs * gain, usable, positions)
    assert [(line.axis, line.place) for line in found] == [(0, 40), (0, 41)]
    assert {line.kind for line in found} <= {"bright", "noisy"}
