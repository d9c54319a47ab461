"""Write an EMD 1.0 file (emdatasets.com/format) with the classes that py4DSTEM reads it as.

Patterns are a DiffractionSlice and maps a RealSlice, one or a stack of them; they share the
Calibration of the tree.
"""

import math
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from orimap.tasks.export.contents import Axis, Contents, Layer

if TYPE_CHECKING:
    import h5py

UNITS = {"1/Å": "A^-1", "px": "pixels"}


def write_file(contents: Contents, path: Path) -> None:
    """Write all layers as one tree."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs.update(
            emd_group_type="file",
            version_major=1,
            version_minor=0,
            UUID=str(uuid.uuid4()),
            authoring_program="orimap",
            authoring_user="",
        )
        root = file.create_group("orimap")
        root.attrs.update(emd_group_type="root", python_class="Root")
        bundle = root.create_group("metadatabundle")
        bundle.attrs["emd_group_type"] = "metadatabundle"
        _write_metadata(bundle, "calibration", "Calibration", _calibration(contents))
        about: dict[str, bool | float | str] = {
            "source": str(contents.facts.get("source_file", "")),
            "orimap_version": contents.version,
            "revision": contents.revision or "",
            "remarks": " ".join(contents.remarks),
        }
        if contents.beam_energy_kev is not None:
            about["beam_energy_kev"] = contents.beam_energy_kev
        _write_metadata(bundle, "about", "Metadata", about)
        for layer in contents.layers:
            _write_layer(root, layer, contents.images_of(layer))


def _calibration(contents: Contents) -> dict[str, bool | float | str]:
    """Return what py4DSTEM's Calibration holds: x is along rows there, y along columns."""
    found: dict[str, bool | float | str] = {"QR_flip": False}
    for space, axes in (("Q", contents.detector), ("R", contents.scan)):
        down, across = axes
        # It has one size for both directions.
        square = math.isclose(down.step, across.step, rel_tol=1e-3)
        found[f"{space}_pixel_size"] = down.step if square else 1.0
        found[f"{space}_pixel_units"] = UNITS.get(down.units, down.units) if square else "pixels"
    for name, axis in zip(("qx0", "qy0"), contents.detector, strict=True):
        found[name] = found[f"{name}_mean"] = -axis.offset / axis.step
        found[f"{name}_shift"] = 0.0
    return found


def _write_metadata(
    bundle: "h5py.Group", name: str, kind: str, values: Mapping[str, bool | float | str]
) -> None:
    """Write a dictionary; every value says of which type it is."""
    group = bundle.create_group(name)
    group.attrs.update(emd_group_type="metadata", python_class=kind)
    for key, value in values.items():
        stored = group.create_dataset(key, data=value)
        is_text, is_flag = isinstance(value, str), isinstance(value, bool)
        stored.attrs["type"] = "string" if is_text else "bool" if is_flag else "number"


def _write_layer(root: "h5py.Group", layer: Layer, images: list[str]) -> None:
    """Write an image, or a stack: its images lie along the first axis, their labels come last."""
    group = root.create_group(layer.name)
    kind = "DiffractionSlice" if layer.of_detector else "RealSlice"
    group.attrs.update(emd_group_type="array", python_class=kind, title=layer.title)
    stored = group.create_dataset("data", data=layer.values(), compression="gzip", shuffle=True)
    stored.attrs["units"] = layer.units
    for place, axis in enumerate(layer.axes):
        _write_axis(group, place, axis)
    if layer.stacked:
        dim = group.create_dataset(f"dim{len(layer.axes)}", data=images)
        dim.attrs["name"] = "_labels_"


def _write_axis(group: "h5py.Group", place: int, axis: Axis) -> None:
    """Write the first two values of an axis, from which the others follow."""
    first_two = np.array([axis.offset, axis.offset + axis.step])
    dim = group.create_dataset(f"dim{place}", data=first_two)
    dim.attrs.update(name=axis.name, units=UNITS.get(axis.units, axis.units))
