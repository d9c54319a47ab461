"""Understand the data sets of Nion Swift: HDF5 with a description in JSON beside each.

It says how many axes the scan has and how many the detector, their steps with units, and in its
metadata the high tension of the microscope.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.signals import Signal

DESCRIPTION = "properties"  # the attribute that holds it
# Under one of these names, in volts, somewhere in the metadata.
HIGH_TENSION = ("high_tension", "high_tension_v")


def described_by_swift(signal: Signal, text: Any) -> Signal:
    """Return a data set with the axes and the beam energy that Nion Swift wrote beside it.

    Parameters
    ----------
    signal : Signal
        Of an HDF5 file.
    text : object
        What its attribute `DESCRIPTION` holds; None where it has none.

    Returns
    -------
    Signal
        Unchanged where there is no such description, or it is of other axes.
    """
    found = _description(text)
    steps = found.get("dimensional_calibrations")
    shape = tuple(signal.array.shape)
    if not isinstance(steps, list) or len(steps) != len(shape):
        return signal
    # A sequence is an axis before those of the scan.
    scan = found.get("collection_dimension_count", 0) + bool(found.get("is_sequence"))
    if scan + found.get("datum_dimension_count", 0) != len(shape):
        return signal
    names = ("y", "x", "ky", "kx")[-len(shape) :]
    names = ("",) * (len(shape) - len(names)) + names
    axes = tuple(
        Axis(
            name,
            size,
            _number(step.get("scale")) or math.nan,
            str(step.get("units") or ""),
            navigate=number < scan,
        )
        for number, (name, size, step) in enumerate(zip(names, shape, steps, strict=True))
    )
    volts = next(_high_tensions(found.get("metadata")), None)
    energy = signal.beam_energy_kev if volts is None else volts / 1e3
    return replace(signal, axes=axes, beam_energy_kev=energy)


def _description(text: Any) -> dict[str, Any]:
    """Return what is written beside a data set; nothing where it is not of Nion Swift."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _high_tensions(tree: Any) -> Iterator[float]:
    """Yield the high tensions in nested metadata, in volts."""
    if isinstance(tree, dict):
        for name in HIGH_TENSION:
            value = _number(tree.get(name))
            if value is not None and value > 0:
                yield value
        for branch in tree.values():
            yield from _high_tensions(branch)


def _number(value: Any) -> float | None:
    """Return a number, None where there is none."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
