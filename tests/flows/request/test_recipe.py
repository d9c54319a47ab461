import dataclasses

import numpy as np
import pytest

from orimap.flows.request.recipe import read_recipe
from orimap.tasks.errors import InputError
from orimap.tasks.simulate.recipe import ScanRecipe


def test_a_recipe_is_read_as_it_is_typed_or_as_python_gives_it():
    typed = read_recipe(scan="4x5", detector=" 24 x 32 ", grains="2", dose="300", zone="true")
    given = read_recipe(
        scan=(4, 5), detector=np.array([24, 32]), grains=np.int64(2), dose=np.float32(300),
        zone=np.True_, disk_radius=None,
    )  # fmt: skip
    assert typed == given == ScanRecipe((4, 5), (24, 32), grains=2, dose=300.0, zone=True)
    every = dataclasses.asdict(ScanRecipe())
    assert read_recipe(**every) == ScanRecipe() == read_recipe()


@pytest.mark.parametrize(
    ("given", "needed", "found"),
    [
        ({"scan": (4, 4, 4)}, "rows and columns for --scan, for instance 64x64", "not 3"),
        ({"scan": 4}, "rows and columns for --scan", "--scan 4: a list of values is needed"),
        ({"scan": (-4, 4)}, "rows and columns for --scan", "must be 1 or more"),
        ({"detector": "big"}, "rows and columns for --detector", "--detector big: must be ROWS"),
        ({"grains": "two"}, "a whole number for --grains, for instance 8", "--grains two"),
        ({"grains": True}, "a whole number for --grains", "--grains True: no true or false"),
        ({"dose": "x"}, "a number for --dose", "--dose x"),
        ({"material": 5}, "a name for --material", "--material 5: text is needed"),
        ({"grain": 3}, "an option that orimap simulate knows", "--grain, which is not an option"),
        ({"scan": "4x5"}, "between 1 and 5 in a scan of 4 x 5 positions", "8"),
    ],
)
def test_what_cannot_be_read_is_named(given, needed, found):
    with pytest.raises(InputError) as raised:
        read_recipe(**given)
    assert needed in raised.value.needed
    assert raised.value.found.endswith(found) or found in raised.value.found


def test_the_nearest_name_is_offered_and_fewer_grains_for_a_small_scan():
    with pytest.raises(InputError, match=r"did you mean --disk-radius\?"):
        read_recipe(disc_radius=2)
    with pytest.raises(
        InputError, match=r"fewer --grains \(where none are given, 8\), or a larger"
    ):
        read_recipe(scan=(4, 4))
