"""Everything that a run can be asked: one model for command line, YAML, Prefect form and Python."""

import re
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from orimap.tasks.acquire.formats.meaning.given import (
    read_beam_energy,
    read_detector_step,
    read_scan_step,
)
from orimap.tasks.acquire.formats.meaning.names import parse_axes
from orimap.tasks.errors import InputError, Notice, nearest, problem

MOST_WORKERS = 256  # what one scheduler serves without being in the way
# What computes. It does not change what is computed.
WORKERS_FIELDS = (
    *("workers", "worker_memory", "cluster", "adapt", "profile"),
    "first_worker_minutes",
)

# How the acquisition is read: what its file may not say itself.
READING_FIELDS = (
    *("reader", "signal", "dataset", "scan_shape", "skip_frames", "keep_rows", "image_names"),
    *("axes", "scan_step", "detector_step", "beam_energy"),
)

# What is known of the camera, and done to every value.
CAMERA_FIELDS = ("dark", "gain_map", "offset", "gain")
# Options that the first version did not have.
NEWER_FIELDS = {*CAMERA_FIELDS, *READING_FIELDS} - {"reader", "signal", "dataset", "scan_shape"}
# The number of patterns as a person wants it. Where none of these is given, and ``components`` goes
# by its old name, fingerprints are those of the first version.
CHOICES = ("distinct", "no_merge")
# Old names of options, and until which version they are read.
RENAMED, RENAMED_UNTIL = {"decided_k": "components"}, "0.3"
# Images of the detector: they may lie elsewhere and be read anew.
DETECTOR_IMAGES = ("mask", "dark", "gain_map")


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
    if isinstance(value, int):
        value = (value, value)
    value = _range(value, "one number or FIRST:LAST, for instance 5 or 1:20")
    if isinstance(value, (tuple, list)) and len(value) == 2:
        low, high = value
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
Size = Annotated[str, AfterValidator(_size)]


