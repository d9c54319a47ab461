"""Open the patterns of an EMPAD detector: a .raw file, and the .xml file that describes it."""

import ast
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from orimap.tasks.acquire.formats.calibration import Axis
from orimap.tasks.acquire.formats.signals import MappedFile, Signal
from orimap.tasks.acquire.formats.stacks.describe_empad import Described, Shape, describe_empad
from orimap.tasks.acquire.formats.stacks.image_names import some_of
from orimap.tasks.acquire.formats.stacks.scan_shape import NOTHING_ASKED, Asked
from orimap.tasks.errors import InputError

# 128×128 pixels of four bytes, and two rows that are no image.
RECORD = np.dtype([("pattern", "<f4", (128, 128)), ("footer", "<f4", (2, 128))])


def open_empad(path: Path, asked: Asked = NOTHING_ASKED) -> Signal:
    """Map the .raw file that an .xml file describes.

    Raises
    ------
    InputError
        If it names no .raw file, that is not there, or its shape is given in several ways that all
        fit and none is asked for.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    described = describe_empad(text)
    if described.raw is None:
        raise InputError(
            "an .xml file that names the .raw file with the patterns",
            f"{path.name} names none",
            "give the .xml file that the detector wrote",
        )
    raw = path.with_name(described.raw)
    if not raw.exists():
        others = sorted(p.name for p in path.absolute().parent.glob("*.raw"))
        remedy = f"copy it into the folder {path.absolute().parent.name}"
        if others:
            remedy += f", or give back its name to that which was renamed: {some_of(others)}"
        raise InputError(
            f"{raw.name} beside {path.name}, which holds its patterns", "it is not there", remedy
        )
    patterns, rest = divmod(raw.stat().st_size, RECORD.itemsize)
    notes = [f"{rest:,} bytes after the last whole pattern of {raw.name} are left out"]
    scan, guesses = _scan_shape(raw, described, patterns, asked)
    array = MappedFile(raw, RECORD, 0, (patterns,))
    axes = _axes(text, patterns, scan)
    return Signal(
        path.stem,
        array,
        axes,
        (path, raw),
        notes=tuple(notes if rest else ()),
        scan_shape=scan,
        guesses=guesses,
    )


def _scan_shape(
    raw: Path, described: Described, patterns: int, asked: Asked
) -> tuple[Shape | None, tuple[str, ...]]:
    """Return the shape that fits the number of patterns, and what speaks for it."""
    if described.patterns is not None or not described.shapes:
        return None, ()
    first, shape = next(iter(described.shapes.items()))
    fitting = described.fitting(patterns)
    if len(set(fitting.values())) > 1:
        if asked.scan_shape is not None:
            return None, ()
        told = "; ".join(f"{y}×{x} by {where}" for where, (y, x) in fitting.items())
        raise InputError(
            "one shape of the scan",
            f"several that fit the {patterns} patterns of {raw.name}: {told}",
            "say which of them it is, --scan-shape YxX",
        )
    if first in fitting or not fitting:
        return shape, ()
    where, fits = next(iter(fitting.items()))
    return fits, (
        f"the .xml says {shape[0]}×{shape[1]} positions ({first}), and {raw.name} holds "
        f"{patterns} patterns: read as {fits[0]}×{fits[1]}, which {where} gives "
        "(--scan-shape overrides)",
    )


def _axes(text: str, patterns: int, scan: Shape | None) -> tuple[Axis, ...]:
    """Return scan and detector axes with the steps that older versions of the .xml give."""
    root = ElementTree.fromstring(text).find("iom_measurements")
    pixel = None if root is None else root.findtext("calibrated_pixelsize")
    units = "1/nm" if pixel else ""
    detector = tuple(
        Axis(name, 128, float(pixel) * 1e9 if pixel else 1.0, units, navigate=False)
        for name in ("height", "width")
    )
    if scan is None:
        return (Axis("series", patterns, navigate=True), *detector)
    steps = None if root is None else _steps_nm(root, scan)
    return (
        *(
            Axis(name, size, steps[n] if steps else 1.0, "nm" if steps else "", navigate=True)
            for n, (name, size) in enumerate(zip(("scan_y", "scan_x"), scan, strict=True))
        ),
        *detector,
    )


def _steps_nm(root: ElementTree.Element, scan: Shape) -> tuple[float, float] | None:
    """Return the scan step along (y, x) in nm, None where the field of view is not given."""
    view = root.findtext("optics/get_full_scan_field_of_view")
    if view:
        y, x = ast.literal_eval(view)
        return float(y) / scan[0] * 1e9, float(x) / scan[1] * 1e9
    view, factor = (
        root.findtext(f"full_scan_field_of_view/{name}") for name in ("x", "scale_factor")
    )
    if view and factor:
        # The field of view is that of the longer side, multiplied by the factor.
        step = float(view) / float(factor) / max(scan) * 1e9
        return step, step
    return None
