"""Compare a scan shape that was asked for with the triggers of a Dectris detector.

A trigger a line, with as many images as the line has positions, is told by the master file. That it
was a line nothing says: the shape is asked for all the same.
"""

from pathlib import Path

from orimap.tasks.acquire.formats.chunked.hdf5_files import opened

DESCRIBED = "entry/instrument/detector/detectorSpecific"


def against_triggers(path: Path, asked: tuple[int, int] | None) -> tuple[str, ...]:
    """Say that a shape was asked for against the triggers: nothing where they tell no lines.

    Parameters
    ----------
    path : Path
        The master file.
    asked : (int, int) or None
        Rows and columns.
    """
    if asked is None:
        return ()
    with opened(path) as file:
        names = [f"{DESCRIBED}/{name}" for name in ("ntrigger", "nimages")]
        if not all(name in file for name in names):
            return ()
        triggers, images = (int(file[name][()]) for name in names)
    if min(triggers, images) < 2 or images == asked[1] or triggers * images != asked[0] * asked[1]:
        return ()
    return (
        f"{asked[0]}×{asked[1]}, as --scan-shape says, although {path.name} has {triggers} "
        f"triggers of {images} images each",
    )
