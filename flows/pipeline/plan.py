"""What a run will do, all of it known and checked before it starts."""

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from orimap.flows.pipeline.runtime.workers import are_threads
from orimap.flows.request.request import (
    DETECTOR_IMAGES,
    INDEX_FIELDS,
    NEWER_FIELDS,
    WORKERS_FIELDS,
    Request,
    as_first_named,
)
from orimap.tasks.acquire.ingest.defects.correction import Correction, read_correction
from orimap.tasks.acquire.ingest.reduction import Region, read_mask, stored_dtype, whole_or_part
from orimap.tasks.errors import InputError
from orimap.tasks.store.fingerprint import fingerprint
from orimap.tasks.stream.memory import Workload, chunk_bytes_for

if TYPE_CHECKING:
    from orimap.tasks.acquire.acquisition import Acquisition
    from orimap.tasks.index.indexing import Indexing

# A run is defined by its request without these: they say how it is computed.
HOW = {"output", "file", *DETECTOR_IMAGES, "orchestrate", "keep", "restart", *WORKERS_FIELDS}
# What clusters are indexed with changes none of them: orientations have a fingerprint of their own.
HOW |= {*INDEX_FIELDS}
# How full patterns are is estimated from this many, along the diagonal of the scan.
PATTERNS_TO_LOOK_AT = 4


@dataclass(frozen=True)
class Plan:
    """One run, as it was checked.

    Parameters
    ----------
    request : Request
    acquisition : Acquisition
    ks : tuple of int
        Numbers of components to try; the default range is clipped to what a tiny scan allows.
    largest_k : int
        The largest number of components that the scan can tell apart at all.
    load : Workload
        Shapes after --roi, --crop and --bin, type of the stored patterns, size of chunks.
    fingerprint : str
        Of the whole request.
    ingest_fingerprint : str
        Of what goes into patterns.zarr.
    correction : Correction
        What is done to every value, by what is known of the camera.
    packed_bytes : float
        About how much a stored pattern takes after compression.
    indexing : Indexing or None
        What the clusters are indexed with.
    """

    request: Request
    acquisition: "Acquisition"
    ks: tuple[int, ...]
    largest_k: int
    load: Workload
    fingerprint: str
    ingest_fingerprint: str
    correction: Correction = field(default=Correction(), compare=False)
    packed_bytes: float = field(default=0.0, compare=False)
    indexing: "Indexing | None" = field(default=None, compare=False)

    @classmethod
    def of(cls, request: Request, acquisition: "Acquisition") -> "Plan":
        """Plan the run of a request; looks at a few patterns.

        Raises
        ------
        InputError
            If a region, the mask, what is known of the camera or the numbers of components do not
            fit the acquisition, or a crystal is at fault.
        """
        indexing = indexing_of(request)
        roi = whole_or_part(request.roi, acquisition.scan_shape, "--roi", "positions")
        crop = whole_or_part(request.crop, acquisition.detector_shape, "--crop", "detector pixels")
        read_mask(request.mask, acquisition.detector_shape, crop, request.bin)
        looked_at = _some_patterns(acquisition, crop)
        correction = correction_of(request, acquisition, crop).fitted(looked_at)
        scan = roi[1] - roi[0], roi[3] - roi[2]
        detector = (crop[1] - crop[0]) // request.bin, (crop[3] - crop[2]) // request.bin
        if request.dark_field is not None:
            _check_dark_field(request, detector)
        largest_k = max(1, min(math.prod(scan) - 1, math.prod(detector)))
        ks = _range_of_k(request, scan, detector, largest_k)
        dtype = np.dtype(np.float32) if correction else acquisition.dtype
        if request.counts == "yes" and dtype.kind == "f":
            raise InputError(
                "whole numbers of electrons for --counts yes",
                "values that are corrected (--gain, --offset, --dark, --gain-map)"
                if correction
                else f"values of type {dtype}",
                "leave --counts at auto",
            )
        may_count = dtype.kind in "iu" and not acquisition.grey_levels
        load = Workload(
            scan,
            detector,
            stored_dtype(dtype, request.bin),
            k_max=ks[-1],
            filled=1.0 if correction else _filled(looked_at, request.bin),
            held_out=request.counts == "yes" or (request.counts == "auto" and may_count),
            registered=request.filter == "epattern",
            read_memory_bytes=acquisition.read_memory_bytes,
        )
        load = replace(load, threads=are_threads(request, load.positions * load.pattern_bytes))
        ingest = ingest_fingerprint(request, acquisition)
        mark = request_fingerprint(request, ingest)
        packed = _packed_bytes(looked_at, load.pattern_bytes)
        return cls(
            *(request, acquisition, ks, largest_k, load, mark, ingest, correction, packed),
            indexing=indexing,
        )

    @property
    def chunk_bytes(self) -> int:
        """Most that a chunk of stored patterns takes, uncompressed."""
        return chunk_bytes_for(self.load.scan_shape, self.load.pattern_bytes, self.load.chunk_bytes)


