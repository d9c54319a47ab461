"""What the count of damaged files stands on: the scan in every format, and damage by seeds."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).with_name("mutated")


@pytest.fixture(scope="module")
def parts(script):
    """The modules beside the script."""
    return {name: script(name) for name in ("write_files", "mutate", "count")}


@pytest.fixture(scope="module")
def bases(parts, tmp_path_factory):
    """The scan in every format."""
    return parts["count"].write_all(tmp_path_factory.mktemp("bases"))


def test_every_format_is_read_as_the_scan_that_was_written(parts, bases):
    asked = parts["write_files"].ASKED
    differing = [
        name
        for name, path in bases.items()
        if not parts["count"].holds_the_scan(path, list(asked.get(name, ())))
    ]
    assert (len(bases), differing) == (20, [])


def test_damage_follows_from_its_seed_and_is_done_in_every_way(parts, bases, tmp_path):
    done = Counter()
    for seed in range(18):
        contents = []
        for copy in ("a", "b"):
            folder = tmp_path / f"{seed}{copy}"
            shutil.copytree(bases["mib"].parent, folder)
            done[parts["mutate"].mutate(folder, seed).split()[0]] += 1
            contents.append([path.read_bytes() for path in sorted(folder.iterdir())])
        assert contents[0] == contents[1]
        whole = [path.read_bytes() for path in sorted(bases["mib"].parent.iterdir())]
        assert contents[0] != whole
    assert set(done.values()) == {4}
    assert len(done) == len(parts["mutate"].WAYS)


def test_maps_are_compared_whatever_the_labels_are_called(parts):
    apart, truth = parts["count"].apart, parts["write_files"].labels()
    assert not apart(7 - truth, truth)
    few, many = truth.copy(), truth.copy()
    few[0, :3] = 9
    many[0, :6], many[1, :1] = 2, 2
    assert not apart(few, truth)
    assert apart(many, truth)
    assert apart(truth[1:], truth)


def test_the_table_counts_every_end_of_every_format(parts):
    found = [
        {"format": "mib", "end": "refused"},
        {"format": "mib", "end": "read right"},
        {"format": "npy_columns_first", "end": "refused"},
    ]
    lines = parts["count"].table(found)
    assert lines[0].startswith("3 damaged files, 20")
    assert lines[-3:] == [
        "| mib | 2 | 1 | 0 | 0 | 0 | 1 | 0 | 0 | 0 | 0 |",
        "| npy columns first | 1 | 0 | 0 | 0 | 0 | 1 | 0 | 0 | 0 | 0 |",
        "| all | 3 | 1 | 0 | 0 | 0 | 2 | 0 | 0 | 0 | 0 |",
    ]


@pytest.mark.parametrize(
    ("name", "seed"), [("swift", 10), ("npy", 21), ("mib", 24), ("hdf5_compressed", 4), ("blo", 65)]
)
def test_a_damaged_file_ends_in_a_refusal(parts, bases, tmp_path, name, seed):
    """The first of them broke the library while the file was recognised."""
    shutil.copytree(bases[name].parent, tmp_path / "files")
    parts["mutate"].mutate(tmp_path / "files", seed)
    code, said = parts["count"].command(["info", str(tmp_path / "files" / bases[name].name)])
    assert (code, said.splitlines()[0][:7]) == (2, "needed:")


def test_what_is_not_the_scan_is_told_from_it(parts, bases, tmp_path):
    values = np.load(bases["npy"])
    values[3, 4, 5, 6] += 1
    np.save(tmp_path / "scan.npy", values)
    assert not parts["count"].holds_the_scan(tmp_path / "scan.npy", [])
