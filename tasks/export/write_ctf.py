"""Write the orientation of every position for Oxford's AZtec and Channel 5, and MTEX: a .ctf file.

The crystal's frame of such files is x along a*, z along c; angles are in degrees, lengths in µm. A
position that is not indexed has phase 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from orimap.tasks.export.contents import Contents
from orimap.tasks.export.orientation_map import (
    ExportedCrystal,
    OrientationMap,
    bunge_angles,
    read_orientation_map,
    twofold_axis,
    write_rows,
)

LAUE_GROUPS = ("-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m")
COLUMNS = ("Phase", "X", "Y", "Bands", "Error", "Euler1", "Euler2", "Euler3", "MAD", "BC", "BS")
ROW = "\t".join(("%d", *["%.7f"] * 2, "%d", "%d", *["%.4f"] * 4, "%d", "%d"))
NO_SOLUTION = 3
# Contrast and slope of bands are whole numbers up to this.
MOST = 255


def write_file(contents: Contents, path: Path) -> None:
    """Write the file; InputError where the clusters were not indexed."""
    found = read_orientation_map(contents)
    height, width = found.cluster.shape
    row, column = np.indices((height, width))
    angles = np.degrees(found.of_positions(bunge_angles(in_frame_of_ctf(found)), 0.0))
    nothing = np.zeros((height, width))
    columns = [
        found.phase,
        column * found.step[1],
        row * found.step[0],
        found.of_positions(found.reflections, 0),
        np.where(found.phase > 0, 0, NO_SOLUTION),
        *np.moveaxis(angles, -1, 0),
        nothing,
        np.rint(MOST * np.clip(found.of_positions(found.score, 0.0), 0, 1)),
        np.rint(MOST * np.clip(found.of_positions(found.reliability, 0.0), 0, 1)),
    ]
    write_rows(path, header_lines(contents, found), columns, ROW)


def header_lines(contents: Contents, found: OrientationMap) -> list[str]:
    """Return the lines before the table, the last of them the names of its columns."""
    height, width = found.cluster.shape
    project = contents.name if found.calibrated else f"{contents.name}, steps count positions"
    energy = f"{contents.beam_energy_kev or 0:g}"
    microscope = ("Mag", "0", "Coverage", "100", "Device", "0", "KV", energy,
                  "TiltAngle", "0", "TiltAxis", "0")  # fmt: skip
    lines = [
        ("Channel Text File",),
        ("Prj", project),
        ("Author", f"orimap {contents.version}"),
        ("JobMode", "Grid"),
        ("XCells", f"{width}"),
        ("YCells", f"{height}"),
        ("XStep", f"{found.step[1]:.7f}"),
        ("YStep", f"{found.step[0]:.7f}"),
        *((f"AcqE{n}", "0") for n in (1, 2, 3)),
        ("Euler angles refer to Sample Coordinate system (CS0)!", *microscope),
        ("Phases", f"{len(found.crystals)}"),
    ]
    for crystal in found.crystals:
        lines.append(
            (
                ";".join(f"{each:.4f}" for each in crystal.edges),
                ";".join(f"{each:.4f}" for each in crystal.angles),
                crystal.name,
                *map(str, symmetry_of(crystal)),
                "",
                "",
                "x along a*, z along c; BC: 255 x agreement, BS: 255 x reliability by orimap",
            )
        )
    return ["\t".join(line) for line in (*lines, COLUMNS)]


def symmetry_of(crystal: ExportedCrystal) -> tuple[int, int]:
    """Return the numbers of Laue group and space group; of 2/m the twofold axis has to be b."""
    if crystal.laue == "2/m" and twofold_axis(crystal.turns) != "y":
        return 1, 0
    return LAUE_GROUPS.index(crystal.laue) + 1, crystal.space_group


def in_frame_of_ctf(found: OrientationMap) -> np.ndarray:
    """Return the orientations of clusters from the crystal's frame with x along a*, z along c.

    Both frames are the same but for cells with oblique angles: the axes of hexagonal and trigonal
    crystals differ by 30 degrees about c.
    """
    rotation = found.rotation.copy()
    for cluster in np.unique(found.cluster[found.cluster >= 0]):
        phase = found.phase[found.cluster == cluster][0]
        rotation[cluster] = rotation[cluster] @ axes_of_ctf(found.crystals[phase - 1].axes)
    return rotation


def axes_of_ctf(axes: np.ndarray) -> np.ndarray:
    """Return the axes along a*, c x a* and c as columns, for a cell with these edges."""
    x = np.cross(axes[:, 1], axes[:, 2])
    z = axes[:, 2] / np.linalg.norm(axes[:, 2])
    x = x / np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z], axis=1)
