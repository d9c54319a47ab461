"""Say in sentences what a run decided, measured and repaired, in the order of the page."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from orimap.tasks.report.results import Results, reflection_map_titles, uniform_value
from orimap.tasks.report.tables import camera_text
from orimap.tasks.report.words import (
    bytes_text,
    cluster_text,
    count_text,
    decoded,
    figure_text,
    number,
    percent_text,
    plural,
    sentence,
    times_text,
    whole,
)
from orimap.tasks.store import variables

# Noise is that of counts where its variance is within this of its mean.
LIKE_COUNTS = 0.1


def not_measured_sentences(measured: np.ndarray | None) -> list[str]:
    """Say how many positions were not measured; (scan_y, scan_x), 0 where one was not."""
    missing = 0 if measured is None else int(np.count_nonzero(measured == 0))
    if measured is None or not missing:
        return []
    return [
        f"{count_text(missing, 'position')} ({percent_text(missing / measured.size)}) "
        f"{plural(missing, 'was', 'were')} not measured: black in the maps, which does not mean "
        "without a cluster."
    ]


def map_sentences(
    facts: Mapping[str, Any], request: Mapping[str, Any], parents: np.ndarray | None
) -> list[str]:
    """Say what regularity and splitting did to the map.

    Parameters
    ----------
    facts : mapping
        Attributes of /clusters.
    request : mapping
        The request of the run.
    parents : (cluster,) array or None
        The cluster whose components each cluster has.
    """
    said = []
    regularity, moved = number(request.get("regularity")), whole(facts.get("positions_moved"))
    if regularity and moved is not None:
        said.append(
            f"With a regularity of {regularity:g}, {count_text(moved, 'position')} changed to the "
            "cluster of most neighbours; the shares are unchanged."
        )
    if request.get("split_unconnected") and parents is not None:
        whole_ones = len(np.unique(parents))
        if len(parents) == whole_ones:
            said.append("No cluster has unconnected parts that were large enough to be split.")
        else:
            said.append(
                f"{count_text(whole_ones, 'distinct pattern')} were split into "
                f"{count_text(len(parents), 'cluster')} that are each connected in the scan: "
                + "; ".join(
                    f"{', '.join(map(cluster_text, _pieces(parents, parent)))} have the same "
                    "pattern"
                    for parent in np.unique(parents)
                    if np.count_nonzero(parents == parent) > 1
                )
                + "."
            )
    return said


def _pieces(parents: np.ndarray, parent: int) -> list[int]:
    """Return the clusters that one was split into."""
    return np.flatnonzero(parents == parent).tolist()


def unplaced_sentence(patterns: int) -> str:
    """Say that some patterns have no position in the map, because others are stronger."""
    count, are = count_text(patterns, "distinct pattern"), plural(patterns, "is", "are")
    left = plural(patterns, "was", "were")
    return f"{count} {are} not the strongest at any position and {left} left out of the map."


def decision_sentences(facts: Mapping[str, Any], background: int) -> list[str]:
    """Say how the number was found and how near the next best was; then the stored reasons."""
    decided, fitted = whole(facts.get("decided_k")), whole(facts.get("fitted_k"))
    reasons = [str(reason) for reason in decoded(facts.get("reasons")) or []]
    sentences = []
    told = any(reason.startswith("The fit used has") for reason in reasons)
    if not told and fitted is not None and decided is not None:
        text = f"The fit used has {count_text(fitted, 'component')}"
        if fitted == decided:
            text += ", each a distinct pattern"
        else:
            text += f"; {count_text(decided, 'distinct pattern')} {plural(decided, 'is', 'are')}"
            text += " left after merging those that show the same reflections"
            if background:
                text += f" and setting {count_text(background, 'background component')} aside"
        sentences.append(text + ".")
    sentences += reasons
    failed = decoded(facts.get("failed_fits"))
    if failed is not None and len(failed):
        sentences.append("These fits gave no result: k = " + ", ".join(map(str, failed)) + ".")
    return sentences


def overlap_sentence(facts: Mapping[str, Any]) -> str:
    """Say how many second patterns were within their error and so not called overlap.

    Parameters
    ----------
    facts : mapping
        Attributes of /overlap.
    """
    within, needed = whole(facts.get("positions_within_error")), facts.get("standard_errors_needed")
    if within is None or number(needed) is None:
        return ""
    rule = f"A second pattern counts where its share is at least {number(needed):g} times its "
    rule += "standard error from counting noise"
    if not within:
        return rule + "; here that left none out."
    positions = f"{count_text(within, 'position')} {plural(within, 'was', 'were')}"
    return rule + f"; {positions} not called overlap for that reason."


def decomposition_sentence(facts: Mapping[str, Any]) -> str:
    """Say which position is taken apart, and how strongly two patterns overlap there."""
    place = decoded(facts.get("position"))
    if place is None:
        return ""
    y, x = (int(at) for at in place)
    ratio, error = number(facts.get("overlap_ratio")), number(facts.get("overlap_ratio_error"))
    text = f"Row {y}, column {x} (counted from 0) is where two patterns most surely overlap"
    if ratio is not None:
        spread = "" if error is None else f" ± {error:.2f}"
        text += f": the second share is {ratio:.2f}{spread} of the first"
    return text + "."


def reflection_sentences(facts: Mapping[str, Any]) -> list[str]:
    """Say which patterns have no direct beam and how small the registered list is."""
    found = []
    without = whole(facts.get("patterns_without_direct_beam")) or 0
    if without:
        found.append(
            f"{count_text(without, 'pattern')} {plural(without, 'has', 'have')} no direct beam "
            "that was recognised; the bright field is 0 there."
        )
    sizes = [number(facts.get(f"{what}_bytes")) for what in ("list", "patterns")]
    if all(sizes):
        times = times_text(sizes[1] / sizes[0])
        text = f"The list of reflections takes {bytes_text(sizes[0])}, {times} less than the "
        text += "patterns it comes from"
        disk = [number(facts.get(f"{what}_disk_bytes")) for what in ("list", "patterns")]
        if all(disk):
            text += f" (compressed, on disk: {times_text(disk[1] / disk[0])})"
        found.append(text + ".")
    return found


def uniform_sentences(results: Results) -> list[str]:
    """Say the value of each map of reflections that is the same everywhere."""
    _, uniform = reflection_map_titles(results)
    sentences = []
    for name, title in uniform.items():
        stored = results.groups["reflection_maps"][name]
        units = stored.attrs.get("units", "1")
        if name == variables.scan_prominence_threshold.name and units == "1":
            units = "standard deviations of the noise"
        unit = "" if units == "1" else f" {units}"
        sentences.append(
            f"The {title} is {figure_text(uniform_value(stored.values))}{unit} everywhere."
        )
    return sentences


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


def repairs(
    facts: Mapping[str, Any],
    mask: np.ndarray | None,
    analysed: np.ndarray | None,
    remarks: Sequence[str] = (),
) -> list[str]:
    """List what was masked, clipped or repaired, as sentences; empty if nothing was.

    Parameters
    ----------
    facts : mapping
        Attributes of /acquisition; its ``notes`` say what was found in it.
    mask, analysed : (dy, dx) arrays of int or None
        Pixels left out of the patterns as acquired, and as analysed.
    remarks : sequence of str
        Remarks of the run itself.
    """
    notes = decoded(facts.get("notes"))
    if isinstance(notes, str):
        notes = [notes]
    found = [*(notes if notes is not None else [])]
    given = 0 if mask is None else int(np.count_nonzero(mask.astype(np.int64) & 4))
    if given:
        found.append(f"{count_text(given, 'pixel')} left out by the given mask")
    found += remarks
    masked = 0 if analysed is None else np.count_nonzero(analysed) / analysed.size
    if masked:
        found.append(f"In all {percent_text(masked)} of the detector's pixels are not analysed")
    return [sentence(str(note)) for note in found]
