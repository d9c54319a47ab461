"""Open .ang and .ctf files in orix: orientations, phases, shape and steps as they were exported.

Of a cubic scan that was indexed, and of made-up orientations of quartz and monoclinic zirconia,
whose crystal frame in .ctf files differs from that of orix.
"""

import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from orix import io
from orix.quaternion import Rotation

exports = Path(sys.argv[1])
print(*(f"{name} {version(name)}" for name in ("orix", "diffpy.structure", "numpy")))
# Digits of both formats: 1e-5 radians, 1e-4 degrees.
TOLERANCE_DEG = 0.003


def frame_of_ctf(axes):
    """Return the turn from the frame along a* and c to that along a and c*."""
    x = np.cross(axes[:, 1], axes[:, 2])
    x, z = x / np.linalg.norm(x), axes[:, 2] / np.linalg.norm(axes[:, 2])
    return Rotation.from_matrix(np.stack([x, np.cross(z, x), z], axis=1))


for scan in ("indexed", "oblique"):
    told = np.load(exports / f"{scan}.npz")
    labels = told["labels"].astype(int) - 1
    cluster = np.where(np.append(told["indexed"], False)[labels], labels, -1).ravel()
    there = cluster >= 0
    assert there.any()
    for ending in ("ang", "ctf"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # It has Laue groups only in .ctf files, and no space group beside them.
            warnings.filterwarnings("ignore", "Setting space group to 'None'")
            options = {"autogen_names": False} if ending == "ang" else {}
            found = io.load(exports / f"{scan}.{ending}", **options)
        print(found)
        assert found.shape == labels.shape
        np.testing.assert_allclose([found.dy, found.dx], 1e-3 * told["step_nm"], rtol=1e-4)
        assert found.scan_unit == "um"
        np.testing.assert_array_equal(found.is_indexed, there)
        np.testing.assert_array_equal(found.phase_id[there], told["phase"][cluster[there]] + 1)
        # What orix holds takes the sample's frame to the crystal's.
        expected = ~Rotation(told["quaternion"][cluster[there]])
        own = found.rotations[there]
        for n, (name, cell, group) in enumerate(
            zip(told["name"], told["cell"], told["laue"], strict=True)
        ):
            phase = found.phases[n + 1]
            assert phase.name == name
            assert phase.point_group.laue.name == group or group == "2/m", (phase, group)
            np.testing.assert_allclose(phase.structure.lattice.abcABG(), cell, atol=1e-4)
            of_phase = told["phase"][cluster[there]] == n
            if not of_phase.any():
                continue
            turned = own[of_phase]
            if ending == "ctf":
                turned = frame_of_ctf(told["axes"][n]) * turned
            away = np.rad2deg((turned * ~expected[of_phase]).angle)
            print(f"{scan}.{ending}, {name}: off by {away.max():.1g} degrees at most")
            assert away.max() < TOLERANCE_DEG
        quality = found.prop["ci" if ending == "ang" else "BS"][there]
        given = told["reliability"][cluster[there]]
        np.testing.assert_allclose(quality / (1 if ending == "ang" else 255), given, atol=0.003)
