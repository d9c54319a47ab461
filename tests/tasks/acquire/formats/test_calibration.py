import math

import pytest

from orimap.tasks.acquire.formats.calibration import (
    Axis,
    beam_energy,
    detector_calibration,
    electron_wavelength,
    plain_unit,
    scan_calibration,
)


def both(scale, units):
    return Axis("y", 4, scale, units), Axis("x", 5, scale, units)


@pytest.mark.parametrize(
    ("energy_kev", "wavelength"),
    [(80, 0.041757), (100, 0.037014), (200, 0.025079), (300, 0.019687)],
)
def test_electron_wavelengths_are_those_of_the_textbooks(energy_kev, wavelength):
    # Williams & Carter, Transmission Electron Microscopy, table 1.2 (in Å here).
    assert electron_wavelength(energy_kev) == pytest.approx(wavelength, abs=2e-6)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("$A^{-1}$", "1/Å"), ("1 / nm", "1/nm"), ("1/Å", "1/Å"), ("Å^-1", "1/Å"), ("nm⁻¹", "1/nm"),
        ("A", "Å"), (r"$\AA^{-1}$", "1/Å"), ("um", "µm"), ("μm", "µm"), ("<undefined>", ""),
        (None, ""), ("", ""), ("1", ""), ("px", ""), ("cm", "cm"), (b"nm", "nm"),
        ("k_nm^-1", "1/nm"), ("k_A^-1", "1/Å"), ("k_Å^-1", "1/Å"), ("q_nm^-1", "rad/nm"),
        ("q_A^-1", "rad/Å"), ("2th_rad", "rad"), ("2th_deg", "deg"), ("nm$^{-1}$", "1/nm"),
        ("Å^{-1}", "1/Å"), ("[n_m^-1]", "1/nm"), ("[n_m]", "nm"), ("rad/Å", "rad/Å"),
    ],
)  # fmt: skip
def test_one_unit_has_one_spelling(text, unit):
    assert plain_unit(text) == unit


@pytest.mark.parametrize(
    ("scale", "units", "step_nm"), [(2, "nm", 2), (20, "Å", 2), (0.002, "µm", 2), (2e-9, "m", 2)]
)
def test_scan_steps_become_nanometres(scale, units, step_nm):
    found = scan_calibration(*both(scale, units))
    assert found.step == pytest.approx((step_nm, step_nm))
    assert (found.units, found.notes) == ("nm", ())


@pytest.mark.parametrize(
    ("scale", "units"),
    [
        (0.1, "1 / nm"), (0.01, "$A^{-1}$"), (1e8, "1/m"), (100, "1/µm"), (0.1, "k_nm^-1"),
        (0.01, "k_A^-1"), (0.2 * math.pi, "q_nm^-1"), (0.02 * math.pi, "q_A^-1"),
    ],
)  # fmt: skip
def test_detector_steps_become_inverse_angstroms(scale, units):
    found = detector_calibration(*both(scale, units))
    assert found.step == pytest.approx((0.01, 0.01))
    assert (found.units, found.notes) == ("1/Å", ())


def test_angles_need_the_beam_energy():
    # 1 mrad at 200 keV: 0.001 / 0.025079 Å
    found = detector_calibration(*both(1, "mrad"), 200)
    assert found.step == pytest.approx((0.039874, 0.039874), rel=1e-4)
    without = detector_calibration(*both(1, "mrad"), None)
    assert without.units == "px"
    assert "beam energy" in without.notes[0]


@pytest.mark.parametrize(("scale", "units"), [(1e-3, "2th_rad"), (0.18 / math.pi, "2th_deg")])
def test_two_theta_is_the_angle_of_scattering(scale, units):
    found = detector_calibration(*both(scale, units), 200)
    assert found.step == pytest.approx((0.039874, 0.039874), rel=1e-4)


@pytest.mark.parametrize(
    ("stored", "kev", "word"),
    [
        (200.0, 200, ""), (30.0, 30, ""), (1000.0, 1000, ""), (200_000.0, 200, "it is V, 200 keV"),
        (80_000.0, 80, "it is V, 80 keV"), (0.2, 200, "kV where V belongs, 200 keV"),
        (None, None, ""), (0.0, None, ""), (float("nan"), None, ""),
        (-200.0, None, "left out"), (1e9, None, "left out"),
    ],
)  # fmt: skip
def test_a_beam_energy_that_no_microscope_has_is_converted_or_left_out(stored, kev, word):
    found, notes = beam_energy(stored)
    assert found == kev
    assert len(notes) == bool(word)
    assert word in "".join(notes)


def test_a_step_in_metres_under_another_unit_is_taken_for_metres():
    found = scan_calibration(*both(2e-9, "nm"))
    assert (found.step, found.units) == (pytest.approx((2.0, 2.0)), "nm")
    assert found.notes == ("a scan step of 2e-09 nm cannot be right: taken as metres",)
    assert scan_calibration(*both(2, "m")).units == "px"


