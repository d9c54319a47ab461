"""Calibrations that somebody gives."""

import numpy as np
import pytest

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.meaning.given import (
    calibrate,
    read_beam_energy,
    read_detector_step,
    read_scan_step,
    stored_beam_energy,
)
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError


@pytest.mark.parametrize(
    ("text", "nm"),
    [("2nm", 2), ("5 Å", 0.5), ("5A", 0.5), (".5nm", 0.5), ("0.1µm", 100), ("0.1um", 100),
     ("2e-9 m", 2), ("20pm", 0.02)],
)  # fmt: skip
def test_scan_steps_are_lengths(text, nm):
    assert read_scan_step(text) == pytest.approx(nm)


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("0.01/Å", 0.01, "1/Å"), ("0.01/A", 0.01, "1/Å"), ("0.01 1/A", 0.01, "1/Å"),
        ("0.1/nm", 0.1, "1/nm"), ("0.1 1/nm", 0.1, "1/nm"), ("0.1 nm^-1", 0.1, "1/nm"),
        ("0.01 Å⁻¹", 0.01, "1/Å"), ("0.5mrad", 0.5, "mrad"), ("1e-4 rad", 1e-4, "rad"),
        ("0.1 q_nm^-1", 0.1, "rad/nm"),
    ],
)  # fmt: skip
def test_detector_steps_are_reciprocal_lengths_or_angles(text, value, unit):
    assert read_detector_step(text) == (value, unit)


@pytest.mark.parametrize(
    ("text", "kev"),
    [("200keV", 200), ("200 kV", 200), ("200kev", 200), ("80000V", 80), ("3e5 eV", 300),
     ("0.3MV", 300)],
)  # fmt: skip
def test_beam_energies_are_energies_or_voltages(text, kev):
    assert read_beam_energy(text) == pytest.approx(kev)


@pytest.mark.parametrize(
    ("read", "text", "why"),
    [
        (read_scan_step, "2", "must be a number with its unit"),
        (read_scan_step, "nm", "must be a number with its unit"),
        (read_scan_step, "-2nm", "must be a number with its unit"),
        (read_scan_step, "2 1/nm", "must be a number with its unit"),
        (read_scan_step, "2m", "cannot be right: must be from 0.001 to 100000 nm"),
        (read_scan_step, "0nm", "cannot be right"),
        (read_detector_step, "0.01", "must be a number with its unit"),
        (read_detector_step, "0.01nm", "must be a number with its unit"),
        (read_detector_step, "50/Å", "cannot be right: must be from 1e-06 to 10 1/Å"),
        (read_beam_energy, "200", "must be a number with its unit"),
        (read_beam_energy, "200000kV", "cannot be right: must be from 0.5 to 3000 keV"),
    ],
)
def test_what_no_microscope_has_is_refused(read, text, why):
    with pytest.raises(ValueError, match=why):
        read(text)


def test_what_is_unlikely_is_said_of_what_is_given_too():
    found = calibrate(
        *(axes(1, ""), axes(1, ""), None),
        scan_step="50µm",
        detector_step="5e-6/Å",
        given_energy="3keV",
    )
    assert found.scan.step == (5e4, 5e4)
    assert sum("is unlikely" in note for note in found.notes) == 3


def axes(scale, units):
    return Axis("y", 4, scale, units), Axis("x", 5, scale, units)


def test_what_is_given_goes_before_what_the_file_says():
    found = calibrate(
        axes(3, "nm"),
        axes(0.2, "1/nm"),
        300.0,
        scan_step="2nm",
        detector_step="0.1/nm",
        given_energy="200kV",
    )
    assert (found.scan.step, found.scan.units) == ((2.0, 2.0), "nm")
    assert found.detector.step == pytest.approx((0.01, 0.01))
    assert found.beam_energy_kev == 200
    assert found.notes == (
        "beam energy 200 keV, as given; the file says 300 keV",
        "scan step 2 nm, as given; the file says 3 nm",
        "detector step 0.1 1/nm, as given; the file says 0.02 1/Å",
    )


def test_nothing_given_leaves_what_the_file_says():
    found = calibrate(axes(2, "nm"), axes(0.1, "1/nm"), 200.0)
    assert (found.scan.step, found.beam_energy_kev, found.notes) == ((2.0, 2.0), 200.0, ())


def test_a_given_angle_needs_the_beam_energy_from_somebody():
    with pytest.raises(InputError, match="--beam-energy 200keV"):
        calibrate(axes(1, ""), axes(1, ""), None, detector_step="1mrad")
    given = calibrate(axes(1, ""), axes(1, ""), None, detector_step="1mrad", given_energy="200kV")
    stored = calibrate(axes(1, ""), axes(1, ""), 200.0, detector_step="1mrad")
    # 1 mrad at 200 keV: 0.001 / 0.025079 Å
    for found in (given, stored):
        assert found.detector.step == pytest.approx((0.039874, 0.039874), rel=1e-4)
    with pytest.raises(InputError, match="--detector-step 1 rad"):
        calibrate(axes(1, ""), axes(1, ""), 200.0, detector_step="1 rad")


def test_a_given_energy_makes_the_angles_of_a_file_reciprocal_lengths():
    found = calibrate(axes(1, ""), axes(1, "mrad"), None, given_energy="200kV")
    assert found.detector.step == pytest.approx((0.039874, 0.039874), rel=1e-4)


def test_a_file_without_calibration_gets_one(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    given = {"scan_step": "2nm", "detector_step": "0.5mrad", "beam_energy": "200kV"}
    plain, found = (open_acquisition(tmp_path / "scan.npy", **g) for g in ({}, given))
    assert (found.scan_step, found.scan_units) == ((2.0, 2.0), "nm")
    assert found.detector_step == pytest.approx((0.019937, 0.019937), rel=1e-4)
    assert (found.detector_units, found.beam_energy_kev) == ("1/Å", 200)
    assert (plain.scan_units, plain.detector_units, plain.beam_energy_kev) == ("px", "px", None)
    # What is computed with another calibration must not pass for the same.
    assert found.identity != plain.identity


@pytest.mark.parametrize(
    ("stored", "kev"),
    [(200.0, 200), ("200 kV", 200), ("80000V", 80), ("0.3 MeV", 300), ("high", None), (None, None),
     (float("nan"), None), ("300", 300)],
)  # fmt: skip
def test_a_beam_energy_is_read_as_a_number_or_a_text_with_its_unit(stored, kev):
    assert stored_beam_energy(stored) == (None if kev is None else pytest.approx(kev))
