import numpy as np
import pytest

from orimap.tasks.report import sentences
from orimap.tasks.report.results import read_results


def test_notes_become_sentences():
    facts = {"notes": ["3 dead pixels masked", "values are saturated at 255; kept"]}
    mask = np.zeros((4, 5), np.uint8)
    mask[0, :2] = 4
    analysed = np.zeros((4, 5), np.uint8)
    analysed[:, :2] = 16
    assert sentences.repairs(facts, mask, analysed, ["ePattern took its time."]) == [
        "3 dead pixels masked.",
        "Values are saturated at 255; kept.",
        "2 pixels left out by the given mask.",
        "ePattern took its time.",
        "In all 40 % of the detector's pixels are not analysed.",
    ]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ([2.5, 2.5], "512 × 400 positions, 2.5 nm apart (1280 × 1000 nm)"),
        ([0.25, 2.0], "512 × 400 positions, 0.25 × 2 nm apart (128 × 800 nm)"),
    ],
)
def test_the_size_of_a_scan_is_told_in_plain_figures(step, said):
    facts = {"scan_step": step, "scan_units": "nm"}
    assert sentences.acquisition_sentence((512, 400), None, facts) == said


def test_regularity_and_splitting_are_put_into_words():
    facts = {"positions_moved": 1}
    assert sentences.map_sentences(facts, {"regularity": 0.0}, np.arange(3)) == []
    (moved,) = sentences.map_sentences(facts, {"regularity": 0.5}, np.arange(3))
    assert moved.startswith("With a regularity of 0.5, 1 position changed")
    asked = {"split_unconnected": True}
    (split,) = sentences.map_sentences(facts, asked, np.array([0, 1, 2, 1, 0, 1]))
    assert split == (
        "3 distinct patterns were split into 6 clusters that are each connected in the scan: "
        "1, 5 have the same pattern; 2, 4, 6 have the same pattern."
    )
    (none,) = sentences.map_sentences(facts, asked, np.arange(2))
    assert none.startswith("No cluster has unconnected parts")


def test_overlaps_that_are_all_certain_are_said_to_be_so():
    facts = {"positions_within_error": 0, "standard_errors_needed": 3.0}
    assert sentences.overlap_sentence(facts).endswith("; here that left none out.")
    assert "; 1 position was not called overlap" in sentences.overlap_sentence(
        facts | {"positions_within_error": 1}
    )
    assert sentences.overlap_sentence({}) == ""


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        (1, "1 distinct pattern is not the strongest at any position and was left out of the map."),
        (
            2,
            "2 distinct patterns are not the strongest at any position and were left out of the "
            "map.",
        ),
    ],
)
def test_patterns_without_a_position_are_counted(patterns, said):
    assert sentences.unplaced_sentence(patterns) == said


@pytest.mark.parametrize(
    ("decided", "fitted", "background", "said"),
    [
        (3, 3, 0, "The fit used has 3 components, each a distinct pattern."),
        (
            1,
            4,
            2,
            "The fit used has 4 components; 1 distinct pattern is left after merging those that "
            "show the same reflections and setting 2 background components aside.",
        ),
    ],
)
def test_the_decision_says_what_became_of_the_components(decided, fitted, background, said):
    facts = {"decided_k": decided, "fitted_k": fitted, "reasons": '["A reason."]'}
    assert sentences.decision_sentences(facts, background) == [said, "A reason."]


def test_failed_fits_are_named_and_a_stored_reason_is_not_said_twice():
    facts = {
        "decided_k": 2,
        "fitted_k": 3,
        "reasons": ["The fit used has 3 components."],
        "failed_fits": [7, 8],
    }
    assert sentences.decision_sentences(facts, 0) == [
        "The fit used has 3 components.",
        "These fits gave no result: k = 7, 8.",
    ]


def test_the_acquisition_is_told_with_pixels_and_beam_energy():
    facts = {"detector_step": [0.02, 0.02], "detector_units": "1/Å", "beam_energy_kev": 200.0}
    assert sentences.acquisition_sentence((4, 5), (6, 7), facts) == (
        "4 × 5 positions, step unknown; patterns of 6 × 7 pixels of 0.02\u00a0Å⁻¹; 200 keV"
    )
    assert sentences.acquisition_sentence(None, None, {}) == ""


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, ""),
        (
            {"mean_intensity": 0.31, "zero_fraction": 0.93, "counts_like": True, "fano": 1.02},
            "The mean intensity is 0.31 per pixel; 93 % of the values are zero; the values behave "
            "as electron counts (Fano factor 1.02; counts give 1).",
        ),
        ({"counts_like": False}, "The values do not behave as electron counts."),
    ],
)
def test_intensities_are_put_into_words(facts, said):
    assert sentences.intensity_sentence(facts) == said


def test_the_beam_s_range_leaves_out_patterns_without_a_measurement():
    shift = np.zeros((3, 4, 2))
    shift[..., 0] = np.linspace(-1, 1, 12).reshape(3, 4)
    shift[0, 0] = np.nan
    said = sentences.beam_shift_sentence(shift)
    assert said.startswith("Relative to its reference, the direct beam lies at −0.81 to 0.99 px ")
    assert said.endswith(
        "along y and 0 to 0 px along x; in 1 pattern (grey) its position was not measured."
    )
    assert sentences.beam_shift_sentence(None) == ""