def test_a_detector_that_would_see_half_the_world_is_named():
    wide = Axis("y", 32, 0.1, "rad"), Axis("x", 32, 0.1, "rad")
    found = detector_calibration(*wide, 200)
    assert found.step == pytest.approx((3.9874, 3.9874), rel=1e-4)
    assert "would see 3.2 rad from side to side" in found.notes[0]


@pytest.mark.parametrize("kev", [None, 200])
@pytest.mark.parametrize(
    ("step", "pixels", "said"),
    [
        (1e-5, 64, "see 0.00032 1/Å from the middle to its edge, within the first reflections"),
        (1e-5, 4096, "see 0.0205 1/Å from the middle to its edge, within the first reflections"),
        (1e-3, 256, ""),
        (0.01, 8, ""),  # may be cut out of a larger one
        (0.02, 64, ""),
        (0.3, 128, ""),
        (5, 8, ""),
        (5, 9, "see 22.5 1/Å"),
        (5, 64, "see 160 1/Å from the middle to its edge, where no crystal diffracts"),
    ],
)
def test_a_detector_that_sees_no_reflections_or_far_beyond_them_is_named(step, pixels, said, kev):
    found = detector_calibration(*(Axis("", pixels, step, "1/Å") for _ in "yx"), kev)
    assert (found.step, found.units) == ((step, step), "1/Å")
    assert len(found.notes) == bool(said)
    if kev and step == 5 and pixels == 64:
        assert "8.03 rad from side to side" in found.notes[0]
    else:
        assert said in "".join(found.notes)


@pytest.mark.parametrize(("nm", "said"), [(0.005, True), (0.01, False), (1e4, False), (2e4, True)])
def test_steps_that_hardly_make_a_scan_are_kept_and_named(nm, said):
    found = scan_calibration(*both(nm, "nm"))
    assert (found.step, found.units) == ((nm, nm), "nm")
    assert ("scan calibration is unlikely" in "".join(found.notes)) is said


@pytest.mark.parametrize(("kev", "said"), [(5, True), (10, False), (400, False), (3000, False)])
def test_electrons_that_hardly_pass_a_sample_are_named(kev, said):
    found, notes = beam_energy(kev)
    assert found == kev
    assert ("is unlikely" in "".join(notes)) is said


@pytest.mark.parametrize(
    ("scale", "units", "word"),
    [
        (0.016, "cm", "not a reciprocal length"),
        (1.7e17, "nm", "not a reciprocal length"),
        (1.7e17, "1/nm", "cannot be right"),
        (float("nan"), "1/nm", "nan"),
        (0, "1/nm", "0.0"),
    ],
)
def test_a_detector_calibration_without_sense_is_dropped_and_named(scale, units, word):
    found = detector_calibration(*both(scale, units))
    assert (found.step, found.units) == ((1.0, 1.0), "px")
    assert word in found.notes[0]


def test_a_negative_step_is_repaired_and_named():
    found = scan_calibration(Axis("y", 5, -1.87, "nm"), Axis("x", 5, 1.87, "nm"))
    assert found.step == (1.87, 1.87)
    assert "axis y: negative step" in found.notes[0]


def test_one_bad_axis_drops_both():
    found = scan_calibration(Axis("y", 5, 1.0, ""), Axis("x", 5, 1.87, "nm"))
    assert (found.step, found.units) == ((1.0, 1.0), "px")
    very_unequal = scan_calibration(Axis("y", 5, 100.0, "nm"), Axis("x", 5, 1.0, "nm"))
    assert "differ 100-fold" in very_unequal.notes[0]


def test_pixels_of_unequal_sides_are_kept_and_named():
    found = scan_calibration(Axis("y", 5, 2.0, "nm"), Axis("x", 5, 1.0, "nm"))
    assert found.step == (2.0, 1.0)
    assert "differ between y (2) and x (1)" in found.notes[0]


def test_no_units_at_all_mean_pixels():
    found = detector_calibration(*both(1.0, ""))
    assert (found.step, found.units) == ((1.0, 1.0), "px")


@pytest.mark.parametrize(
    ("texts", "unit"),
    [
        (("nanometers", "nanometres", "NM", "Nm"), "nm"),
        (("inverse angstrom", "Inverse Angstroms", "per angstrom", "reciprocal Å"), "1/Å"),
        (("inverse nanometers", "1 per nm", "cycles/nm", "cycle/nm", "2pi/nm", "2π/nm"), "1/nm"),
        (("rad nm-1", "rad nm^-1", "rad*nm^-1", "rad·nm⁻¹", "radians per nanometre"), "rad/nm"),
        (("mRad", "mrads", "milliradians"), "mrad"),
        (("micrometres", "microns"), "µm"),
        (("pix", "pixels"), ""),
        (("as",), "as"),
    ],
)
def test_units_in_words_are_those_in_letters(texts, unit):
    assert {text: plain_unit(text) for text in texts} == dict.fromkeys(texts, unit)
