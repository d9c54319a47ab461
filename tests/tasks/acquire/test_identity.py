"""Digests that users keep in results and journals: worked out with the first version of orimap."""

import hashlib
import os

import numpy as np
import pytest

from orimap.tasks.acquire.arrivals.find_arrivals import find_arrivals
from orimap.tasks.acquire.identity import IDENTITY_BYTES, add_ends
from orimap.tasks.acquire.open_acquisition import open_acquisition


@pytest.fixture
def scan(tmp_path):
    """A file of more than twice the bytes that are read, with a time that does not change."""
    path = tmp_path / "day 1" / "a.npy"
    path.parent.mkdir()
    np.save(path, np.arange(4 * 5 * 60 * 70, dtype=np.uint16).reshape(4, 5, 60, 70))
    os.utime(path, ns=(10**18, 10**18))
    return path


def test_an_acquisition_has_the_identity_that_stored_results_name(scan):
    assert (
        open_acquisition(scan).identity
        == "b1eeb759fb7926936fbc9bbeb4513e343c3952d8ae9198507f5e40af15e68817"
    )


def test_arrivals_have_the_identity_that_journals_name(scan, tmp_path):
    series = tmp_path / "series"  # more files than are opened
    series.mkdir()
    for number in range(300):
        (series / f"p{number:03d}.tif").write_bytes(bytes([number % 256]) * (number + 1))
    found = {each.main.name: each for each in find_arrivals(tmp_path, complain=print)}
    assert {name: each.identity(tmp_path) for name, each in found.items()} == {
        "a.npy": "db3b643ce9553a619bd9dc7b03da32940e33cfd25a8ae5b02e9e6ad54b3cde1a",
        "series": "9ad25cf14d6c1ea613eca34d0172541bf6dde8d95671e33a9081ccaf978403d6",
    }


@pytest.mark.parametrize("size", [0, 10, IDENTITY_BYTES, 3 * IDENTITY_BYTES])
def test_both_ends_of_a_file_are_read_and_nothing_between(tmp_path, size):
    content = np.random.default_rng(1).bytes(size)
    (tmp_path / "file").write_bytes(content)
    digest = hashlib.sha256()
    add_ends(digest, tmp_path / "file", size)
    ends = content[:IDENTITY_BYTES] + content[-IDENTITY_BYTES:]
    assert digest.digest() == hashlib.sha256(ends).digest()
