"""Turn what a file says about its axes into nm and 1/Å, or say why it cannot be used.

A microscope's file may give centimetres on the detector, nothing at all, or 10¹⁷. A calibration
that makes no sense is worse than none: it is dropped, the axis is counted in pixels, and a note
in plain words says so.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

NM_PER_UNIT = {"pm": 1e-3, "Å": 0.1, "nm": 1.0, "µm": 1e3, "mm": 1e6, "cm": 1e7, "m": 1e9}
RADIAN_PER_UNIT = {"rad": 1.0, "mrad": 1e-3, "µrad": 1e-6, "deg": math.pi / 180}

# An electron probe is not stepped by less than a thousandth of a nanometre, nor by more than a
# tenth of a millimetre; a detector pixel covers neither less than 10⁻⁶ nor more than 10 1/Å.
PLAUSIBLE_SCAN_STEP_NM = (1e-3, 1e5)
PLAUSIBLE_DETECTOR_STEP_PER_ANGSTROM = (1e-6, 10.0)

# Electron microscopes work from some 0.5 kV (scanning) to 3 MV (the largest ever built).
PLAUSIBLE_BEAM_ENERGY_KEV = (0.5, 3000.0)

# What is within these limits and beyond the following is kept, and said to be unlikely: steps
# far below the distance of atoms, or larger than what is thin enough of a sample; electrons that
# hardly pass one.
USUAL_SCAN_STEP_NM = (1e-2, 1e4)
FEWEST_USUAL_KEV = 10.0
# From the middle of a pattern to its edge: crystals have their first reflections at 0.1 to 0.5 1/Å,
# and the last ones, which the vibration of their atoms allows, at some 5. Patterns of few pixels
# may have been cut out of larger ones.
USUAL_HALF_WIDTH_PER_ANGSTROM = (0.1, 20.0)
FEWEST_PIXELS_ACROSS = 32

# A detector behind a thin sample sees at most this angle from side to side.
LARGEST_ANGLE_RAD = 2.0

# Pixels that are not square happen in scans; a larger ratio than this is a fault in the file.
LARGEST_RATIO_OF_STEPS = {"scan": 10.0, "detector": 2.0}


@dataclass(frozen=True)
class Axis:
    """One axis of a data set as its file describes it.

    Parameters
    ----------
    name : str
    size : int
    scale : float
        Step from one position or pixel to the next, in ``units``.
    units : str
        Empty where the file gives none.
    navigate : bool or None
        True for a scan axis, False for a detector axis, None where the file does not tell.
    """

    name: str
    size: int
    scale: float = 1.0
    units: str = ""
    navigate: bool | None = None


@dataclass(frozen=True)
class Calibration:
    """Steps along (y, x), their unit ("nm", "1/Å" or "px") and what was repaired or dropped."""

    step: tuple[float, float]
    units: str
    notes: tuple[str, ...] = ()


def electron_wavelength(beam_energy_kev: float) -> float:
    """Return the relativistic de Broglie wavelength of the electrons.

    Parameters
    ----------
    beam_energy_kev : float
        Accelerating voltage, in kV. Must be positive.

    Returns
    -------
    float, Å
        ``h c / sqrt(E² + 2 E m c²)``

    References
    ----------
    CODATA 2018: h c = 12.398419843 keV Å, m c² = 510.99895 keV.
    """
    if not beam_energy_kev > 0:
        raise ValueError(f"the beam energy must be positive; it is {beam_energy_kev} keV")
    return 12.398419843 / math.sqrt(beam_energy_kev * (beam_energy_kev + 2 * 510.99895))


def plain_unit(text: object) -> str:
    """Return a unit in one spelling: ``$A^{-1}$``, ``1 / Å`` and ``Å⁻¹`` all become ``1/Å``.

    Units with the name of their quantity, as pyxem has them, lose it: ``k_nm^-1`` becomes ``1/nm``
    and ``2th_rad`` ``rad``. Since q is 2π k, ``q_nm^-1`` becomes ``rad/nm``.

    Parameters
    ----------
    text : object
        As the file has it; anything that is not a string counts as no unit.

    Returns
    -------
    str
        Empty where there is no unit; the text itself, without spaces, where it is not known.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not isinstance(text, str) or text.strip().lower() in ("", "<undefined>", "none", "1"):
        return ""
    text = re.sub(r"^\s*(1\s*)?(inverse|reciprocal|per)[\s_-]+", "1/", text, flags=re.I)
    text = re.sub(r"\s+per\s+", "/", text, flags=re.I)
    unit = re.sub(r"[\s${}\\()\[\]]", "", text).replace("AA", "Å").replace("\u212b", "Å")
    unit = unit.replace("⁻¹", "^-1").replace("**", "^").replace("^−1", "^-1")
    quantity = re.match(r"(k|q|2th|2theta|2θ)_", unit)
    unit = unit[quantity.end() :] if quantity else unit
    unit = re.sub(r"^([pnumµμ])_(?=m|rad)", r"\1", unit)  # as EMD files write nm: n_m
    # Cycles are counted once for each turn, and k in units of 2π/nm is k in 1/nm.
    unit = re.sub(r"^(cycles?|2\*?(pi|π))/", "1/", unit, flags=re.I)
    unit = re.sub(r"^radians?(?=[/*·])", "rad", unit, flags=re.I)
    unit = re.sub(r"^rad[*·]?(?=[^/*·].*-1$)(.+?)\^?-1$", r"rad/\1", unit)
    over = ""
    for prefix in ("1/", "rad/", "/"):
        if unit.startswith(prefix):
            unit, over = unit.removeprefix(prefix), "rad/" if prefix == "rad/" else "1/"
            break
    if not over and re.search(r"\^?-1$", unit):
        unit, over = re.sub(r"\^?-1$", "", unit), "1/"
    if over and quantity and quantity[1] == "q":
        over = "rad/"
    names = {
        "a": "Å", "å": "Å", "ang": "Å", "angstrom": "Å", "ångström": "Å", "ångstrom": "Å",
        "angström": "Å", "nanometer": "nm", "nm": "nm", "um": "µm", "μm": "µm", "micron": "µm",
        "micrometer": "µm", "picometer": "pm", "millimeter": "mm", "centimeter": "cm",
        "meter": "m", "millirad": "mrad", "milliradian": "mrad", "mrad": "mrad", "urad": "µrad",
        "μrad": "µrad", "microradian": "µrad", "radian": "rad", "rad": "rad", "degree": "deg",
        "°": "deg", "px": "px", "pix": "px", "pixel": "px",
    }  # fmt: skip
    spelled = unit.lower().replace("metre", "meter")
    one = spelled.removesuffix("s") if len(spelled) > 3 else spelled
    unit = names.get(spelled) or names.get(one, unit)
    if unit == "px":
        return ""
    return over + unit


