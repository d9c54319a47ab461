"""Write the orientation of every position for EDAX OIM, MTEX and orix: an .ang file.

The crystal's frame of such files is ours, x along a and z along c*; angles are in radians, lengths
in µm. A position that is not indexed has phase 0, a confidence of -1 and angles of 4 pi.
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

# By the Laue class; of monoclinic crystals by which axis is the twofold one.
SYMMETRIES = {
    "-1": "1",
    "mmm": "22",
    "-3": "3",
    "-3m": "32",
    "4/m": "4",
    "4/mmm": "42",
    "6/m": "6",
    "6/mmm": "62",
    "m-3": "23",
    "m-3m": "43",
}
MONOCLINIC = {"y": "20", "z": "2"}
NO_ANGLE, NO_CONFIDENCE, NO_FIT = 4 * np.pi, -1.0, 180.0
COLUMNS = ("phi1", "PHI", "phi2", "x", "y", "IQ", "CI", "Phase index", "SEM", "Fit")
UNITS = ("radians", "radians", "radians", "microns", "microns", "", "", "", "", "degrees")
ROW = "%9.5f %9.5f %9.5f %12.7f %12.7f %7.4f %7.4f %2d %1d %7.3f"


def write_file(contents: Contents, path: Path) -> None:
    """Write the file; InputError where the clusters were not indexed."""
    found = read_orientation_map(contents)
    height, width = found.cluster.shape
    row, column = np.indices((height, width))
    angles = found.of_positions(bunge_angles(found.rotation), NO_ANGLE)
    columns = [
        *np.moveaxis(angles, -1, 0),
        column * found.step[1],
        row * found.step[0],
        found.of_positions(found.score, 0.0),
        found.of_positions(found.reliability, NO_CONFIDENCE),
        found.phase,
        np.zeros((height, width)),
        np.where(found.phase > 0, 0.0, NO_FIT),
    ]
    write_rows(path, header_lines(contents, found), columns, ROW)


def header_lines(contents: Contents, found: OrientationMap) -> list[str]:
    """Return the lines before the table."""
    height, width = found.cluster.shape
    lines = [
        "TEM_PIXperUM          1.000000",
        *(f"{name:<21} 0.000000" for name in ("x-star", "y-star", "z-star", "WorkingDistance")),
        "",
    ]
    # OIM Analysis 7 takes the last one for the first; others go by their numbers.
    for number, crystal in reversed(list(enumerate(found.crystals, 1))):
        cell = " ".join(f"{each:.4f}" for each in (*crystal.edges, *crystal.angles))
        lines += [
            f"Phase {number}",
            f"MaterialName          {crystal.name}",
            f"Formula               {crystal.formula}",
            "Info",
            f"Symmetry              {symmetry_of(crystal)}",
            f"LatticeConstants      {cell}",
            "NumberFamilies        0",
            "",
        ]
    lines += [
        "GRID: SqrGrid",
        f"XSTEP: {found.step[1]:.7f}",
        f"YSTEP: {found.step[0]:.7f}",
        f"NCOLS_ODD: {width}",
        f"NCOLS_EVEN: {width}",
        f"NROWS: {height}",
        "",
        f"OPERATOR: orimap {contents.version}",
        f"SAMPLEID: {contents.name}",
        "SCANID:",
        "",
        "NOTES: Start",
        "x along the columns of the scan, y along its rows: of positions and of angles",
        "crystal frame: x along a, z along c*",
        "IQ: agreement of measured and predicted amplitudes; CI: reliability by orimap",
        *([] if found.calibrated else ["The scan is not calibrated: steps count positions"]),
        "NOTES: End",
        "",
        f"COLUMN_COUNT: {len(COLUMNS)}",
        f"COLUMN_HEADERS: {', '.join(COLUMNS)}",
        f"COLUMN_UNITS: {', '.join(UNITS)}",
    ]
    return [f"# {line}".rstrip() for line in lines]


def symmetry_of(crystal: ExportedCrystal) -> str:
    """Return the number that stands for a symmetry; 1 where none stands for its axes."""
    if crystal.laue != "2/m":
        return SYMMETRIES[crystal.laue]
    return MONOCLINIC.get(twofold_axis(crystal.turns), SYMMETRIES["-1"])
