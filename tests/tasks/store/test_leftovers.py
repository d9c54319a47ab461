import os

import pytest

from orimap.tasks.process_name import own_name
from orimap.tasks.store.leftovers import ARRAY_FOLDER, aside, clear_folder
from orimap.tasks.store.locks import held
from orimap.tasks.store.whole_file import write_whole


def ended():
    """The name of a process that is gone: ours, had it been started a moment earlier."""
    process, start, machine = own_name().split("-")
    return f"{process}-{int(start) - 1}-{machine}"


def test_what_ended_processes_left_goes_and_what_may_be_needed_stays(tmp_path):
    (tmp_path / f".unfinished-{ended()}-scan.zarr").mkdir()
    (tmp_path / f".unfinished-{ended()}-scan.zarr" / "zarr.json").touch()
    (tmp_path / f".old-{ended()}-scan.npy").touch()
    (tmp_path / f".outcome.json.{ended()}-0123abcd").touch()
    stays = [aside(tmp_path / "scan.npy"), aside(tmp_path / "scan.npy", "old")]
    stays += [tmp_path / f".run.json.{own_name()}-0123abcd", tmp_path / "scan.npy"]
    stays += [tmp_path / ".unfinished-4711-scan.npy"]  # of a version that told less
    for path in stays:
        path.touch()
    assert len(clear_folder(tmp_path)) == 3
    assert sorted(tmp_path.iterdir()) == sorted(stays)


def test_an_array_goes_when_nobody_holds_it(tmp_path):
    array = tmp_path / ARRAY_FOLDER
    array.mkdir()
    (array / "scan.zarr").mkdir()
    with held(array / ".lock"):
        assert clear_folder(tmp_path) == []
        assert (array / "scan.zarr").is_dir()
    assert clear_folder(tmp_path) == [array]
    assert not array.exists()


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / f".unfinished-{ended()}-scan.zarr").symlink_to(kept)
    assert len(clear_folder(folder)) == 1
    assert os.listdir(kept) == ["file"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root, to give a file away")
def test_what_is_another_user_s_stays(tmp_path):
    path = tmp_path / f".unfinished-{ended()}-scan.npy"
    path.touch()
    os.chown(path, 12345, -1)
    assert clear_folder(tmp_path) == []
    assert path.exists()


def test_a_folder_that_is_not_there_has_nothing_left(tmp_path):
    assert clear_folder(tmp_path / "absent") == []


def test_the_name_of_a_file_on_its_way_is_known_to_who_clears(tmp_path, monkeypatch):
    monkeypatch.setattr("os.urandom", lambda _n: bytes(4))
    monkeypatch.setattr("orimap.tasks.store.whole_file.own_name", ended)
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: None)  # as if killed before
    write_whole(tmp_path / "run.json", "{}")
    assert [path.name for path in clear_folder(tmp_path)] == [f".run.json.{ended()}-00000000"]
