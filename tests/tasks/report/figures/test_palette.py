import numpy as np
import pytest

from orimap.tasks.report.figures import palette


@pytest.mark.parametrize(
    ("count", "normal", "deficient"), [(8, 27, 17), (12, 17, 10.5), (20, 15, 9), (32, 11, 6.5)]
)
def test_colours_differ_for_every_kind_of_vision(count, normal, deficient):
    colours = palette.cluster_colours(count)
    assert palette.smallest_difference(colours) > normal
    assert palette.smallest_difference(colours, "protanopia") > deficient
    assert palette.smallest_difference(colours, "deuteranopia") > deficient


@pytest.mark.parametrize("vision", palette.VISION)
def test_colours_are_kept_clear_of_white_black_and_no_cluster(vision):
    for colour in palette.COLOURS:
        for reserved in ("#ffffff", "#000000", palette.NO_CLUSTER):
            assert palette.smallest_difference([colour, reserved], vision) > 5


def test_constants_are_what_choose_colours_makes():
    assert palette.choose_colours((8, 12, 20, 24, 32)) == palette.COLOURS


def test_a_cluster_keeps_its_colour_whatever_the_number_of_clusters():
    assert palette.cluster_colours(40)[:5] == palette.cluster_colours(5)
    assert len(set(palette.cluster_colours(40))) == 40


def test_grey_looks_grey_to_everyone():
    grey = np.full((1, 3), 0.5)
    for vision in palette.VISION:
        np.testing.assert_allclose(palette.seen_with(grey, vision), grey, atol=1e-5)


def test_red_and_green_of_equal_lightness_meet_without_the_medium_cones():
    pair = ["#a05a00", "#5f7300"]
    assert palette.smallest_difference(pair) > 25
    assert palette.smallest_difference(pair, "deuteranopia") < 10


@pytest.mark.parametrize(("colour", "text"), [("#ffe100", "#000000"), ("#000fe1", "#ffffff")])
def test_text_is_black_on_light_and_white_on_dark(colour, text):
    assert palette.text_colour(colour) == text


def test_colours_are_written_as_they_are_read():
    assert palette.hexadecimal(palette.rgb(["#0a10ff", "#ffffff"])) == ("#0a10ff", "#ffffff")


def test_chosen_colours_stand_in_place_of_the_usual_ones():
    usual = palette.cluster_colours(4)
    assert palette.cluster_colours(4, ["", "#aa3377"]) == (usual[0], "#aa3377", *usual[2:])
    assert palette.cluster_colours(1, ["", "#aa3377"]) == usual[:1]
