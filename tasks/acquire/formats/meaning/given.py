"""Calibrations that somebody gives with their units, which go before what the file says."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from orimap.tasks.acquire.formats.calibration import (
    NM_PER_UNIT,
    PLAUSIBLE_BEAM_ENERGY_KEV,
    PLAUSIBLE_DETECTOR_STEP_PER_ANGSTROM,
    PLAUSIBLE_SCAN_STEP_NM,
    RADIAN_PER_UNIT,
    Axis,
    Calibration,
    beam_energy,
    detector_calibration,
    inverse_angstroms,
    plain_unit,
    scan_calibration,
    unusual_energy,
    unusual_scan_step,
)
from orimap.tasks.errors import InputError

KEV_PER_UNIT = {"eV": 1e-3, "keV": 1.0, "MeV": 1e3}
# An electron that passes 1 kV has 1 keV; capitals matter little, since nobody has 200 meV.
ENERGY_UNITS = {"v": "eV", "kv": "keV", "mv": "MeV", "ev": "eV", "kev": "keV", "mev": "MeV"}
NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


class Microscope(NamedTuple):
    """The calibrations of an acquisition: of scan and detector, beam energy in keV, and notes."""

    scan: Calibration
    detector: Calibration
    beam_energy_kev: float | None
    notes: tuple[str, ...]


def read_scan_step(text: str) -> float:
    """Return a scan step in nm: ``2nm``, ``5 Å``, ``0.1µm``; ValueError where it is none."""
    value, unit = _quantity(text, NM_PER_UNIT, "2nm, 5Å or 0.1µm")
    return _plausible(value * NM_PER_UNIT[unit], PLAUSIBLE_SCAN_STEP_NM, "nm")


def read_detector_step(text: str) -> tuple[float, str]:
    """Return a detector step, and its unit: ``0.01/Å``, ``0.01 1/A``, ``0.1 1/nm``, ``0.5mrad``.

    Raises
    ------
    ValueError
        If it is neither a reciprocal length nor an angle, or too small or too large.
    """
    lengths = [over + length for over in ("1/", "rad/") for length in NM_PER_UNIT]
    value, unit = _quantity(text, [*lengths, *RADIAN_PER_UNIT], "0.01/Å, 0.1/nm or 0.5mrad")
    step = inverse_angstroms(value, unit, None)
    if isinstance(step, float):  # angles are not known in 1/Å without the beam energy
        _plausible(step, PLAUSIBLE_DETECTOR_STEP_PER_ANGSTROM, "1/Å")
    return value, unit


def read_beam_energy(text: str) -> float:
    """Return a beam energy in keV: ``200keV``, ``200 kV``, ``80000V``; ValueError for others."""
    value, unit = _quantity(text, KEV_PER_UNIT, "200keV or 200kV", ENERGY_UNITS)
    return _plausible(value * KEV_PER_UNIT[unit], PLAUSIBLE_BEAM_ENERGY_KEV, "keV")


def stored_beam_energy(value: object) -> float | None:
    """Return a beam energy as a file holds it: a number, where keV belongs, or a text with unit.

    Returns
    -------
    float or None
        As `calibrate` takes it; None where it says nothing.
    """
    try:
        kev = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        try:
            return read_beam_energy(str(value))
        except ValueError:
            return None
    return kev if math.isfinite(kev) else None


def calibrate(
    scan: tuple[Axis, Axis],
    detector: tuple[Axis, Axis],
    stored_energy: float | None,
    *,
    scan_step: str | None = None,
    detector_step: str | None = None,
    given_energy: str | None = None,
) -> Microscope:
    """Return the calibrations of an acquisition: what is given, else what its file says.

    Parameters
    ----------
    scan, detector : (Axis, Axis)
        Of the file, y before x.
    stored_energy : float or None
        Where keV belongs in the file.
    scan_step, detector_step, given_energy : str, optional
        As ``read_scan_step`` and its siblings read them.

    Raises
    ------
    InputError
        If the detector step is given as an angle and nobody knows the beam energy.
    """
    energy, notes = beam_energy(stored_energy)
    if given_energy is not None:
        given = read_beam_energy(given_energy)
        said = _instead("beam energy", f"{given:g} keV", energy and f"{energy:g} keV")
        energy, notes = given, (said, *unusual_energy(given))
    steps = scan_calibration(*scan)
    if scan_step is not None:
        nm = read_scan_step(scan_step)
        said = _instead("scan step", f"{nm:g} nm", _said(steps))
        steps = Calibration((nm, nm), "nm", (said, *unusual_scan_step((nm, nm))))
    pixels = detector_calibration(*detector, energy)
    if detector_step is not None:
        value, unit = read_detector_step(detector_step)
        if unit in RADIAN_PER_UNIT and energy is None:
            raise InputError(
                "the beam energy, to turn an angle into 1/Å",
                f"--detector-step {detector_step}, and no beam energy in the file",
                "give it too, for instance --beam-energy 200keV",
            )
        y, x = (Axis(axis.name, axis.size, value, unit) for axis in detector)
        given_pixels = detector_calibration(y, x, energy)
        if given_pixels.units == "px":
            raise InputError(
                "the detector step of an electron microscope",
                f"--detector-step {detector_step}: {given_pixels.notes[0]}",
                "correct --detector-step or --beam-energy",
            )
        said = _instead("detector step", f"{value:g} {unit}", _said(pixels))
        pixels = Calibration(given_pixels.step, given_pixels.units, (said, *given_pixels.notes))
    return Microscope(steps, pixels, energy, (*notes, *steps.notes, *pixels.notes))


def _quantity(
    text: str, units: Sequence[str] | dict, example: str, names: dict[str, str] | None = None
) -> tuple[float, str]:
    """Split a number from its unit; the unit must be one of those."""
    match = re.fullmatch(rf"\s*({NUMBER})\s*(.*?)\s*", str(text))
    unit = plain_unit(match[2]) if match else ""
    unit = (names or {}).get(unit.lower(), unit)
    if match is None or unit not in units:
        raise ValueError(f"must be a number with its unit, for instance {example}")
    return float(match[1]), unit


def _plausible(value: float, bounds: tuple[float, float], unit: str) -> float:
    """Return a value that an electron microscope may have; complain of any other."""
    if not bounds[0] <= value <= bounds[1]:
        raise ValueError(f"cannot be right: must be from {bounds[0]:g} to {bounds[1]:g} {unit}")
    return value


def _said(found: Calibration) -> str:
    """Return the steps of a file in words, nothing where there are none."""
    return "" if found.units == "px" else f"{found.step[0]:.4g} {found.units}"


def _instead(what: str, given: str, stored: str | None) -> str:
    """Say that something was given, and what the file says where it says anything."""
    return f"{what} {given}, as given" + (f"; the file says {stored}" if stored else "")
