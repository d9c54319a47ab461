"""Open exports in hyperspy and pyxem, work with them, and save them as zspy."""

import sys
from importlib.metadata import version
from pathlib import Path

import hyperspy.api as hs
import matplotlib as mpl
import numpy as np
import pyxem

mpl.use("agg")
exports = Path(sys.argv[1])
arrays = np.load(exports / "npz.npz")
print(
    *(f"{name} {version(name)}" for name in ("hyperspy", "pyxem", "rosettasciio", "zarr", "numpy"))
)

patterns = hs.load(exports / "hspy" / "mean_patterns.hspy")
across = patterns.axes_manager["kx"]
print(patterns, across.scale, across.units)
assert isinstance(patterns, pyxem.signals.ElectronDiffraction2D)
np.testing.assert_array_equal(patterns.data, arrays["mean_patterns"])
np.testing.assert_allclose(across.axis, arrays["detector_x"], atol=1e-9)
patterns.plot()
print("profiles:", patterns.get_azimuthal_integral1d(npt=20, show_progressbar=False))
if patterns.calibration.beam_energy is not None:
    converted = patterns.deepcopy()
    converted.calibration.convert_signal_units("nm^-1")
    scales = [axis.scale for axis in converted.axes_manager.signal_axes]
    print("in 1/nm:", scales)
    np.testing.assert_allclose(scales, 10 * across.scale, rtol=1e-3)

labels = hs.load(exports / "hspy" / "labels.hspy")
print(labels, "labels", np.unique(labels.data), "step", labels.axes_manager["x"].scale)
np.testing.assert_array_equal(labels.data, arrays["labels"])
weights = hs.load(exports / "hspy" / "component_weights.hspy")
print(weights, weights.inav[0], weights.metadata.Signal.quantity)

signals = hs.load(exports / "all.hspy")
print("one file:", [signal.metadata.General.title for signal in signals])
assert len(signals) == 8

patterns.save(exports / "again.zspy")
again = hs.load(exports / "again.zspy")
print("saved as zspy and opened again:", again)
np.testing.assert_array_equal(again.data, patterns.data)

blockfile = hs.load(exports / "blo" / "clusters.blo")
print(blockfile, blockfile.metadata.General.notes)
assert blockfile.data.shape[0] == 2
stack = hs.load(exports / "tiff" / "mean_patterns.tif")
print(stack, *((axis.scale, axis.offset, axis.units) for axis in stack.axes_manager.signal_axes))
np.testing.assert_array_equal(stack.data, patterns.data)
