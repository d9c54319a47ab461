from orimap.tasks.patterns.reflections.lengths import Lengths


def test_discs_of_four_pixels_have_the_lengths_of_the_paper():
    for lengths in (Lengths.of_disc(4.0), Lengths.of_width(512)):
        assert lengths.direct_disc_radius == 6
        assert lengths.intensity_diameter == 3
        assert (lengths.prominence_diameter, lengths.direct_prominence_diameter) == (25, 40)


def test_lengths_follow_the_disc_or_the_width():
    assert Lengths.of_width(128).disc_radius == 1
    assert Lengths.of_disc(2.0).prominence_diameter == 12.5
    assert (Lengths.of_disc(2.0).source, Lengths.of_width(128).source) == ("measured", "paper")


def test_a_direct_beam_broader_than_the_paper_draws_it_keeps_its_radius():
    assert Lengths.of_disc(3.4, 6.2).direct_disc_radius == 6.2
    assert Lengths.of_disc(3.0, 3.0).direct_disc_radius == 4.5
