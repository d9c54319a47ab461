"""Digests that users keep in results and journals: worked out with the first version of orimap."""

import hashlib
import os
import pickle
import shutil

import numpy as np
import pytest

from orimap.tasks.acquire.arrivals.find_arrivals import find_arrivals
from orimap.tasks.acquire.identity import IDENTITY_BYTES, ChangedError, Sources, add_ends
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


def rewritten(path):
    path.write_bytes(path.read_bytes())
    os.utime(path, ns=(10**18, 10**18 + 1))


def longer(path):
    with path.open("ab") as file:
        file.write(b"more")


def replaced(path):
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def replaced_with_its_time(path):
    """By a file of the same size, time and ends, which differs between them."""
    other = path.with_suffix(".new")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    other.write_bytes(content)
    shutil.copystat(path, other)
    other.replace(path)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (rewritten, "a.npy was written to"),
        (longer, r"a.npy had [\d,]+ bytes and has"),
        (replaced, "another file has taken the place of a.npy"),
        (replaced_with_its_time, "another file has taken the place of a.npy"),
        (os.unlink, "a.npy is not there any more"),
    ],
)
def test_a_file_that_changes_after_it_was_opened_is_noticed(scan, change, found):
    acquisition = open_acquisition(scan)
    acquisition.require_unchanged()
    change(scan)
    with pytest.raises(ChangedError, match=found) as error:
        acquisition.require_unchanged()
    assert "run it again when it is complete" in error.value.remedy
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)


def test_a_file_with_another_number_and_all_else_the_same_is_the_same(scan):
    acquisition = open_acquisition(scan)
    other = scan.with_suffix(".copy")
    shutil.copy2(scan, other)
    other.replace(scan)
    acquisition.require_unchanged()


def test_what_travels_to_workers_knows_one_file_and_not_many(scan, tmp_path):
    files = [tmp_path / f"{number}" for number in range(500)]
    for file in files:
        file.write_bytes(b"x")
    sources = Sources.of(files)
    assert len(pickle.dumps(sources)) < 1000
    files[499].write_bytes(b"yz")
    files[0].unlink()
    with pytest.raises(ChangedError, match="0 is not there any more; 499 had 1 bytes and has 2"):
        sources.require_unchanged("series")
    acquisition = pickle.loads(pickle.dumps(open_acquisition(scan)))
    longer(scan)
    with pytest.raises(ChangedError):
        acquisition.require_same_file()
