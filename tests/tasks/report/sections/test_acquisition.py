import numpy as np
import pytest

from orimap.tasks.report.results import read_results
from orimap.tasks.report.sections import acquisition
from orimap.tasks.report.sections.reflections import uniform_sentences


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ([2.5, 2.5], "512 × 400 positions, 2.5 nm apart (1280 × 1000 nm)"),
        ([0.25, 2.0], "512 × 400 positions, 0.25 × 2 nm apart (128 × 800 nm)"),
    ],
)
def test_the_size_of_a_scan_is_told_in_plain_figures(step, said):
    facts = {"scan_step": step, "scan_units": "nm"}
    assert acquisition.acquisition_sentence((512, 400), None, facts) == said


def test_the_acquisition_is_told_with_pixels_and_beam_energy():
    facts = {"detector_step": [0.02, 0.02], "detector_units": "1/Å", "beam_energy_kev": 200.0}
    assert acquisition.acquisition_sentence((4, 5), (6, 7), facts) == (
        "4 × 5 positions, step unknown; patterns of 6 × 7 pixels of 0.02\u00a0Å⁻¹; 200 keV"
    )
    assert acquisition.acquisition_sentence(None, None, {}) == ""


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
    assert acquisition.intensity_sentence(facts) == said


def test_the_beam_s_range_leaves_out_patterns_without_a_measurement():
    shift = np.zeros((3, 4, 2))
    shift[..., 0] = np.linspace(-1, 1, 12).reshape(3, 4)
    shift[0, 0] = np.nan
    said = acquisition.beam_shift_sentence(shift)
    assert said.startswith("Relative to its reference, the direct beam lies at −0.81 to 0.99 px ")
    assert said.endswith(
        "along y and 0 to 0 px along x; in 1 pattern (grey) its position was not measured."
    )
    assert acquisition.beam_shift_sentence(None) == ""


def test_what_was_measured_is_told_from_what_is_stored(small_store):
    results = read_results(small_store)
    assert acquisition.measured_sentence(results) == (
        "6 × 7 positions, 2.5 nm apart (15 × 17.5 nm); patterns of 12 × 12 pixels of "
        "0.02\u00a0Å⁻¹; 200 keV"
    )
    assert uniform_sentences(results)[-1] == "The dark field of 1:4,1:4 is 0 electrons everywhere."


CAMERA = {
    "counts_like": False, "camera_gain": 4.04, "camera_gain_error": 0.1, "camera_offset": 399.76,
    "camera_offset_error": 0.18, "camera_read_noise": 5.9, "camera_read_noise_error": 0.07,
}  # fmt: skip


def test_a_camera_that_was_measured_is_named_unless_values_are_counts():
    assert acquisition.camera_sentence(CAMERA) == (
        "Measured from neighbouring patterns, the camera has a gain of 4.04 ± 0.10 per electron, "
        "an offset of 399.76 ± 0.18 and a read-out noise of 5.900 ± 0.070."
    )
    assert acquisition.camera_sentence({**CAMERA, "counts_like": True}) == (
        "Judging by the noise of neighbouring patterns, one unit of intensity is one electron "
        "(gain 4.04 ± 0.10)."
    )
    assert acquisition.camera_sentence({"counts_like": True}) == ""
    assert acquisition.camera_sentence({"camera_unknown": "too few"}) == (
        "The camera could not be measured: too few."
    )
    assert acquisition.camera_sentence({"counts_like": False}) == ""


def test_a_point_spread_and_the_weights_by_noise_are_told():
    spread = {"camera_shift": -391.0, "camera_spread": 0.4604, "camera_spread_error": 0.0108}
    assert acquisition.camera_sentence({**CAMERA, **spread}).endswith(
        "5.900 ± 0.070. Each electron is seen by several pixels (point spread): neighbours share "
        "46.0 ± 1.1 % of the noise of electrons. The analysis weights values by this noise."
    )
    said = acquisition.camera_sentence({**CAMERA, **spread, "camera_spread": 0.0})
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
    said = acquisition.camera_sentence(
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
    assert acquisition.camera_sentence(facts) == (
        "Judging by the noise of neighbouring patterns, the contrast was stretched: intensities "
        "grow with about the power 0.550 ± 0.020 (gamma) of the number of electrons. They are not "
        "proportional to it, so there is no one gain."
    )
    assert acquisition.camera_sentence({**CAMERA, **facts}) == acquisition.camera_sentence(facts)
    assert acquisition.camera_sentence({**facts, "counts_like": True}) == ""


def test_guesses_are_sentences_and_there_need_be_none():
    guesses = ["the file does not say its shape; read as 4×5", "NXdata has no axes."]
    assert acquisition.guess_sentences({"guesses": guesses}) == [
        "The file does not say its shape; read as 4×5.",
        "NXdata has no axes.",
    ]
    assert acquisition.guess_sentences({}) == acquisition.guess_sentences({"guesses": []}) == []


def test_noise_that_does_not_fall_is_not_said_to():
    falling, growing = np.array([1.0, 3, 2]), np.array([1.0, 2, 3])
    gamma = {"camera_gamma": 0.5}
    assert "falls towards the brightest" in acquisition.noise_sentence(gamma, falling)
    for variance in (growing, None):
        said = acquisition.noise_sentence(gamma, variance)
        assert "falls" not in said
        assert "no gain describes it" in said
    assert "the factor is the gain" in acquisition.noise_sentence({}, falling)
