"""Write TIFF files for ImageJ and napari: stacks, maps, labels and a map in colours.

Files say the size of a pixel, where 0 is (patterns: at the direct beam), and which image of a
stack is which.
"""

from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.export.contents import LABELS_SAY, Axis, Contents, Layer

MOST_COLOURS = 255  # of a colour table, besides the one of 0


def write_folder(contents: Contents, folder: Path) -> dict[str, str]:
    """Write a file for each layer, and the map of clusters in the colours of the report."""
    import tifffile

    from orimap.tasks.report.figures.images import label_image

    written = {}
    colours = contents.colours
    for layer in contents.images:
        written[f"{layer.name}.tif"] = layer.title
        values, coloured = layer.values(), {}
        if layer.label and contents.count <= MOST_COLOURS:
            values = values.astype(np.uint8)
            # What has no cluster is black, so that it differs from every cluster.
            table = np.zeros((3, 256))
            table[:, 1 : contents.count + 1] = label_image(np.arange(contents.count), colours).T
            whole = np.round(np.iinfo(np.uint16).max * table).astype(np.uint16)
            coloured = {"photometric": "palette", "colormap": whole}
        tifffile.imwrite(
            folder / f"{layer.name}.tif",
            values,
            imagej=True,
            resolution=_per_unit(layer.axes),
            metadata=_metadata(contents, layer),
            extratags=_for_others(layer.axes),
            **coloured,
        )
    written["cluster_map.tif"] = "map of clusters in the colours of the report"
    pixels = label_image(contents.labels.astype(int) - 1, colours)
    tifffile.imwrite(
        folder / "cluster_map.tif",
        np.round(255 * pixels).astype(np.uint8),
        imagej=True,
        photometric="rgb",
        resolution=_per_unit(contents.scan),
        metadata={"axes": "YXS", "unit": _unit(contents.scan[0])[0]},
        extratags=_for_others(contents.scan),
    )
    return written


def _unit(axis: Axis) -> tuple[str, float]:
    """Return a unit that ImageJ can show, which knows ASCII only, and how many make one of ours."""
    return {"1/Å": ("1/nm", 10.0), "px": ("pixel", 1.0)}.get(axis.units, (axis.units, 1.0))


def _per_unit(axes: tuple[Axis, Axis]) -> tuple[float, float]:
    """Return pixels per unit, across and down."""
    down, across = (1 / (axis.step * _unit(axis)[1]) for axis in axes)
    return across, down


def _for_others(axes: tuple[Axis, Axis]) -> list[tuple[int, str, int, Any, bool]]:
    """Return the tags of DigitalMicrograph, from which hyperspy takes units and offsets."""
    down, across = axes
    (unit, times), both = _unit(down), (across, down)
    tags: list[tuple[int, str, int, Any, bool]] = []
    for place, axis in enumerate(both):
        tags += [
            (65003 + place, "s", 0, unit, True),
            (65006 + place, "d", 1, axis.offset * times, True),
            (65009 + place, "d", 1, axis.step * times, True),
        ]
    return sorted(tags)


def _metadata(contents: Contents, layer: Layer) -> dict[str, Any]:
    """Return what ImageJ is told of an image."""
    said = [f"{layer.title}.", *contents.remarks]
    if layer.label:
        said.insert(1, LABELS_SAY)
    if layer.units != "1":
        said.insert(1, f"In units of {layer.units}.")
    metadata: dict[str, Any] = {"axes": "YX", "unit": _unit(layer.axes[0])[0]}
    down, across = layer.axes
    metadata |= {
        "xorigin": 0.0 - across.offset / across.step,
        "yorigin": 0.0 - down.offset / down.step,
    }
    if layer.stacked:
        metadata |= {"axes": "TYX", "Labels": contents.images_of(layer)}
    return metadata | {"Info": "\n".join(dict.fromkeys(said))}
