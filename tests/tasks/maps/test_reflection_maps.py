import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.maps import reflection_maps as maps
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.reflection_list import Reflections

DETECTOR = (40, 50)
LENGTHS = Lengths.of_disc(2)


def registered(patterns, direct):
    """Reflections from a list of lists of (y, x, intensity, prominence)."""
    entries = np.array([e for pattern in patterns for e in pattern], np.float32).reshape(-1, 4)
    n = len(patterns)
    return Reflections(
        np.concatenate([[0], np.cumsum([len(p) for p in patterns])]).astype(np.int64),
        *entries.T,
        np.array(direct, np.int32),
        np.arange(n, dtype=np.float32),
        np.arange(n, dtype=np.float32) + 10,
    )


BEAM = (20, 25, 100, 90)
# Six positions: two clusters of three. (30, 30) is in both, (8, 9) only in the first and
# (9, 40) only in the second; the last pattern has no direct beam, (5, 25) turns up once.
FOUND = registered(
    [
        [BEAM, (8, 9, 10, 5), (30, 30, 4, 3)],
        [BEAM, (8.5, 9, 11, 5), (30, 30, 4, 3), (5, 25, 2, 1)],
        [BEAM, (8, 9.5, 12, 5), (30.2, 30, 4, 3)],
        [BEAM, (9, 40, 20, 6), (30, 30, 5, 3)],
        [BEAM, (9, 40, 21, 6), (30, 30.1, 5, 3)],
        [(9, 40.5, 22, 6), (30, 30, 5, 3)],
    ],
    [0, 0, 0, 0, 0, -1],
)
LABEL = np.array([[0, 0, 0], [1, 1, 1]])


def made(found=FOUND, label=LABEL, shift=None, region=None, **options):
    return maps.reflection_maps(found, label, shift, LENGTHS, DETECTOR, region, **options)


def test_maps_of_each_position_are_those_worked_by_hand():
    ds = made()
    np.testing.assert_array_equal(ds.scan_direct_intensity, [[100, 100, 100], [100, 100, 0]])
    assert ds.attrs["patterns_without_direct_beam"] == 1
    np.testing.assert_array_equal(ds.scan_intensity_sum, [[114, 117, 116], [125, 126, 27]])
    np.testing.assert_array_equal(ds.scan_prominence_sum, [[98, 99, 98], [99, 99, 9]])
    np.testing.assert_array_equal(ds.scan_reflection_count, [[3, 4, 3], [3, 3, 2]])
    np.testing.assert_array_equal(ds.scan_noise, [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(ds.scan_prominence_threshold, [[10, 11, 12], [13, 14, 15]])


def test_a_cluster_s_dark_field_collects_what_recurs_in_it_and_not_in_the_other():
    ds = made()
    np.testing.assert_array_equal(ds.cluster_dark_field[..., 0], [[10, 11, 12], [0, 0, 0]])
    np.testing.assert_array_equal(ds.cluster_dark_field[..., 1], [[0, 0, 0], [20, 21, 22]])


def test_the_places_of_each_cluster_are_told_with_who_shares_them():
    ds = made()
    places = {
        (int(c), round(float(y)), round(float(x))): (round(float(s), 3), int(o), bool(own))
        for c, y, x, s, o, own in zip(
            ds.place_cluster, ds.place_y, ds.place_x, ds.place_share, ds.place_others,
            ds.place_own, strict=True,
        )
    }  # fmt: skip
    assert places == {
        (0, 8, 9): (1, 0, True),
        (0, 30, 30): (1, 1, False),
        (1, 9, 40): (1, 0, True),
        (1, 30, 30): (1, 1, False),
    }
    mean = ds.place_y.values[ds.place_cluster.values == 0].min()
    assert mean == pytest.approx((8 + 8.5 + 8) / 3)


def test_a_cluster_without_a_place_of_its_own_keeps_those_that_fewest_share():
    same = [BEAM, (30, 30, 4, 3)]
    found = registered([same, same, [*same, (9, 40, 7, 6)], [*same, (9, 40, 7, 6)]], [0] * 4)
    ds = made(found, np.array([[0, 0], [1, 1]]))
    np.testing.assert_array_equal(ds.cluster_dark_field[..., 0], [[4, 4], [4, 4]])
    np.testing.assert_array_equal(ds.cluster_dark_field[..., 1], [[0, 0], [7, 7]])


def test_the_dark_field_of_a_region_leaves_the_direct_beam_out():
    # Pixels 8 to 29: 30 is out, 8.5 in; the direct beam lies inside and does not count.
    ds = made(region=(8, 30, 0, 50))
    np.testing.assert_array_equal(ds.scan_virtual_dark_field, [[10, 11, 12], [20, 21, 22]])
    assert list(ds.attrs["dark_field_region"]) == [8, 30, 0, 50]
    assert "scan_virtual_dark_field" not in made()


def test_positions_are_shifted_before_they_are_collected():
    shift = np.zeros((2, 3, 2))
    shift[0, 1] = 6, -3
    moved = registered(
        [
            [(y - 6 * (i == 1), x + 3 * (i == 1), *rest) for y, x, *rest in pattern]
            for i, pattern in enumerate(
                [[BEAM, (8, 9, 10, 5)], [BEAM, (8, 9, 11, 5)], [BEAM, (8, 9, 12, 5)],
                 [BEAM], [BEAM], [BEAM]]
            )
        ],
        [0] * 6,
    )  # fmt: skip
    ds = made(moved, shift=shift, region=(7, 10, 8, 11))
    np.testing.assert_array_equal(ds.cluster_dark_field[..., 0], [[10, 11, 12], [0, 0, 0]])
    np.testing.assert_array_equal(ds.scan_virtual_dark_field, [[10, 11, 12], [0, 0, 0]])


def test_every_reflection_near_an_own_place_counts_whatever_its_pixel():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 400)
    away = rng.uniform(0, 4, 400)
    patterns = [[(15.5, 17.5, 1, 1)]] * 500
    patterns += [[(15.5 + d * np.sin(a), 17.5 + d * np.cos(a), 1, 1)]
                 for a, d in zip(angle, away, strict=True)]  # fmt: skip
    label = np.where(np.arange(900) < 500, 0, -1).reshape(30, 30)
    ds = made(registered(patterns, [-1] * 900), label)
    collected = ds.cluster_dark_field.values.ravel()[500:] > 0
    clear = abs(away - 2) > 1e-4
    np.testing.assert_array_equal(collected[clear], (away < 2)[clear])


def test_a_scan_without_clusters_or_without_reflections_gives_empty_dark_fields():
    assert made(label=np.full((2, 3), -1)).cluster_dark_field.shape == (2, 3, 0)
    nothing = registered([[], []], [-1, -1])
    ds = made(nothing, np.array([[0, 1]]))
    np.testing.assert_array_equal(ds.cluster_dark_field, np.zeros((1, 2, 2)))
    assert ds.attrs["patterns_without_direct_beam"] == 2


def test_units_of_intensity_are_those_given():
    ds = made(units="grey level", threshold_units="1")
    assert ds.scan_prominence_threshold.units == "1"
    assert ds.scan_intensity_sum.units == ds.cluster_dark_field.units == "grey level"
    assert ds.place_y.units == "pixel"


def test_another_scan_or_an_empty_region_is_refused():
    with pytest.raises(InputError, match="those of 6"):
        made(label=np.zeros((2, 2), int))
    with pytest.raises(InputError, match="30:30,0:5"):
        made(region=(30, 30, 0, 5))
