"""Write a simulated scan, its truth and its crystal beside it, in formats of acquisitions."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np

from orimap.tasks.errors import InputError, words_of
from orimap.tasks.simulate import crystal
from orimap.tasks.simulate.grains import VOLTAGE_KV
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.scan import SCAN_STEP_NM, SimulatedScan, plan_scan
from orimap.tasks.store import variables
from orimap.tasks.store.leftovers import aside, clear_folder
from orimap.tasks.store.run_folder import require_outside_stores, try_writing
from orimap.tasks.stream.blocks import silent

# .hspy and .blo are written from memory.
WHOLE_FILE_LIMIT_BYTES = 4 * 2**30
# Rows are made and written in parts of about this size.
CHUNK_BYTES = 32 * 2**20
# .blo gives lengths on the camera, so it needs a camera length; this one is usual for ASTAR.
BLO_CAMERA_LENGTH_CM = 20.0


def write_scan(
    recipe: ScanRecipe,
    out: Path,
    progress: Callable[[int, int], None] = silent,
    *,
    force: bool = False,
) -> SimulatedScan:
    """Simulate a scan into a file, with its truth and its crystal (``STEM.cif``) beside it.

    Parameters
    ----------
    recipe : ScanRecipe
    out : Path
        The ending decides: ``.zarr`` (variable ``pattern_intensity``, calibrated, in chunks of
        whole patterns), ``.npy`` (the bare array), ``.hspy`` (calibrated), ``.blo`` (square
        detectors only). The first two are written a few rows at a time; the other two need the
        whole scan in memory and are refused above 4 GiB. ``.blo`` holds 8-bit grey levels: counts
        as they are where none exceeds 255, otherwise scaled so that the brightest pixel is 255,
        rounded; the truth says how many counts a grey level is.
    progress : callable, optional
        Called with the rows done and the rows in all.
    force : bool
        Replace a scan of that name, and what is beside it.

    Returns
    -------
    SimulatedScan
        The truth is also in ``STEM.npz`` beside ``out``: ``labels``, ``weights``, ``patterns``
        (noiseless, one a grain), ``misorientation_deg``, ``descan``, ``hot_mask``, ``dead_mask``,
        ``rotations``, ``bend_deg``, ``spots_per_grain``, ``counts_per_grey_level``. Rotations turn
        the crystal's frame into one with z along the electrons. The quaternions of results have z
        against them: turned by half about z, they are the same up to the symmetry of the crystal.

    Raises
    ------
    InputError
        If the ending is another, the folder cannot be written, something of that name is there,
        the scan is too large for the format, or the grains cannot be laid out. Nothing is left
        half-written: an old file stays until the new one is whole.
    """
    out = Path(out)
    require_place(out, force=force)
    size = 2 * int(np.prod(recipe.scan)) * int(np.prod(recipe.detector))
    if out.suffix in (".hspy", ".blo") and size > WHOLE_FILE_LIMIT_BYTES:
        raise InputError(
            f"a scan of at most {WHOLE_FILE_LIMIT_BYTES / 2**30:g} GiB for {out.suffix}",
            f"{size / 2**30:.1f} GiB",
            "write .zarr, which needs a few rows in memory only",
        )
    if out.suffix == ".blo" and recipe.detector[0] != recipe.detector[1]:
        raise InputError(
            "a square detector for .blo",
            f"{recipe.detector[0]} x {recipe.detector[1]} pixels",
            "choose a square detector or another format",
        )
    scan = plan_scan(recipe)
    truth, crystals = _beside(out)
    clear_folder(out.parent)
    unfinished, unfinished_truth, unfinished_crystal = map(aside, (out, truth, crystals))
    try:
        counts_per_grey_level = _writers()[out.suffix](scan, unfinished, progress)
        np.savez_compressed(
            unfinished_truth,
            labels=scan.labels,
            weights=scan.weights.astype(np.float32),
            patterns=scan.component_patterns.astype(np.float32),
            misorientation_deg=scan.misorientation_deg,
            descan=scan.descan.astype(np.float32),
            hot_mask=scan.hot_mask,
            dead_mask=scan.dead_mask,
            rotations=np.array([grain.rotation for grain in scan.grains]),
            bend_deg=scan.bend_deg.astype(np.float32),
            spots_per_grain=scan.spot_counts,
            counts_per_grey_level=counts_per_grey_level,
        )
        unfinished_crystal.write_text(crystal.find_crystal(recipe.material).cif())
        if out.is_dir():  # a folder cannot be replaced in one step
            old = aside(out, "old")
            out.rename(old)
            unfinished.rename(out)
            shutil.rmtree(old)
        else:
            unfinished.replace(out)
        unfinished_truth.replace(truth)
        unfinished_crystal.replace(crystals)
    finally:
        if unfinished.is_dir():
            shutil.rmtree(unfinished)
        unfinished.unlink(missing_ok=True)
        unfinished_truth.unlink(missing_ok=True)
        unfinished_crystal.unlink(missing_ok=True)
    return scan


def _beside(out: Path) -> tuple[Path, Path]:
    """Return where truth and crystal of a scan are written."""
    return out.with_suffix(".npz"), out.with_suffix(".cif")


def require_place(out: Path, *, force: bool) -> None:
    """Check the name of the file that a scan is to be written to.

    Raises
    ------
    InputError
        As `write_scan` does, but for what depends on the scan.
    """
    if out.suffix not in _writers():
        raise InputError(
            "a file name that ends in " + ", ".join(_writers()),
            f"{out.name!r}",
            "choose one of these endings",
        )
    try:
        try_writing(out.parent)
        taken = [path for path in (out, *_beside(out)) if path.is_symlink() or path.exists()]
    except OSError as error:
        raise InputError(
            "a folder that can be written",
            error.strerror or words_of(error),
            "create it, or write elsewhere",
        ) from error
    require_outside_stores(out.parent)
    if taken and not force:
        raise InputError(
            "the name of a file that does not exist yet, nor what is beside it (.npz, .cif)",
            f"{' and '.join(map(str, taken))}: already there",
            "write to another file, or replace it with --force",
        )


def _writers() -> dict[str, Callable[[SimulatedScan, Path, Callable[[int, int], None]], float]]:
    return {".zarr": _write_zarr, ".npy": _write_npy, ".hspy": _write_hspy, ".blo": _write_blo}


def _write_zarr(scan: SimulatedScan, path: Path, progress: Callable[[int, int], None]) -> float:
    """Write the patterns chunk row by chunk row; returns counts per stored unit, 1."""
    import dask.array as da
    import zarr
    from zarr.codecs import BloscCodec

    recipe = scan.recipe
    patterns = max(1, CHUNK_BYTES // (2 * int(np.prod(recipe.detector))))
    rows_at_once = max(1, min(recipe.scan[0], patterns // recipe.scan[1]))
    chunk = (rows_at_once, min(recipe.scan[1], patterns))
    shape = (*recipe.scan, *recipe.detector)
    empty = da.zeros(shape, chunks=(*chunk, *recipe.detector), dtype=np.uint16)
    template = variables.pattern_intensity.array(empty).to_dataset()
    for axis, size in zip(template.pattern_intensity.dims, shape, strict=True):
        of_scan = axis in variables.SCAN
        step = SCAN_STEP_NM if of_scan else recipe.detector_step_inv_angstrom
        origin = 0 if of_scan else (size - 1) / 2
        units = {"units": "nm" if of_scan else "1/Å"}
        template = template.assign_coords({axis: (axis, (np.arange(size) - origin) * step, units)})
    template.pattern_intensity.attrs["beam_energy_kev"] = VOLTAGE_KV
    codec = BloscCodec(cname="zstd", shuffle="bitshuffle", typesize=2)
    template.to_zarr(
        path,
        compute=False,
        consolidated=False,
        zarr_format=3,
        encoding={"pattern_intensity": {"compressors": [codec], "_FillValue": None}},
    )
    stored = zarr.open_array(path, path=variables.pattern_intensity.name, mode="r+")
    # Rows are compressed while the next ones are simulated; no more than one set waits.
    with ThreadPoolExecutor(1) as writer:
        writing = writer.submit(lambda: None)
        for rows, counts in scan.rows(rows_at_once):
            writing.result()
            writing = writer.submit(stored.__setitem__, rows, counts)
            progress(rows.stop, recipe.scan[0])
        writing.result()
    return 1.0


def _write_npy(scan: SimulatedScan, path: Path, progress: Callable[[int, int], None]) -> float:
    """Write the bare array through a memory map; returns counts per stored unit, 1."""
    shape = (*scan.recipe.scan, *scan.recipe.detector)
    stored = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint16, shape=shape)
    for rows, counts in scan.rows(1):
        stored[rows] = counts
        progress(rows.stop, shape[0])
    stored.flush()
    return 1.0


def _write_hspy(scan: SimulatedScan, path: Path, progress: Callable[[int, int], None]) -> float:
    """Write HyperSpy's HDF5; returns counts per stored unit, 1."""
    from rsciio.hspy import file_writer

    step = scan.recipe.detector_step_inv_angstrom
    signal = _signal(scan, _all_counts(scan, progress), step, "1/Å")
    file_writer(path, signal, show_progressbar=False)
    return 1.0


