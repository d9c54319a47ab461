import pytest

from orimap.tasks.stream.sizes import FITS_ABREAST, sketch_rank, stack_columns, stack_depths


def test_the_rank_serves_twice_the_components_within_what_there_is():
    assert sketch_rank(5, 10_000, 10_000) == 48
    assert sketch_rank(30, 10_000, 10_000) == 68
    assert sketch_rank(20, 9, 100) == 9
    assert sketch_rank(20, 100, 8) == 8


@pytest.mark.parametrize(
    ("ks", "depths"),
    [
        (range(1, 21), [20, 12, 4]),
        (range(1, 9), [8]),
        (range(1, 10), [9, 1]),
        ([3], [3]),
        ([2, 30, 7], [30]),
        ([], []),
    ],
)
def test_every_eight_fits_are_as_deep_as_the_largest_of_them(ks, depths):
    assert stack_depths(list(ks)) == depths
    assert stack_columns(list(ks)) == 8 * sum(depths)


def test_the_table_has_room_for_every_component_of_every_fit():
    for largest in range(1, 60):
        ks = range(1, largest + 1)
        assert stack_columns(ks) >= sum(ks)
        # At most what it takes to fill the last eight up to the largest of them.
        assert stack_columns(ks) < sum(ks) + FITS_ABREAST * (largest + FITS_ABREAST)