def beam_energy(value: float | None) -> tuple[float | None, tuple[str, ...]]:
    """Return the beam energy of a file in keV, and what had to be done with it.

    Parameters
    ----------
    value : float or None
        As the file has it, where keV belongs; some programs write V, others kV where V belongs.
    """
    if value is None or value == 0 or not math.isfinite(value):
        return None, ()
    low, high = PLAUSIBLE_BEAM_ENERGY_KEV
    for kev, meant in ((value, ""), (value / 1e3, "V"), (value * 1e3, "kV where V belongs")):
        if low <= kev <= high:
            note = f"a beam energy of {value:g} keV cannot be right: it is {meant}, {kev:g} keV"
            return kev, ((note,) if meant else ()) + unusual_energy(kev)
    return None, (f"a beam energy of {value:g} keV cannot be right: left out",)


def unusual_energy(kev: float) -> tuple[str, ...]:
    """Say that a beam energy is unlikely for diffraction in transmission."""
    if kev >= FEWEST_USUAL_KEV:
        return ()
    return (
        f"a beam energy of {kev:g} keV is unlikely: electrons of 10 to 400 keV, or up to "
        "3 MeV, pass a sample (--beam-energy gives another)",
    )


def unusual_scan_step(steps: tuple[float, float]) -> tuple[str, ...]:
    """Say that steps in nm are hardly those of a scan."""
    low, high = USUAL_SCAN_STEP_NM
    if low <= min(steps) and max(steps) <= high:
        return ()
    step = min(steps) if min(steps) < low else max(steps)
    return (
        f"scan calibration is unlikely: steps of {step:.3g} nm, where {low:g} to {high:g} nm "
        "are usual (--scan-step gives another)",
    )


def scan_calibration(y: Axis, x: Axis) -> Calibration:
    """Return the scan steps in nm, or 1 px each with a note where they make no sense."""
    metres = [_in_metres(axis) for axis in (y, x)]
    axes = (y, x) if None in metres else tuple(metres)
    found = _calibration("scan", "nm", axes, _nanometres, PLAUSIBLE_SCAN_STEP_NM)
    if found.units == "nm":
        found = replace(found, notes=(*found.notes, *unusual_scan_step(found.step)))
    if axes == (y, x):
        return found
    note = f"a scan step of {y.scale:g} {plain_unit(y.units)} cannot be right: taken as metres"
    return replace(found, notes=(note, *found.notes))


def _in_metres(axis: Axis) -> Axis | None:
    """Return an axis in metres where its step is far too small for its unit, and right in m."""
    unit = plain_unit(axis.units)
    if unit not in NM_PER_UNIT or unit == "m" or not math.isfinite(axis.scale):
        return None
    low, high = PLAUSIBLE_SCAN_STEP_NM
    step = abs(axis.scale)
    too_small = step * NM_PER_UNIT[unit] < low
    return replace(axis, units="m") if too_small and low <= step * 1e9 <= high else None


