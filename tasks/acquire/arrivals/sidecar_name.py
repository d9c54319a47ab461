"""The names that a side-car, the file with the options of one acquisition, may have."""

from pathlib import Path

SIDECAR = ".orimap.yaml"


def sidecar_names(path: Path) -> tuple[str, ...]:
    """Return the names of an acquisition's side-car; the first one that exists counts.

    Parameters
    ----------
    path : Path
        Of the acquisition: a file, or a folder of images.

    Returns
    -------
    tuple of str
        ``scan.mib.orimap.yaml`` and ``scan.orimap.yaml`` of ``scan.mib``, each beside it.
    """
    return tuple(dict.fromkeys((path.name + SIDECAR, path.stem + SIDECAR)))
