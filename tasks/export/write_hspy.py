"""Write hyperspy's files: one calibrated signal in each, which is what ``hs.load`` then returns.

pyxem opens signals of patterns as its own class: their ``signal_type`` is electron_diffraction.
"""

from pathlib import Path
from typing import Any

from orimap.tasks.acquire.formats.calibration import electron_wavelength
from orimap.tasks.export.contents import Axis, Contents, Layer

# How pyxem writes it, so that it can convert it; axes of plots show it as it is.
UNITS = {"1/Å": r"$\AA^{-1}$"}


def write_folder(contents: Contents, folder: Path) -> dict[str, str]:
    """Write a file for each layer; return what each shows, by its name."""
    for layer in contents.images:
        _write(contents, layer, folder / f"{layer.name}.hspy")
    return {f"{layer.name}.hspy": layer.title for layer in contents.images}


def write_file(contents: Contents, path: Path) -> None:
    """Write all layers to one file, of which ``hs.load`` returns a list of signals."""
    import h5py

    part = path.with_name(f"{path.name}.part")  # the writer takes a new file for each signal
    try:
        with h5py.File(path, "w") as whole:
            for layer in contents.images:
                _write(contents, layer, part)
                with h5py.File(part) as one:
                    whole.attrs.update(one.attrs)
                    one.copy(f"Experiments/{layer.name}", whole.require_group("Experiments"))
    finally:
        part.unlink(missing_ok=True)


def _write(contents: Contents, layer: Layer, path: Path) -> None:
    from rsciio.hspy import file_writer

    file_writer(path, signal_of(contents, layer), show_progressbar=False)


def signal_of(contents: Contents, layer: Layer) -> dict[str, Any]:
    """Return a layer the way rosettasciio's writers want a signal."""
    data = layer.values()
    axes = [_axis(axis, navigate=False) for axis in layer.axes]
    if layer.stacked:
        numbers = Axis(layer.stacked, len(data), 1.0, 1.0, "")
        axes.insert(0, _axis(numbers, navigate=True))
    instrument: dict[str, Any] = {}
    if contents.beam_energy_kev is not None:
        # pyxem converts units by the wavelength.
        wavelength = electron_wavelength(contents.beam_energy_kev)
        instrument = {"beam_energy": contents.beam_energy_kev, "wavelength": wavelength}
    quantity = "" if layer.units == "1" else f"Intensity ({layer.units})"
    metadata = {
        "General": {
            "title": layer.name,
            "original_filename": str(contents.facts.get("source_file", "")),
            "notes": "\n".join([f"{layer.title}.", *contents.remarks]),
        },
        "Signal": {
            "signal_type": "electron_diffraction" if layer.of_detector else "",
            "quantity": quantity,
        },
        "orimap": {
            "version": contents.version,
            "revision": contents.revision or "",
            "cluster_names": contents.names,
            "component_cluster": contents.component_cluster,
        },
    }
    if instrument:
        metadata["Acquisition_instrument"] = {"TEM": instrument}
    return {
        "data": data,
        "axes": axes,
        "metadata": metadata,
        "original_metadata": {},
        "attributes": {"_lazy": False, "ragged": False},
        "tmp_parameters": {},
        "learning_results": {},
        "models": {},
        "package_info": {"package": "", "package_version": ""},
    }


def _axis(axis: Axis, *, navigate: bool) -> dict[str, Any]:
    return {
        "_type": "UniformDataAxis",
        "name": axis.name,
        "size": axis.size,
        "scale": axis.step,
        "offset": axis.offset,
        "units": UNITS.get(axis.units, axis.units),
        "navigate": navigate,
        "is_binned": False,
    }
