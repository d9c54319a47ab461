"""Groups of a Zarr store: written whole, marked complete, told apart by fingerprints."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import BloscCodec, ZstdCodec

from orimap.tasks.store.variables import Variable
from orimap.tasks.store.whole.damage import require_whole
from orimap.tasks.store.whole.metadata import read_metadata, remove_cut_metadata
from orimap.tasks.store.whole.seal import CHECKSUM, COMPLETE, seal

# Exponents and signs of neighbouring numbers are alike: bytes of one kind are put together.
SMALL, QUICK = (BloscCodec(cname="zstd", clevel=n, shuffle="shuffle") for n in (5, 1))
# Zarr's own choice, for whole numbers.
USUAL = ZstdCodec(level=0)


def write_group(store: Path, group: str, ds: xr.Dataset, mark: str | None) -> None:
    """Replace one group of a Zarr v3 store; mark it complete last, with ``mark``."""
    # Masked integers come back as floats: plain values only, no fill value in the encoding.
    encoding = {
        name: {
            "_FillValue": None,
            "compressors": (SMALL if values.dtype.kind == "f" else USUAL, CHECKSUM),
        }
        for name, values in ds.variables.items()
    }
    remove_group(store, group)
    remove_cut_metadata(store, group)
    ds.to_zarr(store, group=group, mode="a", consolidated=False, zarr_format=3, encoding=encoding)
    if mark is not None:
        mark_complete(store, group, mark)


def write_arrays(
    store: Path, group: str, arrays: dict[Variable, np.ndarray], mark: str, **attrs: Any
) -> None:
    """Replace one group as ``write_group`` does, from plain arrays, in a third of the time."""
    remove_group(store, group)
    remove_cut_metadata(store, group)
    made = zarr.open_group(store, path=group, mode="w", attributes=attrs)
    for variable, values in arrays.items():
        made.create_array(
            variable.name,
            data=values,
            compressors=(QUICK, CHECKSUM),
            dimension_names=variable.dims,
            attributes={**variable.attrs},
        )
    mark_complete(store, group, mark)


def remove_group(store: Path, group: str) -> None:
    """Remove a group, its mark first: what is left by a kill must not pass for the whole."""
    (store / group / "zarr.json").unlink(missing_ok=True)
    shutil.rmtree(store / group, ignore_errors=True)


def mark_complete(store: Path, group: str, mark: str, **facts: Any) -> None:
    """Mark a group of a store as whole, and record what it holds (``facts`` as well)."""
    seal(store, group, mark, **facts)


def link_group(source: Path, target: Path, group: str) -> None:
    """Put a group of one store into another without copying what it holds, where that can be.

    Groups are replaced as a whole and never changed, so that a link is as good as a copy.
    """

    def link(original: str, linked: str) -> None:
        try:
            os.link(original, linked)
        except OSError:  # another file system, or one without links
            shutil.copy2(original, linked)

    # Under another name until it is whole: its mark may come before its chunks.
    partial = target / f".{group}"
    shutil.rmtree(partial, ignore_errors=True)
    copy_folder(source / group, partial, link)
    partial.rename(target / group)


def copy_folder(
    source: Path, target: Path, copy: Callable[[str, str], object] = shutil.copy2
) -> None:
    """Copy a folder with all that it holds.

    Raises
    ------
    OSError
        The first error itself: a full disk can be told by it, but not by what shutil raises.
    """
    errors: list[OSError] = []

    def noted(original: str, copied: str) -> None:
        try:
            copy(original, copied)
        except OSError as error:
            errors.append(error)
            raise

    try:
        shutil.copytree(source, target, copy_function=noted)
    except shutil.Error as error:
        raise (errors[0] if errors else error) from error


def complete_mark(store: Path, group: str) -> str | None:
    """Return the fingerprint with which a group was completed, None where it is not whole.

    That none of its chunks was lost since is not looked at: see `orimap.tasks.store.whole.damage`.
    """
    try:
        mark = group_attributes(store, group).get(COMPLETE)
    except FileNotFoundError:
        return None
    return mark if isinstance(mark, str) else None


def group_attributes(store: Path, group: str) -> dict[str, Any]:
    """Return the attributes of one group: a hundredth of the work of opening it.

    Raises
    ------
    FileNotFoundError
        If it is not there, or its metadata is cut.
    """
    return dict(read_metadata(store / group.strip("/"))["attributes"])


def open_group(store: Path, group: str) -> xr.Dataset:
    """Open one group lazily.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    DamagedError
        If chunks of it were lost: Zarr would read zeros.
    """
    if (store / group / "zarr.json").exists():
        require_whole(store, group)
    return xr.open_zarr(store, group=group, consolidated=False, chunks=None)