def with_new_names(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request with old names replaced by new ones, and warn of them.

    Raises
    ------
    InputError
        If an option is given by both its names.
    """
    found = dict(fields)
    for old, new in RENAMED.items():
        value = found.pop(old, None)
        if value is None:
            continue
        if found.get(new) is not None:
            raise InputError(
                f"--{new} alone",
                f"--{_dashed(old)}, its old name, as well",
                f"leave out --{_dashed(old)}",
            )
        warnings.warn(
            f"--{_dashed(old)} ({old}) is now called --{_dashed(new)} ({new}); the old name is "
            f"read until orimap {RENAMED_UNTIL}",
            Notice,
            stacklevel=3,
        )
        found[new] = value
    return found


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request, of which some take precedence over others.

    A number of patterns that is asked for above sets aside what is asked for below in other ways.
    """
    below, above = with_new_names(below), with_new_names(above)
    given = {name for name, value in above.items() if value not in (None, False)}
    if "distinct" in given:
        below = {n: v for n, v in below.items() if n not in ("components", "no_merge")}
    elif given & {"components", "no_merge"}:
        below.pop("distinct", None)
    return {**below, **above}


def as_first_named(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request as the first version would have stored it, for its fingerprint."""
    named = {name: value for name, value in asked.items() if name not in CHOICES or value}
    for old, new in RENAMED.items():
        if new in named:
            named[old] = named.pop(new)
    return named


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _with_old_names(schema: dict[str, Any]) -> None:
    """Let a form that is checked by its schema still give options by their old names."""
    for old, new in RENAMED.items():
        schema["properties"][old] = {
            **schema["properties"][new],
            "title": f"{schema['properties'][new]['title']} (old name)",
            "description": f"Old name of {new}, read until orimap {RENAMED_UNTIL}",
            "deprecated": True,
        }


Penalty = Annotated[float, Field(ge=0, le=1)]
Penalties = Annotated[tuple[Penalty, Penalty], BeforeValidator(_penalties)]


class Request(BaseModel):
    """One run: an acquisition, where its results go, and how it is analysed."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_with_old_names)

    file: Path = Field(description="The acquisition: a file, or a folder of images")
    output: Path = Field(description="Folder for the results")
    filter: str = Field(
        "raw",
        description="raw, mean (3x3 over scan neighbours), or epattern (reflections registered "
        "and drawn anew)",
    )
    k: RangeOfK = Field(
        (1, 20),
        description="Numbers of components to try, FIRST:LAST or one number; fewer on a tiny "
        "scan, and more where the best k is the last (unless it is one number). For exactly 5 "
        "patterns give --distinct 5 instead",
    )
    strategy: str = Field(
        "evidence",
        description="How k is decided: evidence; for comparison knee, elbow, silhouette, or "
        "published (the paper's rule, on its own fits)",
    )
    distinct: int | None = Field(
        None,
        ge=1,
        description="Exactly this many distinct patterns, whatever the evidence says, by the best "
        "fit and merging that give them",
    )
    components: int | None = Field(
        None,
        ge=1,
        description="Use the fit of this many components, whatever the evidence says; those that "
        "belong to one pattern are merged as usual, so that there may be fewer patterns",
    )
    no_merge: bool = Field(
        False, description="Keep every component of the fit as a pattern of its own"
    )
    counts: Literal["auto", "yes", "no"] = Field(
        "auto", description="Whether the values are Poisson counts; auto tests the Fano factor"
    )
    weighting: Literal["poisson", "none"] = Field(
        "poisson", description="Weight patterns for counting noise, or not at all"
    )
    direct_beam: Literal["auto", "keep"] = Field(
        "auto", description="auto leaves the direct beam's pixels out of the fit; keep fits them"
    )
    l1: Penalties = Field(
        (0.0, 0.0),
        description="Relative L1 penalties on component patterns and on scan weights, for "
        "instance 0.1,0; one number serves both",
    )
    centre: Literal["auto", "yes", "no"] = Field(
        "auto",
        description="Move patterns so that the direct beam stands still; auto does so where "
        "its drift would blur reflections",
    )
    epattern_lengths: Literal["measured", "paper"] = Field(
        "measured",
        description="What ePattern takes its lengths from: the measured radius of the discs, or "
        "the width of the pattern as in the paper",
    )
    epattern_profile: Literal["disc", "gaussian"] = Field(
        "disc", description="What ePattern draws for a reflection"
    )
    dark_field: Region | None = Field(
        None,
        description="With --filter epattern, also map the reflections in this detector region "
        "(virtual dark field), Y0:Y1,X0:X1 in pixels",
    )
    split_bent: bool = Field(
        False,
        description="Count the parts of a bent grain, whose reflections fade from one to the next, "
        "as separate patterns",
    )
    regularity: float = Field(
        0.0,
        ge=0,
        le=10,
        allow_inf_nan=False,
        description="How much neighbouring positions count for the cluster of a position: "
        "0 not at all; 0.5 changes one among eight of another cluster where its shares differ by "
        "less than 0.5",
    )
    split_unconnected: bool = Field(
        False,
        description="Turn parts of a cluster that are not connected in the scan into separate "
        "clusters",
    )
    bin: int = Field(1, ge=1, le=64, description="Sum BIN x BIN detector pixels")
    crop: Region | None = Field(None, description="Detector region Y0:Y1,X0:X1 in pixels")
    roi: Region | None = Field(None, description="Scan region Y0:Y1,X0:X1 in positions")
    mask: Path | None = Field(
        None, description="Image or .npy of the detector; pixels that are not 0 are left out"
    )
    dark: Path | None = Field(
        None,
        description="Image or .npy of the detector without electrons, subtracted from every "
        "pattern; of a stack of images, the mean",
    )
    gain_map: Path | None = Field(
        None,
        description="Image or .npy of the evenly lit detector, dark image subtracted: patterns are "
        "divided by it, relative to its median",
    )
    offset: float | None = Field(
        None, allow_inf_nan=False, description="Value without electrons, the same for all pixels"
    )
    gain: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="Units of intensity per electron; values are divided by it",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of every random draw")
    scan_shape: Shape | None = Field(
        None, description="Rows x columns of the scan where the file does not say, e.g. 40x50"
    )
    skip_frames: FramesAround | None = Field(
        None,
        description="Patterns that lie before and after the scan in the file, BEFORE or "
        "BEFORE:AFTER",
    )
    keep_rows: int | None = Field(
        None, ge=1, description="Take the first rows only, of a scan that was stopped early"
    )
    image_names: ImageNames | None = Field(
        None,
        description="How the images of a folder are named: {x} for the column, {y} for the row, * "
        "for anything, e.g. '*_{x}_{y}'; or order, where names tell the order only",
    )
    reader: str | None = Field(None, description="Read the file with this reader")
    signal: str | None = Field(None, description="Title or number of the data set in the file")
    dataset: str | None = Field(None, description="Path of the patterns inside HDF5 or Zarr")
    axes: Axes | None = Field(
        None,
        description="The axes in the order in which they are stored, where the file does not say "
        "it or is wrong, e.g. detector_y,detector_x,scan_y,scan_x",
    )
    scan_step: ScanStep | None = Field(
        None, description="From one scan position to the next, with its unit: 2nm, 5Å"
    )
    detector_step: DetectorStep | None = Field(
        None, description="From one detector pixel to the next: 0.01/Å, 0.1/nm, 0.5mrad"
    )
    beam_energy: BeamEnergy | None = Field(
        None, description="Energy of the electrons, or the voltage: 200keV, 200kV"
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=MOST_WORKERS,
        description="Workers; default: one for each core of this machine. On a batch system, a job "
        "that is lost is replaced",
    )
    cluster: str = Field(
        "local",
        description="local (this machine: threads for a small scan, worker processes for others), "
        "threads, processes, the address of a running Dask scheduler (tcp://..., tls://...), or a "
        "batch system: slurm, pbs, lsf, sge, oar, htcondor",
    )
    adapt: RangeOfWorkers | None = Field(
        None,
        description="On a batch system: fewest and most workers, depending on the work there is, "
        "MIN:MAX",
    )
    worker_memory: Size | None = Field(
        None,
        description='Memory of each worker process, "8 GB"; default: equal parts of this machine, '
        "or what profile and settings of the batch system say",
    )
    profile: str | None = Field(
        None, description="Site profile for the batch system: its name, or a YAML file"
    )
    first_worker_minutes: float = Field(
        30.0,
        gt=0,
        le=60 * 24 * 30,
        description="How long to wait for the first worker of a batch system, in minutes",
    )
    orchestrate: Literal["auto", "always", "never"] = Field(
        "auto", description="Record the run with Prefect: auto does so where an API is configured"
    )
    keep: Literal["all", "fits", "results"] = Field(
        "fits",
        description="What stays when all is done: results (maps, patterns of clusters, report), "
        "fits (also the patterns and what orimap decide needs), or all (also what fits of "
        "further k would start from)",
    )
    restart: bool = Field(False, description="Compute everything anew")

    @model_validator(mode="before")
    @classmethod
    def _by_new_names(cls, fields: Any) -> Any:
        return with_new_names(fields) if isinstance(fields, Mapping) else fields

    @model_validator(mode="after")
    def _one_number(self) -> "Request":
        if self.distinct is not None and (self.components is not None or self.no_merge):
            other = "--no-merge" if self.components is None else f"--components {self.components}"
            raise InputError(
                "one way to choose the number of patterns",
                f"--distinct {self.distinct} and {other}",
                "give --distinct for a number of patterns, or --components, with or without "
                "--no-merge, for a number of components",
            )
        return self

    @property
    def reading(self) -> dict[str, Any]:
        """What was asked for of how the acquisition is read, by the names of the fields."""
        asked = {name: getattr(self, name) for name in READING_FIELDS}
        return {name: value for name, value in asked.items() if value is not None}

    @classmethod
    def read(cls, **values: Any) -> "Request":
        """Return a request from its fields; say clearly which one is wrong.

        Raises
        ------
        InputError
            If a field is unknown, missing or out of bounds.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            told = first.get("ctx", {}).get("error")
            if isinstance(told, InputError):
                raise told from error
            name = str(first["loc"][0]) if first["loc"] else "request"
            option = f"--{_dashed(name)}"
            field = cls.model_fields.get(name)
            if field is None:
                raise no_such_option(name, option, dashes="--") from error
            found = "nothing" if first["type"] == "missing" else repr(values.get(name))
            raise InputError(
                str(field.description),
                f"{option} {found}: {problem(first)}",
                f"correct {option}; orimap run --help explains it",
            ) from error


def no_such_option(name: str, found: str, dashes: str = "") -> InputError:
    """Return the error for the name of an option that does not exist, with the nearest one."""
    meant = nearest(name, Request.model_fields)
    return InputError(
        "an option that orimap run knows",
        f"{found}: there is no such option",
        f"did you mean {dashes}{_dashed(meant)}?" if meant else "orimap run --help lists them all",
    )
