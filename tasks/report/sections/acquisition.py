"""What was measured and how it was read: scan, intensities, camera, direct beam."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orimap.tasks.report.results import Results, camera_text
from orimap.tasks.report.words import (
    count_text,
    decoded,
    figure_text,
    number,
    percent_text,
    sentence,
)

# Noise is that of counts where its variance is within this of its mean.
LIKE_COUNTS = 0.1


@dataclass(frozen=True)
class AcquisitionSection:
    """What was measured and how it was read; ``noise`` says what its curve shows."""

    reader: str | None
    signal: str | None
    intensity: str
    camera: str
    noise: str
    beam_shift: str
    guesses: Sequence[str]


def acquisition_section(results: Results) -> AcquisitionSection:
    """Return what is said of the acquisition."""
    facts = results.attr("acquisition")
    return AcquisitionSection(
        reader=facts.get("reader"),
        signal=facts.get("signal"),
        intensity=intensity_sentence(facts),
        camera=camera_sentence(facts),
        noise=noise_sentence(facts, results.values("acquisition", "brightness_variance")),
        beam_shift=beam_shift_sentence(results.values("acquisition", "scan_beam_shift")),
        guesses=guess_sentences(facts),
    )


def noise_sentence(facts: Mapping[str, Any], variance: np.ndarray | None) -> str:
    """Say how noise over brightness is to be read.

    Parameters
    ----------
    facts : mapping
        Attributes of /acquisition.
    variance : (brightness,) array or None
        Of the noise of single pixels, in the order of brightness.
    """
    start = "Each point is a group of pixels of like brightness; bars are one standard error. "
    if number(facts.get("camera_gamma")) is None:
        return start + (
            "Electrons add a variance in proportion to the intensity, and the factor is the gain. "
            "Where several pixels see the same electron, single pixels show too little of its "
            "noise; together with their neighbours they show all of it. Bright pixels may lie "
            "above the line where the crystal itself changes from one pattern to the next."
        )
    text = start + "Electrons make noise that grows with the intensity. "
    if variance is not None and variance[-1] < np.nanmax(variance):
        return text + (
            "Here the noise of single pixels falls towards the brightest, as it does only where "
            "the contrast was stretched, and no gain describes it."
        )
    return text + "Here it does not grow in proportion, so that no gain describes it."


def measured_sentence(results: Results) -> str:
    """Say what was measured, from what is stored: positions, steps, pixels, beam energy."""
    labels = results.values("clusters", "cluster_label")
    mean = results.values("acquisition", "detector_mean")
    return acquisition_sentence(
        None if labels is None else labels.shape,
        None if mean is None else mean.shape,
        results.attr("acquisition"),
    )


def acquisition_sentence(
    scan_shape: tuple[int, int] | None,
    detector_shape: tuple[int, int] | None,
    facts: Mapping[str, Any],
) -> str:
    """Say what was measured: positions, steps, pixels, beam energy."""
    parts = []
    if scan_shape:
        text = f"{scan_shape[0]} × {scan_shape[1]} positions"
        step = decoded(facts.get("scan_step"))
        if step is not None and facts.get("scan_units", "px") != "px":
            y, x = (float(v) for v in step)
            units = facts["scan_units"]
            apart = figure_text(y)
            if not math.isclose(y, x, rel_tol=1e-3):
                apart += f" × {figure_text(x)}"
            height, width = scan_shape[0] * y, scan_shape[1] * x
            whole_scan = f"{figure_text(height)} × {figure_text(width)}"
            text += f", {apart} {units} apart ({whole_scan} {units})"
        else:
            text += ", step unknown"
        parts.append(text)
    if detector_shape:
        text = f"patterns of {detector_shape[0]} × {detector_shape[1]} pixels"
        step = number(np.mean(facts["detector_step"])) if "detector_step" in facts else None
        if step and facts.get("detector_units", "px") != "px":
            units = str(facts["detector_units"]).replace("1/Å", "Å⁻¹")
            text += f" of {figure_text(step)}\u00a0{units}"
        parts.append(text)
    energy = number(facts.get("beam_energy_kev"))
    if energy:
        parts.append(f"{energy:g} keV")
    return "; ".join(parts)


def guess_sentences(facts: Mapping[str, Any]) -> list[str]:
    """Say what the file does not tell, and as what it was read; attributes of /acquisition."""
    return [sentence(str(guess)) for guess in decoded(facts.get("guesses")) or []]


def intensity_sentence(facts: Mapping[str, Any]) -> str:
    """Say how bright the patterns are and whether they behave as electron counts."""
    parts = []
    mean, zero = number(facts.get("mean_intensity")), number(facts.get("zero_fraction"))
    fano = number(facts.get("fano"))
    if mean is not None:
        above = " above the offset" if _has_offset(facts) else ""
        parts.append(f"The mean intensity{above} is {figure_text(mean)} per pixel")
    if zero is not None and not _has_offset(facts):
        parts.append(f"{percent_text(zero)} of the values are zero")
    if "counts_like" in facts:
        measured = "" if fano is None else f" (Fano factor {figure_text(fano)}; counts give 1)"
        if facts["counts_like"]:
            parts.append(f"the values behave as electron counts{measured}")
        elif fano is not None and abs(fano - 1) < LIKE_COUNTS:
            parts.append(
                f"their noise is that of electron counts{measured}, but not all are whole numbers "
                "of 0 or more, so they are not analysed as counts"
            )
        else:
            parts.append(f"the values do not behave as electron counts{measured}")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:] + "." if text else ""


def _has_offset(facts: Mapping[str, Any]) -> bool:
    """Return whether values are told from where zero was measured to lie."""
    known = number(facts.get("camera_offset")) is not None
    return known and not facts.get("counts_like")


def camera_sentence(facts: Mapping[str, Any]) -> str:
    """Say what the camera was measured to be, or why it was not."""
    if facts.get("counts_like"):
        if number(facts.get("camera_gain")) is None:
            return ""
        return (
            "Judging by the noise of neighbouring patterns, one unit of intensity is one electron "
            f"(gain {camera_text(facts, 'gain')})."
        )
    if number(facts.get("camera_gamma")) is not None:
        return (
            "Judging by the noise of neighbouring patterns, the contrast was stretched: "
            f"intensities grow with about the power {camera_text(facts, 'gamma')} (gamma) of the "
            "number of electrons. They are not proportional to it, so there is no one gain."
        )
    if number(facts.get("camera_gain")) is None:
        why = facts.get("camera_unknown")
        return f"The camera could not be measured: {why}." if why else ""
    roughly = " (known only roughly)" if _is_rough(facts) else ""
    said = [
        "Measured from neighbouring patterns, the camera has a gain of "
        f"{camera_text(facts, 'gain')} per electron, an offset of "
        f"{camera_text(facts, 'offset')}{roughly} and a read-out noise of "
        f"{camera_text(facts, 'read_noise')}."
    ]
    if (number(facts.get("camera_spread")) or 0) > 0:
        said.append(
            "Each electron is seen by several pixels (point spread): neighbours share "
            f"{camera_text(facts, 'spread')} of the noise of electrons."
        )
    if number(facts.get("camera_shift")) is not None:
        said.append("The analysis weights values by this noise.")
    return " ".join(said)


def _is_rough(facts: Mapping[str, Any]) -> bool:
    """Return whether the zero of the camera is less certain than a single value."""
    names = ("offset_error", "read_noise", "read_noise_error")
    error, noise, noise_error = (number(facts.get(f"camera_{name}")) or 0.0 for name in names)
    return error > max(noise, noise_error)


def beam_shift_sentence(shift: np.ndarray | None) -> str:
    """Say how far the direct beam lies from its reference; (scan_y, scan_x, 2), pixels."""
    if shift is None:
        return ""
    known = np.isfinite(shift).all(axis=-1)
    ends = np.percentile(shift[known], [0.5, 99.5], axis=0).round(2).T
    ranges = [
        f"{figure_text(low)} to {figure_text(high)} px along {axis}"
        for (low, high), axis in zip(ends, "yx", strict=True)
    ]
    text = f"Relative to its reference, the direct beam lies at {' and '.join(ranges)}"
    missing = np.count_nonzero(~known)
    if missing:
        text += f"; in {count_text(int(missing), 'pattern')} (grey) its position was not measured"
    return text + "."
