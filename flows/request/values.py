"""How the values of a request are read, and what a value that cannot be read should have been.

Text is read as it is typed on the command line; Python may give numbers, of NumPy as well.
"""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.fields import FieldInfo

from orimap.tasks.acquire.formats.meaning.given import (
    read_beam_energy,
    read_detector_step,
    read_scan_step,
)
from orimap.tasks.acquire.formats.meaning.names import parse_axes
from orimap.tasks.errors import as_whole

MOST_WORKERS = 256  # what one scheduler serves without being in the way
# Half the opening of a precessed beam; microscopes reach 3 degrees or so.
LARGEST_PRECESSION_DEG = 10.0
RANGE_OF_K = "one number or FIRST:LAST, for instance 5 or 1:20"
# What a value may look like, by the names of the fields.
EXAMPLES = {
    "k": "5 or 1:12", "distinct": "5", "components": "8", "l1": "0.1 or 0.1,0", "bin": "2",
    "crop": "10:50,20:60", "roi": "10:50,20:60", "dark_field": "10:50,20:60", "seed": "1",
    "regularity": "0.2", "offset": "12.5", "gain": "3.2", "scan_shape": "40x50",
    "skip_frames": "5 or 5:3", "keep_rows": "9", "image_names": "'*_{x}_{y}'",
    "axes": "detector_y,detector_x,scan_y,scan_x", "scan_step": "2nm", "detector_step": "0.01/Å",
    "beam_energy": "200kV", "workers": "4", "adapt": "2:20", "worker_memory": "'8 GB'",
    "first_worker_minutes": "30", "precession": "0.7", "detector_rotation": "-12.5",
}  # fmt: skip

# What fields need whose type does not say it.
OWN_WORDS = {
    "file": "the acquisition, a file or a folder of images",
    "output": "a folder for the results, --output DIR",
    "crystals": "CIF files for --crystal, one or several",
}


def plain(value: Any) -> Any:
    """Return a value of NumPy as one of Python, and anything else as it is."""
    return value.tolist() if hasattr(value, "tolist") and hasattr(value, "dtype") else value


def of_numbers(field: FieldInfo) -> bool:
    """Return whether a field holds numbers."""

    def holds(annotation: Any) -> bool:
        return annotation in (int, float) or any(map(holds, get_args(annotation)))

    return holds(field.annotation)


def needed_for(name: str, option: str, field: FieldInfo) -> str:
    """Return what kind of value a field needs, with an example."""
    if name in OWN_WORDS:
        return OWN_WORDS[name]
    kinds = get_args(field.annotation) or (field.annotation,)
    if get_origin(field.annotation) is Literal:
        return f"{', '.join(map(str, kinds[:-1]))} or {kinds[-1]} for {option}"
    if field.annotation is bool:
        return f"true or false for {option}"
    words = {int: "a whole number", float: "a number", Path: "a file"}
    single = [kind for kind in kinds if kind is not type(None)]
    kind = words.get(single[0], "a value") if len(single) == 1 else "a value"
    example = EXAMPLES.get(name)
    return f"{kind} for {option}" + (f", for instance {example}" if example else "")


def _range(value: Any, written: str) -> Any:
    """Read "1:20" as (1, 20); anything but text stays as it is. ``written`` is an example."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*", value)
    if not match:
        raise ValueError(f"must be {written}")
    return int(match[1]), int(match[2])


def _range_of_k(value: Any) -> Any:
    """Read the numbers of components to try, "5" as 5 alone, and check their order."""
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, range):
        if value.step != 1 or not value:
            raise ValueError("a range must go up in steps of one, for instance range(1, 13)")
        value = (value[0], value[-1])
    whole = as_whole(value)
    value = (whole, whole) if whole is not None else _range(value, RANGE_OF_K)
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise ValueError(f"must be {RANGE_OF_K}")
    numbers = [as_whole(each) for each in value]
    # Text within a list is read afterwards.
    if not any(isinstance(each, str) for each in value):
        low, high = numbers
        if low is None or high is None:
            raise ValueError(f"must be {RANGE_OF_K}")
        if low < 1:
            raise ValueError("the smallest number of components is 1")
        if high < low:
            raise ValueError(f"the last k ({high}) is below the first ({low})")
    return value


def _range_of_workers(value: Any) -> Any:
    """Read the fewest and the most workers, and check their order."""
    value = _range(value, "MIN:MAX, for instance 2:20")
    if isinstance(value, (tuple, list)) and len(value) == 2 and not 1 <= value[0] <= value[1]:
        raise ValueError("MIN must be at least 1 and no larger than MAX")
    return value


def _shape(value: Any) -> Any:
    """Read "40x50" as (40, 50)."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+)\s*[xX×]\s*(\d+)\s*", value)
        if not match:
            raise ValueError("must be ROWSxCOLUMNS, for instance 40x50")
        value = (int(match[1]), int(match[2]))
    if isinstance(value, (tuple, list)):
        sizes = [as_whole(each) for each in value]
        if any(size is not None and size < 1 for size in sizes):
            raise ValueError("the numbers of rows and columns must be 1 or more")
    return value


