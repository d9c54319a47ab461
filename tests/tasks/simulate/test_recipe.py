import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.simulate.recipe import ScanRecipe, Stream


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"grains": 0}, "number of grains between 1 and 100"),
        ({"grains": 6, "scan": (4, 5)}, "number of grains between 1 and 5"),
        ({"dose": float("nan")}, "dose"),
        ({"overlap": -1}, "overlap"),
        ({"detector": (8, 128)}, "detector between 16"),
        ({"hot": -1}, "hot"),
        ({"seed": -1}, "seed"),
        ({"material": "Pb"}, "material"),
    ],
)
def test_what_cannot_be_simulated_is_reported(values, message):
    with pytest.raises(InputError, match=message):
        ScanRecipe(**values)


def test_disks_grow_with_the_detector_from_a_pixel_and_a_half():
    assert ScanRecipe(detector=(256, 300)).disk_radius_px == 256 / 50
    assert ScanRecipe(detector=(64, 64)).disk_radius_px == 1.5
    assert ScanRecipe(disk_radius=3).disk_radius_px == 3


def test_streams_and_positions_have_random_numbers_of_their_own():
    recipe = ScanRecipe(seed=3)
    keys = [(Stream.LAYOUT,), (Stream.NOISE,), (Stream.NOISE, 0, 0), (Stream.NOISE, 0, 1)]
    drawn = [recipe.random(*key).random() for key in keys]
    assert len(set(drawn)) == len(keys)
    np.testing.assert_array_equal(drawn, [recipe.random(*key).random() for key in keys])
