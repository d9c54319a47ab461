"""The formats that results can be exported to: their names, what they are for, what is written.

Nothing heavy is imported here: the command line shows these names in its help.

Tested in tests/tasks/export/test_export.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

PICTURES = ("png", "svg", "pdf")


@dataclass(frozen=True)
class Format:
    """One format.

    Parameters
    ----------
    meant_for : str
        The programs that open it, and what it holds.
    file : str or None
        The ending of the one file that is written; None where a folder of files is.
    endings : tuple of str
        Endings of single files. Where a folder is written, they are not taken for its name.
    """

    meant_for: str
    file: str | None
    endings: tuple[str, ...]


FORMATS: Mapping[str, Format] = {
    "hspy": Format(
        "hyperspy and pyxem: a calibrated signal in each file, or all in one (--output NAME.hspy)",
        None,
        (".hspy",),
    ),
    "emd": Format("py4DSTEM: one EMD 1.0 file", ".emd", (".emd", ".h5", ".hdf5")),
    "tiff": Format("ImageJ and napari: stacks, maps, labels, RGB map", None, (".tif", ".tiff")),
    "csv": Format("tables: clusters, and positions", None, (".csv",)),
    "npz": Format("NumPy: one file with all arrays", ".npz", (".npz",)),
    "blo": Format("ASTAR: a blockfile of the patterns of clusters, and BMPs", None, (".blo",)),
    "ang": Format("EDAX OIM, MTEX, orix: the orientation of every position", ".ang", (".ang",)),
    "ctf": Format(
        "Oxford AZtec and Channel 5, MTEX: the orientation of every position", ".ctf", (".ctf",)
    ),
    "figures": Format(
        "figures of the report as png, svg or pdf", None, tuple(f".{kind}" for kind in PICTURES)
    ),
}
