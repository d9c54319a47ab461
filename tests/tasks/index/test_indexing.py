"""What clusters are indexed with is told apart by its content, and comes back as it was stored."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.index import indexing
from orimap.tasks.index.index_results import Setup
from orimap.tasks.index.indexing import Indexing, stored_indexing

HERE = Path(__file__).parent / "crystals"
SETUP = Setup(precession_deg=0.7, rotation_deg=-12.5, flip=True, beam_energy_kev=80.0)


def read(*names, setup=SETUP):
    return Indexing.read([HERE / f"{name}.cif" for name in names], setup)


def test_what_was_stored_is_read_back_without_the_files(tmp_path):
    shutil.copy(HERE / "quartz.cif", tmp_path)
    made = Indexing.read([tmp_path / "quartz.cif", HERE / "gold.cif"], SETUP)
    (tmp_path / "quartz.cif").unlink()
    again = stored_indexing({"crystals": ["quartz", "gold"], **made.attributes})
    assert again == made
    assert again.mark == made.mark
    assert [each.crystal.name for each in again.crystals] == ["quartz", "gold"]
    np.testing.assert_array_equal(
        again.crystals[0].crystal.positions, made.crystals[0].crystal.positions
    )
    assert stored_indexing(read("gold", setup=Setup()).attributes).setup == Setup()


def test_the_mark_says_which_bytes_and_what_was_told(tmp_path):
    mark = read("quartz").mark
    shutil.copy(HERE / "quartz.cif", tmp_path)
    copied = tmp_path / "quartz.cif"
    assert Indexing.read([copied], SETUP).mark == mark
    copied.write_bytes(copied.read_bytes() + b"# looked through\n")
    others = [Indexing.read([copied], SETUP), read("gold"), read("quartz", "gold")]
    others += [read("quartz", setup=Setup()), read("quartz", setup=Setup(precession_deg=0.7))]
    assert len({mark, *(each.mark for each in others)}) == 6
    assert read("quartz").mark_of("one") != read("quartz").mark_of("other")


def test_a_text_that_is_too_long_is_not_stored(monkeypatch):
    monkeypatch.setattr(indexing, "LARGEST_STORED_BYTES", 100)
    made = read("quartz")
    assert made.crystals[0].text == ""
    assert made.crystals[0].crystal.name == "quartz"
    assert stored_indexing(made.attributes) is None
    assert stored_indexing({"crystals": ["quartz"], "crystal_files": ["quartz.cif"]}) is None
    assert stored_indexing({}) is None


def test_crystals_that_cannot_be_told_apart_are_refused(tmp_path):
    shutil.copy(HERE / "quartz.cif", tmp_path / "copy.cif")
    with pytest.raises(InputError, match=r"the same in .*quartz.cif and .*copy.cif"):
        Indexing.read([HERE / "gold.cif", HERE / "quartz.cif", tmp_path / "copy.cif"], SETUP)
    shutil.copy(HERE / "gold.cif", tmp_path / "quartz.cif")
    with pytest.raises(InputError, match="rename one"):
        Indexing.read([HERE / "quartz.cif", tmp_path / "quartz.cif"], SETUP)


def test_no_crystal_and_no_file_are_refused(tmp_path):
    with pytest.raises(InputError, match="give --crystal"):
        Indexing.read([], Setup())
    with pytest.raises(InputError, match="a CIF file at"):
        Indexing.read([tmp_path / "nothing.cif"], Setup())
