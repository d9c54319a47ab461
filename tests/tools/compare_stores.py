"""Compare the stores of two results folders, number by number, to the last bit.

    python tests/tools/compare_stores.py before/results after/results

For changes that must not change a result: run the same request before and after. Every array of
``patterns.zarr`` and ``analysis.zarr`` is compared as bytes (so NaN equals NaN, and 0 differs from
-0), with its type, shape and attributes, and so is every attribute of every group. Versions, times,
fingerprints, checksums of files and the place of the acquisition may differ. Ends with 1 and a line
for each difference, or with 0.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr

STORES = ("patterns.zarr", "analysis.zarr")
# What tells one run from another, not one result from another.
# A seal holds checksums of these.
MAY_DIFFER = {"orimap_version", "complete", "seal", "request", "acquisition", "file", "identity"}


def differences(before: Path, after: Path) -> Iterator[str]:
    """Yield a line for each array or attribute that differs between two results folders.

    Parameters
    ----------
    before, after : Path
        Folders that ``orimap run`` has written.
    """
    for store in STORES:
        first, second = (_members(folder / store) for folder in (before, after))
        for name in sorted(set(first) ^ set(second)):
            yield f"{store}/{name}: only {'before' if name in first else 'after'}"
        for name in sorted(set(first) & set(second)):
            for said in _of_member(first[name], second[name]):
                yield f"{store}/{name}: {said}"


def _members(store: Path) -> dict[str, zarr.Array | zarr.Group]:
    """Return groups and arrays of a store by their paths; its root has none."""
    root = zarr.open_group(store, mode="r")
    return {"": root, **dict(root.members(max_depth=None))}


def _of_member(first: zarr.Array | zarr.Group, second: zarr.Array | zarr.Group) -> Iterator[str]:
    """Yield what differs between a group or array and its counterpart."""
    yield from _of_attributes(first.attrs.asdict(), second.attrs.asdict())
    if isinstance(first, zarr.Array) != isinstance(second, zarr.Array):
        yield "an array in one, a group in the other"
    elif isinstance(first, zarr.Array) and isinstance(second, zarr.Array):
        one, other = np.asarray(first[...]), np.asarray(second[...])
        if (one.dtype, one.shape) != (other.dtype, other.shape):
            yield f"{one.dtype} {one.shape} before, {other.dtype} {other.shape} after"
        elif one.tobytes() != other.tobytes():
            same = _bytes_of_values(one) == _bytes_of_values(other)
            yield f"{np.count_nonzero(~same.all(axis=1))} of {one.size} values differ"


def _bytes_of_values(array: np.ndarray) -> np.ndarray:
    """Return a row of bytes for each value."""
    return np.frombuffer(array.tobytes(), np.uint8).reshape(array.size, -1)


def _of_attributes(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    """Yield the attributes that differ, but for those that may."""
    for key in sorted((set(first) | set(second)) - MAY_DIFFER):
        if repr(first.get(key)) != repr(second.get(key)):
            yield f"attribute {key}: {first.get(key)!r} before, {second.get(key)!r} after"


def main() -> None:
    """Compare the two folders of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    asked = parser.parse_args()
    found = list(differences(asked.before, asked.after))
    print("\n".join(found) or "no difference")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
