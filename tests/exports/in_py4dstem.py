"""Open an export in py4DSTEM, by its tree and one by one, and show a pattern."""

import sys
from importlib.metadata import version
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")
import numpy as np
import py4DSTEM

exports = Path(sys.argv[1])
arrays = np.load(exports / "npz.npz")
print(*(f"{name} {version(name)}" for name in ("py4DSTEM", "emdfile", "h5py", "numpy")))

py4DSTEM.print_h5_tree(exports / "emd.emd")
tree = py4DSTEM.read(exports / "emd.emd")
print(tree.metadata["about"])
patterns = tree.tree("mean_patterns")
print(patterns)
assert isinstance(patterns, py4DSTEM.DiffractionSlice)
np.testing.assert_array_equal(patterns.data, arrays["mean_patterns"])
second = patterns.get_slice(patterns.slicelabels[1])
np.testing.assert_array_equal(second.data, arrays["mean_patterns"][1])
py4DSTEM.show(second, scaling="log")

calibration = patterns.calibration
print(calibration)
step = arrays["detector_x"][1] - arrays["detector_x"][0]
np.testing.assert_allclose(calibration.get_Q_pixel_size(), step)
np.testing.assert_allclose(calibration.get_origin_mean()[1] * step, -arrays["detector_x"][0])
assert calibration.get_Q_pixel_units() == "A^-1"

labels = py4DSTEM.read(exports / "emd.emd", datapath="orimap/labels")
print(labels, "labels", np.unique(labels.data))
assert isinstance(labels, py4DSTEM.RealSlice)
np.testing.assert_array_equal(labels.data, arrays["labels"])
