"""Understand the .xml file of an EMPAD detector, which describes the .raw file beside it.

It gives the shape of a scan several times, for each mode of the microscope. The .raw file holds as
many patterns as were acquired: that tells which of them is meant.
"""

import re
from dataclasses import dataclass
from pathlib import Path

# 128 columns and 130 rows of four bytes, of which the last two rows are no image.
PATTERN_BYTES = 130 * 128 * 4
Shape = tuple[int, int]


@dataclass(frozen=True)
class Described:
    """What an .xml file says.

    Parameters
    ----------
    raw : str or None
        Name of the file with the patterns.
    shapes : dict of str to (int, int)
        Rows and columns of the scan, by where they are given; the first is what programs read.
    patterns : int or None
        Of a series that is no scan.
    """

    raw: str | None
    shapes: dict[str, Shape]
    patterns: int | None

    def fitting(self, patterns: int) -> dict[str, Shape]:
        """Return the shapes that have so many positions."""
        return {where: s for where, s in self.shapes.items() if s[0] * s[1] == patterns}


def raw_file_of(xml: Path) -> str | None:
    """Return the name of the .raw file that an .xml file describes, None where it is no such."""
    with xml.open("rb") as file:
        return _raw_file(file.read(1 << 16).decode("utf-8", "replace"))


def describe_empad(text: str) -> Described:
    """Return what the text of an .xml file says of the file with the patterns."""
    raw = _raw_file(text)
    shapes: dict[str, Shape] = {}
    pixels = [re.search(rf"<pix_{axis}>\s*(\d+)", text) for axis in "yx"]
    if all(pixels):
        shapes["pix_x and pix_y"] = (int(pixels[0][1]), int(pixels[1][1]))
    named = re.search(r"_x(\d+)_y(\d+)", raw or "")
    if named:
        shapes["the name of the .raw file"] = (int(named[2]), int(named[1]))
    for block in re.findall(r"<scan_parameters\b.*?</scan_parameters>", text, re.DOTALL):
        sides = [re.search(rf"<scan_resolution_{axis}>\s*(\d+)", block) for axis in "yx"]
        if all(sides):
            mode = re.search(r"mode\s*=\s*[\"']([^\"']+)", block)
            where = f"scan_resolution of the mode {mode[1]}" if mode else "scan_resolution"
            shapes[where] = (int(sides[0][1]), int(sides[1][1]))
    series = re.search(r"<series_count>\s*(\d+)", text)
    return Described(raw, shapes, int(series[1]) if series else None)


def _raw_file(text: str) -> str | None:
    """Return the name of the file with the patterns."""
    found = re.search(r"<raw_file\b[^>]*\bfilename\s*=\s*[\"']([^\"']+)[\"']", text)
    # Some versions write the whole path on the microscope's own disk.
    return re.split(r"[\\/]", found[1])[-1] if found else None
