from dataclasses import replace

import pytest

from orimap.tasks.report.results import read_results
from orimap.tasks.report.sections import reflections


def test_reflections_are_put_into_words():
    facts = {
        "patterns_without_direct_beam": 1,
        "list_bytes": 2e6,
        "patterns_bytes": 9e6,
        "list_disk_bytes": 1e6,
        "patterns_disk_bytes": 25e6,
    }
    assert reflections.reflection_sentences(facts) == [
        "1 pattern has no direct beam that was recognised; the bright field is 0 there.",
        "The list of reflections takes 2.0 MB, 4.5 times less than the patterns it comes from "
        "(compressed, on disk: 25 times less).",
    ]
    assert reflections.reflection_sentences({}) == []


def test_a_list_that_is_larger_than_the_patterns_is_not_called_smaller():
    (said,) = reflections.reflection_sentences({"list_bytes": 9e6, "patterns_bytes": 3e6})
    assert said == (
        "The list of reflections takes 9.0 MB, 3.0 times more than the patterns it comes from."
    )


def test_only_maps_that_are_drawn_are_explained():
    assert reflections.maps_caption([]) == ""
    assert reflections.maps_caption(["scan_direct_intensity"]) == (
        "The bright field is the intensity of the direct beam."
    )
    said = reflections.maps_caption(["scan_intensity_sum", "scan_noise"])
    assert "Noise is" in said
    assert said.endswith("include the direct beam.")
    assert "prominence" not in said


@pytest.mark.parametrize(
    ("stored", "acquired", "said"),
    [("electron", "grey level", "grey levels"), ("electron", "electron", "electrons"),
     ("electron", "a.u.", "a.u."), ("px", "a.u.", "px")],
)  # fmt: skip
def test_the_unit_is_that_of_the_acquisition(small_store, stored, acquired, said):
    results = read_results(small_store)
    maps = results.groups["reflection_maps"].copy()
    maps["scan_virtual_dark_field"].attrs["units"] = stored
    facts = results.groups["acquisition"].assign_attrs(intensity_units=acquired)
    groups = {**results.groups, "reflection_maps": maps, "acquisition": facts}
    last = reflections.uniform_sentences(replace(results, groups=groups))[-1]
    assert last == f"The dark field of 1:4,1:4 is 0 {said} everywhere."