def _write_blo(scan: SimulatedScan, path: Path, progress: Callable[[int, int], None]) -> float:
    """Write NanoMEGAS' blockfile of grey levels; returns counts per grey level."""
    from rsciio.blockfile import file_writer

    counts = _all_counts(scan, progress)
    counts_per_level = max(1.0, counts.max() / 255)
    levels = np.empty(counts.shape, np.uint8)
    for row, patterns in enumerate(counts):
        levels[row] = np.rint(patterns / counts_per_level)
    # A reflection at q falls wavelength x camera length x q beside the beam.
    step_cm = (
        crystal.electron_wavelength_angstrom(VOLTAGE_KV)
        * BLO_CAMERA_LENGTH_CM
        * scan.recipe.detector_step_inv_angstrom
    )
    signal = _signal(scan, levels, step_cm, "cm")
    signal["original_metadata"]["blockfile_header"] = {
        "Note": "simulated",
        "Beam_energy": int(1e3 * VOLTAGE_KV),
        "Camera_length": int(100 * BLO_CAMERA_LENGTH_CM),  # tenths of a millimetre
    }
    # The image that goes with the patterns: the direct beam, as on the microscope.
    near = [slice(side // 2 - side // 16, side // 2 + side // 16 + 1) for side in levels.shape[2:]]
    bright_field = levels[:, :, near[0], near[1]].mean(axis=(2, 3))
    bright_field *= 255 / max(bright_field.max(), 1)
    file_writer(path, signal, navigator=bright_field, show_progressbar=False)
    return counts_per_level


def _all_counts(scan: SimulatedScan, progress: Callable[[int, int], None]) -> np.ndarray:
    """Make the whole scan in memory."""
    counts = np.empty((*scan.recipe.scan, *scan.recipe.detector), np.uint16)
    for rows, part in scan.rows(1):
        counts[rows] = part
        progress(rows.stop, scan.recipe.scan[0])
    return counts


def _signal(scan: SimulatedScan, data: np.ndarray, detector_step: float, units: str) -> dict:
    """Describe an array of patterns the way rosettasciio's writers want it."""
    height, width = scan.recipe.detector
    axes = [
        ("y", SCAN_STEP_NM, 0.0, "nm", True),
        ("x", SCAN_STEP_NM, 0.0, "nm", True),
        ("ky", detector_step, -detector_step * (height - 1) / 2, units, False),
        ("kx", detector_step, -detector_step * (width - 1) / 2, units, False),
    ]
    return {
        "data": data,
        "axes": [
            {
                "_type": "UniformDataAxis",
                "name": name,
                "size": size,
                "scale": step,
                "offset": offset,
                "units": unit,
                "navigate": navigate,
                "is_binned": False,
            }
            for (name, step, offset, unit, navigate), size in zip(axes, data.shape, strict=True)
        ],
        "metadata": {
            "General": {"title": "simulated scan"},
            "Signal": {"signal_type": "", "quantity": "Intensity (electrons)"},
            "Acquisition_instrument": {"TEM": {"beam_energy": VOLTAGE_KV}},
        },
        "original_metadata": {},
        "attributes": {"_lazy": False, "ragged": False},
        "tmp_parameters": {},
        "learning_results": {},
        "models": {},
        "package_info": {"package": "orimap", "package_version": version("orimap")},
    }