def detector_calibration(y: Axis, x: Axis, beam_energy_kev: float | None = None) -> Calibration:
    """Return the detector steps in 1/Å, or 1 px each with a note where they make no sense.

    Scattering angles become reciprocal lengths where the beam energy is known:
    ``2 sin(θ/2) / λ``, which for the angle of one pixel is ``θ / λ``.
    """

    def convert(scale: float, unit: str) -> float | str:
        return inverse_angstroms(scale, unit, beam_energy_kev)

    found = _calibration("detector", "1/Å", (y, x), convert, PLAUSIBLE_DETECTOR_STEP_PER_ANGSTROM)
    return replace(found, notes=(*found.notes, *_unusual_width(y, x, found, beam_energy_kev)))


def _unusual_width(
    y: Axis, x: Axis, found: Calibration, beam_energy_kev: float | None
) -> tuple[str, ...]:
    """Say where a detector would see more, or less, than patterns of a microscope show to it."""
    if found.units != "1/Å":
        return ()
    each = tuple(zip((y, x), found.step, strict=True))
    across = max(axis.size * step for axis, step in each)
    at_most = max(max(axis.size, FEWEST_PIXELS_ACROSS) * step for axis, step in each)
    angle = 0.0 if beam_energy_kev is None else across * electron_wavelength(beam_energy_kev)
    low, high = USUAL_HALF_WIDTH_PER_ANGSTROM
    if angle > LARGEST_ANGLE_RAD:
        seen = f"{angle:.3g} rad from side to side"
    elif across / 2 > high:
        seen = f"{across / 2:.3g} 1/Å from the middle to its edge, where no crystal diffracts"
    elif at_most / 2 < low:
        seen = f"{across / 2:.3g} 1/Å from the middle to its edge, within the first reflections"
    else:
        return ()
    return (
        f"detector calibration is unlikely: the detector would see {seen} "
        "(--detector-step gives another)",
    )


def _nanometres(scale: float, unit: str) -> float | str:
    """Return a length in nm, or why it is none."""
    if unit in NM_PER_UNIT:
        return scale * NM_PER_UNIT[unit]
    return f"{unit!r} is not a length"


def inverse_angstroms(scale: float, unit: str, beam_energy_kev: float | None) -> float | str:
    """Return a reciprocal length in 1/Å, or why it is none.

    Parameters
    ----------
    scale : float
        In ``unit``, which is spelled as by ``plain_unit``.
    beam_energy_kev : float or None
        Needed for angles.
    """
    over, _, length = unit.partition("/")
    if over in ("1", "rad") and length in NM_PER_UNIT:
        return scale / (10 * NM_PER_UNIT[length]) / (2 * math.pi if over == "rad" else 1)
    if unit in RADIAN_PER_UNIT:
        if beam_energy_kev is None:
            return f"{unit} cannot become 1/Å without the beam energy (--beam-energy gives it)"
        return scale * RADIAN_PER_UNIT[unit] / electron_wavelength(beam_energy_kev)
    return f"{unit!r} is not a reciprocal length"


def _calibration(
    what: str,
    target: str,
    axes: tuple[Axis, Axis],
    convert: Callable[[float, str], float | str],
    plausible: tuple[float, float],
) -> Calibration:
    """Convert both axes; drop the calibration of both when either makes no sense."""
    units = [plain_unit(axis.units) for axis in axes]
    if not any(units):
        return Calibration((1.0, 1.0), "px", (f"the file gives no {what} calibration: pixels",))
    notes: list[str] = []
    steps: list[float] = []
    for axis, unit, letter in zip(axes, units, "yx", strict=True):
        step, note = _step(float(axis.scale), unit, convert, plausible, target)
        if step is None:
            dropped = f"{what} calibration dropped, pixels used: {note} (axis {letter})"
            return Calibration((1.0, 1.0), "px", (dropped,))
        if note:
            notes.append(f"{what} axis {letter}: {note}")
        steps.append(step)
    ratio = max(steps) / min(steps)
    if ratio > LARGEST_RATIO_OF_STEPS[what]:
        dropped = (
            f"{what} calibration dropped, pixels used: "
            f"the steps differ {ratio:.3g}-fold between y and x"
        )
        return Calibration((1.0, 1.0), "px", (dropped,))
    if ratio > 1.01:
        notes.append(f"{what} steps differ between y ({steps[0]:.4g}) and x ({steps[1]:.4g})")
    return Calibration((steps[0], steps[1]), target, tuple(notes))


def _step(
    scale: float,
    unit: str,
    convert: Callable[[float, str], float | str],
    plausible: tuple[float, float],
    target: str,
) -> tuple[float | None, str]:
    """Return one axis' step and a note on its repair, or None and why it cannot be used."""
    if not unit:
        return None, "no unit given"
    if not math.isfinite(scale) or scale == 0:
        return None, f"a step of {scale} {unit}"
    step = convert(abs(scale), unit)
    if isinstance(step, str):
        return None, f"{step} ({scale:.4g} {unit} in the file)"
    if not plausible[0] <= step <= plausible[1]:
        return None, f"a step of {scale:.4g} {unit} cannot be right ({step:.3g} {target})"
    if scale < 0:
        return step, f"negative step {scale:.4g} {unit}: the axis runs the other way, size kept"
    return step, ""
