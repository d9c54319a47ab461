import os

import pytest

from orimap.tasks.store.whole_file import write_whole


def test_a_file_is_replaced_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "file"
    before = os.umask(0o022)
    try:
        write_whole(path, b"old")
        write_whole(path, b"new")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, b"newer")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"new"


def test_the_content_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    path, done = tmp_path / "file", []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr("os.fsync", lambda file: (done.append("fsync"), fsync(file)))
    monkeypatch.setattr("os.replace", lambda *names: (done.append("replace"), replace(*names)))
    write_whole(path, b"new")
    assert done == ["fsync", "replace"]


def test_text_is_utf_8(tmp_path):
    write_whole(tmp_path / "file", "Å\n")
    assert (tmp_path / "file").read_bytes() == b"\xc3\x85\n"


def test_two_that_write_the_same_file_do_not_mix(tmp_path, monkeypatch):
    """The second writes while the first has written and not yet replaced the file."""
    path, replace = tmp_path / "file", os.replace

    def second_comes_first(*names):
        monkeypatch.setattr("os.replace", replace)
        write_whole(path, b"second " * 9)
        assert path.read_bytes() == b"second " * 9
        replace(*names)

    monkeypatch.setattr("os.replace", second_comes_first)
    write_whole(path, b"first")
    assert path.read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["file"]
