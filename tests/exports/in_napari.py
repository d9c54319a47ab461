"""Open exports in napari, without a window."""

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from napari.plugins import _initialize_plugins

exports = Path(sys.argv[1])
arrays = np.load(exports / "npz.npz")
print(*(f"{name} {version(name)}" for name in ("napari", "tifffile", "numpy")))

_initialize_plugins()
viewer = ViewerModel()
for file in sorted((exports / "tiff").glob("*.tif")):
    # Of small images napari does not tell by itself that three planes are colours.
    colours = {"rgb": True} if file.stem == "cluster_map" else {}
    (layer,) = viewer.open(file, plugin="napari", **colours)
    print(layer.name, layer.data.shape, layer.data.dtype, "RGB" if layer.rgb else "")
    if layer.name in arrays:
        np.testing.assert_array_equal(np.asarray(layer.data), arrays[layer.name])
assert viewer.layers["cluster_map"].data.shape == (*arrays["labels"].shape, 3)
labels = viewer.add_labels(np.asarray(viewer.layers["labels"].data))
print("as labels:", np.unique(labels.data))
