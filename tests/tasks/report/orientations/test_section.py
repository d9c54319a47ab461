from orimap.tasks.report.orientations.section import (
    answer_sentence,
    boundary_rows,
    orientation_section,
    setup_sentences,
    titles,
)
from orimap.tasks.report.orientations.words import ClusterOrientation
from orimap.tasks.report.results import read_results


def test_the_section_says_what_was_found_and_what_it_rests_on(small_store):
    results = read_results(small_store)
    found = orientation_section(results)
    assert found.several
    assert found.limit == "0.06"
    assert found.answer == (
        "2 of 3 clusters are indexed. Of 1 the pattern does not decide between two orientations: "
        "it stays grey in the maps, and both candidates are named."
    )
    (bent,) = found.bent
    assert (bent.cluster, bent.parts, bent.span) == (0, 2, "0.50°")
    assert bent.axis == "1.00, 0.00, 0.00"
    said = " ".join(setup_sentences(results))
    assert "Crystals: silicon (Si, F d -3 m, silicon.cif); gold (F m -3 m, gold.cif)." in said
    assert "0.02026 1/Å by the reflections, +1.3 % from the calibration" in said
    assert "was assumed to be 200 keV" in said
    assert "precessed by 0.7°" in said
    assert titles(results)[0].startswith("1: silicon [")
    assert titles(results)[2] == "3: not reliable: best candidate"
    indexed = results.groups["orientations"]["cluster_indexed"]
    results.groups["orientations"]["cluster_indexed"] = indexed & False
    assert "by the reflections" not in " ".join(setup_sentences(results))


def test_a_twin_is_named_and_boundaries_without_an_angle_are_left_out(small_store):
    (row,) = boundary_rows(read_results(small_store).groups["orientations"])
    assert (row.first, row.second) == (0, 1)
    assert (row.angle, row.axis, row.name) == ("60.0°", "[1 1 1]", "Σ3, 0.2° off")
    assert row.length == "12\u202fsteps" or row.length == "12 steps"


def test_nothing_is_said_where_nothing_was_indexed(small_store):
    results = read_results(small_store)
    results.groups["orientations"] = results.groups["orientations"].drop_vars("cluster_quaternion")
    assert orientation_section(results) is None


def test_clusters_that_no_crystal_explains_are_counted():
    none = ClusterOrientation(0, False, "–", "–", "0.00", "0.10", "", False)
    assert answer_sentence([none, none]).endswith(
        "2 are explained by none of the crystals. Check that these are the crystals of the sample, "
        "and that the detector's step is right to 7 %."
    )
    one = ClusterOrientation(1, True, "gold", "[0 0 1]", "0.50", "0.90", "", False)
    assert answer_sentence([none, one]).endswith("1 is explained by none of the crystals.")
    assert none.remark == "none of the crystals explains its pattern"