def _frames_around(value: Any) -> Any:
    """Read "5:3" as (5, 3), and "5" or 5 as (5, 0)."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+)\s*(?::\s*(\d+)\s*)?", value)
        if not match:
            raise ValueError("must be BEFORE or BEFORE:AFTER, for instance 5 or 5:3")
        return int(match[1]), int(match[2] or 0)
    return (value, 0) if isinstance(value, int) else value


def _image_names(value: Any) -> Any:
    """Check that a pattern of names has a place for column and row."""
    placed = isinstance(value, str) and all(value.count(axis) == 1 for axis in ("{x}", "{y}"))
    if not placed and value not in ("order", None):
        raise ValueError("must be order, or have {x} and {y} in it, for instance 'p_{x}_{y}'")
    return value


def _region(value: Any) -> Any:
    """Read "10:50,20:60" as (10, 50, 20, 60)."""
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+):(\d+)\s*,\s*(\d+):(\d+)\s*", value)
        if not match:
            raise ValueError("must be Y0:Y1,X0:X1, for instance 10:50,20:60")
        value = tuple(int(part) for part in match.groups())
    if isinstance(value, (tuple, list)) and len(value) == 4:
        y0, y1, x0, x1 = value
        if not (0 <= y0 < y1 and 0 <= x0 < x1):
            raise ValueError(
                f"{y0}:{y1},{x0}:{x1} holds nothing; the end must come after the start"
            )
    return value


def _penalties(value: Any) -> Any:
    """Read "0.1" as (0.1, 0.1) and "0.1,0" as (0.1, 0)."""
    if isinstance(value, str):
        try:
            parts = [float(part) for part in value.split(",")]
        except ValueError as error:
            raise ValueError("must be one number, or two with a comma between them") from error
        value = parts * 2 if len(parts) == 1 else parts
    if isinstance(value, (int, float)):
        value = (value, value)
    return value


def _crystal_files(value: Any) -> Any:
    """Read the name of one file as a list of it."""
    if value == "":
        raise ValueError("a path is needed")
    return (value,) if isinstance(value, (str, os.PathLike)) else value


def _size(value: str) -> str:
    """Check a size in bytes; it stays what was given."""
    if not re.fullmatch(r"\d+(\.\d+)? ?([KMGT]i?)?B", value):
        raise ValueError("must be a size with its unit, for instance 8 GB")
    return value


def _checked(read: Callable[[str], Any]) -> BeforeValidator:
    """Check a text that is read where the acquisition is opened; it stays what was given."""

    def check(value: Any) -> Any:
        if value is not None:
            read(value if isinstance(value, str) else str(value))
        return value

    return BeforeValidator(check)


RangeOfK = Annotated[tuple[int, int], BeforeValidator(_range_of_k)]
RangeOfWorkers = Annotated[
    tuple[int, Annotated[int, Field(le=MOST_WORKERS)]], BeforeValidator(_range_of_workers)
]
Shape = Annotated[tuple[int, int], BeforeValidator(_shape)]
FramesAround = Annotated[
    tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]],
    BeforeValidator(_frames_around),
]
ImageNames = Annotated[str, BeforeValidator(_image_names)]
Region = Annotated[tuple[int, int, int, int], BeforeValidator(_region)]
Axes = Annotated[str, _checked(parse_axes)]
ScanStep = Annotated[str, _checked(read_scan_step)]
DetectorStep = Annotated[str, _checked(read_detector_step)]
BeamEnergy = Annotated[str, _checked(read_beam_energy)]
CrystalFiles = Annotated[tuple[Path, ...], BeforeValidator(_crystal_files)]
Size = Annotated[str, AfterValidator(_size)]
Penalty = Annotated[float, Field(ge=0, le=1)]
Penalties = Annotated[tuple[Penalty, Penalty], BeforeValidator(_penalties)]
