import h5py
import numpy as np
import pytest

from orimap.tasks.acquire.formats.chunked.linked_files import files_behind, linked_files

PATTERNS = np.ones((2, 3, 4, 5), "u2")


@pytest.fixture
def folder(tmp_path):
    """``a.h5`` leads to ``b.h5`` and that to ``c.h5``, which has values in ``d.raw``."""
    (tmp_path / "d.raw").write_bytes(PATTERNS.tobytes())
    with h5py.File(tmp_path / "c.h5", "w") as file:
        outside = [(str(tmp_path / "d.raw"), 0, PATTERNS.nbytes)]
        file.create_dataset("x", PATTERNS.shape, "u2", external=outside)
    layout = h5py.VirtualLayout(PATTERNS.shape, "u2")
    layout[...] = h5py.VirtualSource("c.h5", "x", PATTERNS.shape)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_virtual_dataset("g/x", layout)
        file["g/own"] = PATTERNS
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["way"] = h5py.ExternalLink("b.h5", "/g")
        file["short"] = h5py.SoftLink("/way/x")
        file["gone"] = h5py.ExternalLink("gone.h5", "/x")
        file["plain"] = PATTERNS
        file["self"] = h5py.ExternalLink("a.h5", "/self")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("short", "b.h5 c.h5 d.raw"), ("way/x", "b.h5 c.h5 d.raw"), ("/way/own", "b.h5"),
        ("plain", ""), ("gone", ""), ("self", ""), ("not there", ""),
    ],
)  # fmt: skip
def test_only_the_files_that_a_data_set_comes_from_are_behind_it(folder, name, expected):
    found = files_behind(folder / "a.h5", name)
    assert [path.name for path in found] == expected.split()


def test_all_files_that_anything_leads_to_are_told_before_they_are_opened(folder):
    told = []
    found = linked_files(folder / "a.h5", told.append)
    assert {path.name for path in found} == {"a.h5", "b.h5", "c.h5", "d.raw"}
    assert {path.name for path in told} == {path.name for path in found}
    (folder / "note.txt").write_text("no HDF5")
    assert linked_files(folder / "note.txt") == ()


def test_what_refuses_a_file_keeps_it_from_being_opened(folder):
    opened = []

    def refuse(path):
        opened.append(path.name)
        if path.name == "b.h5":
            raise PermissionError(path.name)

    with pytest.raises(PermissionError):
        linked_files(folder / "a.h5", refuse)
    assert "c.h5" not in opened


def test_numbered_sources_are_all_there(tmp_path):
    for number in range(3):
        with h5py.File(tmp_path / f"part_{number}.h5", "w") as file:
            file["x"] = PATTERNS[0, :2]
    size, unlimited = (4, 5), h5py.h5s.UNLIMITED
    space = h5py.h5s.create_simple((6, *size), (unlimited, *size))
    room = space.copy()
    space.select_hyperslab((0,) * 3, (unlimited, 1, 1), (2, 1, 1), (2, *size))
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_virtual(space, b"part_%b.h5", b"x", h5py.h5s.create_simple((2, *size)))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_UINT16, room, made)
    names = [path.name for path in files_behind(tmp_path / "a.h5", "x")]
    assert names == ["part_0.h5", "part_1.h5", "part_2.h5"]
