"""Write patterns of clusters for ASTAR: a blockfile, and a BMP for each.

Both hold 8-bit grey levels. The direct beam is far brighter than reflections, which would be dark
if it set the scale: the brightest pixel outside it becomes 255, and the beam is saturated.
"""

from pathlib import Path

import numpy as np

from orimap.tasks.acquire.formats.calibration import electron_wavelength
from orimap.tasks.export.contents import Contents
from orimap.tasks.export.write_hspy import signal_of

WHITE = 255
# Lengths on the camera need a camera length; this one is usual for ASTAR.
CAMERA_LENGTH_CM = 20.0
# The header has hundredths of pixels per centimetre in 16 bits.
MOST_PIXELS_PER_CM = 655.35
ROWS = ("mean_patterns", "representatives")


def write_folder(contents: Contents, folder: Path) -> dict[str, str]:
    """Write the blockfile, with mean patterns above representatives, and a BMP for each."""
    from PIL import Image

    beam = _beam_disc(contents)
    levels = np.stack([_grey_levels(contents, name, beam) for name in ROWS])
    _write_blo(contents, levels, folder / "clusters.blo")
    written = {
        "clusters.blo": "a column for each cluster: the mean pattern above the representative"
    }
    digits = len(str(contents.count))
    for row, name in enumerate(ROWS):
        title = contents.layer(name).title
        for cluster in range(contents.count):
            file = f"{name.removesuffix('s')}_{cluster + 1:0{digits}}.bmp"
            Image.fromarray(levels[row, cluster]).save(folder / file)
            written[file] = f"{title}: cluster {cluster + 1}"
    return written


def _beam_disc(contents: Contents) -> np.ndarray:
    """Return which pixels belong to the direct beam, (dy, dx), its soft edge included."""
    radius = 1.5 * float(contents.facts.get("beam_radius_px") or 0) + 1
    down, across = (axis.values / axis.step for axis in contents.detector)
    return np.hypot(down[:, None], across) <= radius


def _grey_levels(contents: Contents, name: str, beam: np.ndarray) -> np.ndarray:
    """Return patterns in square images of grey levels, the direct beam saturated."""
    patterns = contents.layer(name).values()
    patterns[:, contents.left_out] = 0
    outside = patterns[:, ~beam]
    brightest = outside.max(axis=1) if outside.size else np.zeros(len(patterns))
    brightest = np.where(brightest > 0, brightest, patterns.max(axis=(1, 2)))
    scale = WHITE / np.where(brightest > 0, brightest, 1)
    levels = np.rint(np.clip(patterns * scale[:, None, None], 0, WHITE)).astype(np.uint8)
    height, width = levels.shape[1:]
    above, left = ((max(height, width) - side) // 2 for side in (height, width))
    square = np.zeros((len(levels), max(height, width), max(height, width)), np.uint8)
    square[:, above : above + height, left : left + width] = levels
    return square


def _write_blo(contents: Contents, levels: np.ndarray, path: Path) -> None:
    """Write NanoMEGAS' blockfile; levels are (row, cluster, dy, dx)."""
    from rsciio.blockfile import file_writer

    step_cm, said = _step_on_camera(contents)
    # Readers drop an axis of one position, and with it the meaning of the others.
    levels = np.repeat(levels, 2, axis=1) if levels.shape[1] == 1 else levels
    signal = signal_of(contents, contents.layer("mean_patterns"))
    signal["data"] = levels
    signal["axes"] = [
        {"name": name, "size": size, "scale": step, "offset": 0.0, "units": units,
         "navigate": units == "nm"}
        for (name, step, units), size in zip(
            (("y", 1.0, "nm"), ("x", 1.0, "nm"), ("dy", step_cm, "cm"), ("dx", step_cm, "cm")),
            levels.shape, strict=True,
        )
    ]  # fmt: skip
    note = (
        "orimap: patterns of clusters, which count from 1 along x. Row 1: mean patterns; row 2: "
        "patterns of the factorisation. Direct beam saturated; steps of the scan mean nothing. "
        f"{said}"
    )
    signal["original_metadata"]["blockfile_header"] = {
        "Note": note,
        "Beam_energy": int(1e3 * (contents.beam_energy_kev or 0)),
        "Camera_length": int(100 * CAMERA_LENGTH_CM) if step_cm != 1 else 0,
    }
    file_writer(path, signal, navigator=levels.mean(axis=(2, 3)), show_progressbar=False,
                intensity_scaling="crop")  # fmt: skip


def _step_on_camera(contents: Contents) -> tuple[float, str]:
    """Return the size of a pixel in cm, 1 where it is not known, and what to say about it."""
    energy = contents.beam_energy_kev
    if not contents.detector[0].calibrated or not energy:
        return 1.0, "Not calibrated."
    step = float(np.mean([axis.step for axis in contents.detector]))
    # A reflection at q falls wavelength x camera length x q beside the beam.
    step_cm = electron_wavelength(energy) * CAMERA_LENGTH_CM * step
    said = f"{step:.6g} 1/A per pixel; the camera length of {CAMERA_LENGTH_CM:g} cm is assumed."
    if 1 / step_cm > MOST_PIXELS_PER_CM:
        return 1.0, f"{step:.6g} 1/A per pixel."
    return step_cm, said