def ingest_fingerprint(request: Request, acquisition: "Acquisition") -> str:
    """Return the fingerprint of what goes into patterns.zarr."""
    images = {
        name: path.read_bytes().hex() if (path := getattr(request, name)) else None
        for name in DETECTOR_IMAGES
    }
    asked = {"mask": fingerprint(mask=images.pop("mask"))}
    # Without a correction the fingerprint is that of versions that knew none.
    if any(images.values()) or request.gain or request.offset is not None:
        asked["correction"] = fingerprint(**images, gain=request.gain, offset=request.offset)
    return fingerprint(
        acquisition=acquisition.identity,
        crop=request.crop,
        roi=request.roi,
        bin=request.bin,
        **asked,
    )


def indexing_of(request: Request) -> "Indexing | None":
    """Return what the clusters are indexed with, read from its files; None without crystals.

    Raises
    ------
    InputError
        If a crystal is at fault.
    """
    if not request.crystals:
        return None
    from orimap.tasks.index.index_results import Setup
    from orimap.tasks.index.indexing import Indexing

    setup = Setup(request.precession, request.detector_rotation, request.detector_flip)
    return Indexing.read(request.crystals, setup)


def correction_of(request: Request, acquisition: "Acquisition", crop: Region) -> Correction:
    """Return what is known of the camera, and done to every value."""
    return read_correction(
        acquisition.detector_shape,
        crop,
        gain=request.gain,
        offset=request.offset,
        dark=request.dark,
        gain_map=request.gain_map,
    )


def request_fingerprint(request: Request, ingest: str) -> str:
    """Return the fingerprint of a whole request, given that of the patterns it is about."""
    # The newer options of reading are all part of what the patterns' own fingerprint is of.
    asked = request.model_dump(mode="json", exclude=HOW | NEWER_FIELDS)
    return fingerprint(ingest=ingest, asked=as_first_named(asked))


def _check_dark_field(request: Request, detector_shape: tuple[int, int]) -> None:
    """Check that there are registered reflections, and a region that lies within the patterns."""
    if request.filter != "epattern":
        raise InputError(
            "registered reflections for --dark-field (--filter epattern)",
            f"--filter {request.filter}",
            "add --filter epattern, or leave --dark-field out",
        )
    whole_or_part(
        request.dark_field, detector_shape, "--dark-field", "pixels after --crop and --bin"
    )


def _range_of_k(
    request: Request, scan: tuple[int, int], detector: tuple[int, int], largest_k: int
) -> tuple[int, ...]:
    """Return the numbers of components to try; the default range is clipped to a tiny scan."""
    positions, pixels = math.prod(scan), math.prod(detector)
    first, last = request.k
    # A form that fills in the defaults asks for no more than one that leaves them out.
    if request.k == Request.model_fields["k"].default:
        last = min(last, largest_k)
        first = min(first, last)
    elif last > min(positions, pixels):
        raise InputError(
            f"no more components than scan positions ({positions}) and detector pixels",
            f"--k {first}:{last}",
            f"give a range that ends at {min(positions, pixels)} or below",
        )
    _check_choice(request, first, last, largest_k)
    return tuple(range(first, last + 1))


def _check_choice(request: Request, first: int, last: int, largest_k: int) -> None:
    """Check that a number that was asked for can be had from the fits of first to last."""
    asked, components = request.distinct, request.components
    if components is not None and not first <= components <= last:
        raise InputError(
            f"--components within --k ({first} to {last})",
            f"--components {components}",
            "choose one within" + (", or widen --k" if components <= largest_k else ""),
        )
    if asked is not None and asked > last:
        raise InputError(
            f"no more distinct patterns than the largest fit has components ({last})",
            f"--distinct {asked}",
            "choose a smaller one" + (", or widen --k" if asked <= largest_k else ""),
        )


def _some_patterns(acquisition: "Acquisition", crop: Region) -> np.ndarray:
    """Read a few patterns along the diagonal of the scan: (pattern, detector_y, detector_x)."""
    y0, y1, x0, x1 = crop
    rows, columns = acquisition.scan_shape
    found = []
    for part in range(1, PATTERNS_TO_LOOK_AT + 1):
        row, column = (size * part // (PATTERNS_TO_LOOK_AT + 1) for size in (rows, columns))
        one = acquisition.read(slice(row, row + 1), slice(column, column + 1))
        found.append(one[0, 0, y0:y1, x0:x1])
    return np.stack(found)


def _filled(patterns: np.ndarray, bin: int) -> float:
    """Return the share of pixels that are not zero in some patterns, as they will be stored."""
    share = np.count_nonzero(patterns) / patterns.size
    # The share of bins of bin² pixels that hold at least one that chance has filled.
    return float(1 - (1 - share) ** (bin**2))


def _packed_bytes(patterns: np.ndarray, pattern_bytes: int) -> float:
    """Return how many bytes a stored pattern takes after compression, by some as they are read."""
    from numcodecs import Blosc

    packed = Blosc("zstd", clevel=3, shuffle=Blosc.BITSHUFFLE).encode(
        np.ascontiguousarray(patterns)
    )
    return pattern_bytes * len(packed) / patterns.nbytes