def test_reflections_are_put_into_words():
    facts = {
        "patterns_without_direct_beam": 1,
        "list_bytes": 2e6,
        "patterns_bytes": 9e6,
        "list_disk_bytes": 1e6,
        "patterns_disk_bytes": 25e6,
    }
    assert sentences.reflection_sentences(facts) == [
        "1 pattern has no direct beam that was recognised; the bright field is 0 there.",
        "The list of reflections takes 2.0 MB, 4.5 times less than the patterns it comes from "
        "(compressed, on disk: 25 times).",
    ]
    assert sentences.reflection_sentences({}) == []


def test_the_position_taken_apart_is_named_with_its_overlap():
    facts = {"position": "[3, 4]", "overlap_ratio": 0.8, "overlap_ratio_error": np.nan}
    assert sentences.decomposition_sentence(facts) == (
        "Row 3, column 4 (counted from 0) is where two patterns most surely overlap: the second "
        "share is 0.80 of the first."
    )
    assert sentences.decomposition_sentence({}) == ""


def test_what_was_measured_is_told_from_what_is_stored(small_store):
    results = read_results(small_store)
    assert sentences.measured_sentence(results) == (
        "6 × 7 positions, 2.5 nm apart (15 × 17.5 nm); patterns of 12 × 12 pixels of "
        "0.02\u00a0Å⁻¹; 200 keV"
    )
    assert (
        sentences.uniform_sentences(results)[-1]
        == "The dark field of 1:4,1:4 is 0 electron everywhere."
    )


CAMERA = {
    "counts_like": False, "camera_gain": 4.04, "camera_gain_error": 0.1, "camera_offset": 399.76,
    "camera_offset_error": 0.18, "camera_read_noise": 5.9, "camera_read_noise_error": 0.07,
}  # fmt: skip


def test_a_camera_that_was_measured_is_named_unless_values_are_counts():
    assert sentences.camera_sentence(CAMERA) == (
        "Measured from neighbouring patterns, the camera has a gain of 4.04 ± 0.10 per electron, "
        "an offset of 399.76 ± 0.18 and a read-out noise of 5.900 ± 0.070."
    )
    assert sentences.camera_sentence({**CAMERA, "counts_like": True}) == (
        "Judging by the noise of neighbouring patterns, one unit of intensity is one electron "
        "(gain 4.04 ± 0.10)."
    )
    assert sentences.camera_sentence({"counts_like": True}) == ""
    assert sentences.camera_sentence({"camera_unknown": "too few"}) == (
        "The camera could not be measured: too few."
    )
    assert sentences.camera_sentence({"counts_like": False}) == ""


def test_a_point_spread_and_the_weights_by_noise_are_told():
    spread = {"camera_shift": -391.0, "camera_spread": 0.4604, "camera_spread_error": 0.0108}
    assert sentences.camera_sentence({**CAMERA, **spread}).endswith(
        "5.900 ± 0.070. Each electron is seen by several pixels (point spread): neighbours share "
        "46.0 ± 1.1 % of the noise of electrons. The analysis weights values by this noise."
    )
    said = sentences.camera_sentence({**CAMERA, **spread, "camera_spread": 0.0})
    assert said.endswith("5.900 ± 0.070. The analysis weights values by this noise.")


@pytest.mark.parametrize(
    ("error", "noise", "noise_error", "rough"),
    [
        (53.8, 14.1, 3.9, True),
        (14.2, 14.1, 3.9, True),
        (14.0, 14.1, 3.9, False),
        # Noise of read-out that was not found is as uncertain as its error.
        (0.001, 0.0, 0.032, False),
        (0.04, 0.0, 0.032, True),
    ],
)
def test_an_offset_that_noise_does_not_tell_is_known_only_roughly(error, noise, noise_error, rough):
    said = sentences.camera_sentence(
        {
            **CAMERA,
            "camera_offset": -0.2,
            "camera_offset_error": error,
            "camera_read_noise": noise,
            "camera_read_noise_error": noise_error,
        }
    )
    assert ("(known only roughly) and a read-out noise" in said) == rough


def test_a_stretched_contrast_has_no_gain():
    facts = {"counts_like": False, "camera_gamma": 0.55, "camera_gamma_error": 0.02}
    assert sentences.camera_sentence(facts) == (
        "Judging by the noise of neighbouring patterns, the contrast was stretched: intensities "
        "grow with about the power 0.550 ± 0.020 (gamma) of the number of electrons. They are not "
        "proportional to it, so there is no one gain."
    )
    assert sentences.camera_sentence({**CAMERA, **facts}) == sentences.camera_sentence(facts)
    assert sentences.camera_sentence({**facts, "counts_like": True}) == ""


def test_positions_that_were_not_measured_are_told_from_those_without_a_pattern():
    measured = np.ones((8, 10), np.uint8)
    assert sentences.not_measured_sentences(None) == []
    assert sentences.not_measured_sentences(measured) == []
    measured[7] = 0
    (said,) = sentences.not_measured_sentences(measured)
    assert said.startswith("10 positions (12 %) were not measured")
    measured[7, 1:] = 1
    assert sentences.not_measured_sentences(measured)[0].startswith("1 position (1.2 %) was not")


def test_guesses_are_sentences_and_there_need_be_none():
    guesses = ["the file does not say its shape; read as 4×5", "NXdata has no axes."]
    assert sentences.guess_sentences({"guesses": guesses}) == [
        "The file does not say its shape; read as 4×5.",
        "NXdata has no axes.",
    ]
    assert sentences.guess_sentences({}) == sentences.guess_sentences({"guesses": []}) == []
