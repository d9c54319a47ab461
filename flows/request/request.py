"""Everything that a run can be asked: one model for command line, YAML, Prefect form and Python."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from orimap.flows.request.names import (
    NOT_WITH_DISTINCT,
    RENAMED,
    SINGULAR,
    dashed,
    offer_old_names,
    one_way,
    option_of,
    with_new_names,
)
from orimap.flows.request.values import (
    LARGEST_PRECESSION_DEG,
    MOST_WORKERS,
    Axes,
    BeamEnergy,
    CrystalFiles,
    DetectorStep,
    FramesAround,
    ImageNames,
    Penalties,
    RangeOfK,
    RangeOfWorkers,
    Region,
    ScanStep,
    Shape,
    Size,
    needed_for,
    of_numbers,
    plain,
)
from orimap.tasks.errors import NUMBER, WHOLE_NUMBER, InputError, nearest, problem, shown

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
# What clusters are indexed with; of no consequence without crystals.
INDEX_FIELDS = ("crystals", "precession", "detector_rotation", "detector_flip")
# Images of the detector: they may lie elsewhere and be read anew.
DETECTOR_IMAGES = ("mask", "dark", "gain_map")


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request, of which some take precedence over others.

    A number of patterns that is asked for above sets aside what is asked for below in other ways.
    """
    below, above = with_new_names(below), with_new_names(above)
    given = {name for name, value in above.items() if value not in (None, False)}
    if "distinct" in given:
        below = {n: v for n, v in below.items() if n not in NOT_WITH_DISTINCT}
    elif given & {*NOT_WITH_DISTINCT}:
        below.pop("distinct", None)
    return {**below, **above}


def with_files(
    fields: Mapping[str, Any], change: Callable[[Path | str], Path | str]
) -> dict[str, Any]:
    """Return fields of a request with every file that they name, but the acquisition, changed.

    Values may be as they were typed; names are those of fields afterwards (`with_new_names`).
    """
    found = with_new_names(fields)
    for name in DETECTOR_IMAGES:
        if found.get(name) is not None:
            found[name] = change(found[name])
    given = found.get("crystals")
    if given:
        found["crystals"] = tuple(map(change, [given] if isinstance(given, (str, Path)) else given))
    return found


def as_first_named(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request as the first version would have stored it, for its fingerprint."""
    named = {name: value for name, value in asked.items() if name not in CHOICES or value}
    if not named.get("crystals"):
        named = {name: value for name, value in named.items() if name not in INDEX_FIELDS}
    for old, new in RENAMED.items():
        if new in named:
            named[old] = named.pop(new)
    return named


class Request(BaseModel):
    """One run: an acquisition, where its results go, and how it is analysed."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=offer_old_names)

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
    crystals: CrystalFiles = Field(
        (),
        description="CIF of a crystal, to index the clusters with: which crystal, and how it is "
        "oriented; may be repeated, the best is taken for each cluster",
    )
    precession: float = Field(
        0.0,
        ge=0,
        le=LARGEST_PRECESSION_DEG,
        allow_inf_nan=False,
        description="Half angle of the cone of a precessed beam, in degrees, for indexing",
    )
    detector_rotation: float = Field(
        0.0,
        ge=-360,
        le=360,
        allow_inf_nan=False,
        description="Angle from the scan's columns to the detector's, in degrees, for indexing",
    )
    detector_flip: bool = Field(
        False, description="Detector rows count the other way than those of the scan, for indexing"
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
        if not isinstance(fields, Mapping):
            return fields
        named = with_new_names(fields)
        # Nothing given is what stands for it, also where that is something.
        unset = [
            name
            for name, field in cls.model_fields.items()
            if field.default is not None and not field.is_required() and named.get(name) is None
        ]
        return {name: value for name, value in named.items() if name not in unset}

    @field_validator("*", mode="before")
    @classmethod
    def _of_this_language(cls, value: Any, info: ValidationInfo) -> Any:
        value = plain(value)
        if isinstance(value, bool) and of_numbers(cls.model_fields[str(info.field_name)]):
            raise ValueError("a number is needed, not true or false")
        return value

    @model_validator(mode="after")
    def _one_number(self) -> "Request":
        if self.distinct is not None and (self.components is not None or self.no_merge):
            other = "--no-merge" if self.components is None else f"--components {self.components}"
            raise one_way(f"--distinct {self.distinct} and {other}")
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
            option, value = option_of(name), values.get(name, values.get(SINGULAR.get(name, name)))
            field = cls.model_fields.get(name)
            if field is None:
                raise no_such_option(name, option, dashes="--") from error
            if len(first["loc"]) == 1 and first["type"] == "missing":
                found = f"no {option}"
            else:
                wrong = problem(first)
                # That a number is needed is said already.
                more = "" if wrong in (WHOLE_NUMBER, NUMBER) else f": {wrong}"
                found = f"{option} {shown(plain(value))}{more}"
            raise InputError(
                needed_for(name, option, field),
                found,
                f"correct {option}; orimap run --help explains it",
            ) from error


def no_such_option(name: str, found: str, dashes: str = "") -> InputError:
    """Return the error for the name of an option that does not exist, with the nearest one."""
    meant = nearest(name, Request.model_fields)
    return InputError(
        "an option that orimap run knows",
        f"{found}, which is not an option",
        f"did you mean {dashes}{dashed(meant)}?" if meant else "orimap run --help lists them all",
    )
