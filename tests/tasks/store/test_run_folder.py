import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from orimap.tasks.errors import InputError, UnavailableError
from orimap.tasks.store import run_folder
from orimap.tasks.store.groups import (
    complete_mark,
    mark_complete,
    open_group,
    remove_group,
    write_group,
)
from orimap.tasks.store.locks import held
from orimap.tasks.store.run_folder import RunFolder, only_writer, require_writable, settle
from orimap.tasks.store.whole.flushed import flush_files


def numbers(value, name="scan_value"):
    return xr.Dataset({name: (("scan_y", "scan_x"), np.full((2, 3), value))})


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "out")
    folder.prepare()
    return folder


def test_a_complete_group_is_copied_for_the_next_run(folder):
    folder.write("fits/k02", numbers(1.0), "m2")
    folder.write("decision", numbers(5.0), "d")
    folder.publish()
    folder = RunFolder(folder.root)
    folder.prepare()
    assert not folder.reuse("fits/k02", "other")
    assert not folder.reuse("fits/k03", "m2")
    assert not (folder.analysis / "fits").exists()
    assert folder.reuse("fits/k02", "m2")
    assert folder.reuse("fits/k02", "m2")
    np.testing.assert_array_equal(folder.read("fits/k02")["scan_value"], 1.0)
    # A copy: the complete results stay where they are.
    assert complete_mark(folder.published_analysis, "fits/k02") == "m2"
    folder.write("fits/k02", numbers(9.0), "m3")
    np.testing.assert_array_equal(
        open_group(folder.published_analysis, "fits/k02")["scan_value"], 1.0
    )
    assert isinstance(zarr.open_group(folder.analysis, mode="r")["fits"], zarr.Group)


def test_results_are_replaced_only_when_the_new_ones_are_published(folder):
    folder.write("decision", numbers(1.0), "first")
    (folder.unfinished / "report.html").write_text("first")
    folder.publish()
    assert not folder.unfinished.exists()
    folder.prepare()
    folder.write("decision", numbers(2.0), "second")
    (folder.unfinished / "report.html").write_text("second")
    assert complete_mark(folder.published_analysis, "decision") == "first"
    assert (folder.root / "report.html").read_text() == "first"
    folder.publish()
    assert complete_mark(folder.published_analysis, "decision") == "second"
    assert (folder.root / "report.html").read_text() == "second"
    assert sorted(path.name for path in folder.root.iterdir()) == ["analysis.zarr", "report.html"]


@pytest.mark.parametrize("renames", range(5))
def test_a_publication_that_was_killed_is_finished_by_the_next_run(folder, monkeypatch, renames):
    folder.write("decision", numbers(1.0), "first")
    (folder.unfinished / "report.html").write_text("first")
    folder.publish()
    folder.prepare()
    folder.write("decision", numbers(2.0), "second")
    (folder.unfinished / "report.html").write_text("second")
    done = 0
    rename = Path.rename

    def killed(self, target):
        nonlocal done
        if done == renames:
            raise KeyboardInterrupt
        done += 1
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", killed)
        if renames < 4:
            with pytest.raises(KeyboardInterrupt):
                folder.publish()
        else:
            folder.publish()
    folder = RunFolder(folder.root)
    folder.recover()
    assert complete_mark(folder.published_analysis, "decision") == "second"
    assert (folder.root / "report.html").read_text() == "second"
    assert not (folder.root / ".replaced").exists()
    folder.prepare()
    assert folder.unfinished.is_dir()


CHANGES = ("rename", "replace", "unlink", "rmdir", "mkdir", "open", "utime", "link", "fsync")


def _killed_at(call, work):
    """Do some work in a process that ends at one of its calls; return whether it got so far."""
    child = os.fork()
    if child == 0:
        done = 0

        def counted(original):
            def called(*args, **kwargs):
                nonlocal done
                done += 1
                if done > call:
                    os._exit(9)
                return original(*args, **kwargs)

            return called

        for name in CHANGES:
            setattr(os, name, counted(getattr(os, name)))
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def _made(folder, name):
    folder.prepare()
    for group in ("decision", "clusters"):
        folder.write(group, numbers(1.0), name)
    (folder.unfinished / "patterns.zarr").mkdir()
    (folder.unfinished / "patterns.zarr" / "of").write_text(name)
    (folder.unfinished / "report.html").write_text(name)
    (folder.unfinished / "run.json").write_text(name)
    (folder.unfinished / "figures").mkdir()
    (folder.unfinished / "figures" / "loss.png").write_text(name)


FILES = ("patterns.zarr/of", "report.html", "run.json", "figures/loss.png")


def _seen(root):
    """Return of which run each part is that is there."""
    there = {path: (root / path).read_text() for path in FILES if (root / path).exists()}
    marks = {f"/{g}": complete_mark(root / "analysis.zarr", g) for g in ("decision", "clusters")}
    return there | {group: mark for group, mark in marks.items() if mark is not None}


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_whenever_a_publication_is_killed_readers_see_results_that_belong_together(tmp_path, step):
    """At every call that changes files, or at every fifth."""
    call, was_killed, seen = 0, True, []
    while was_killed:
        folder = RunFolder(tmp_path / f"{call}")
        _made(folder, "first")
        folder.publish()
        _made(folder, "second")
        was_killed = _killed_at(call, folder.publish)
        # Also who looks at files alone never finds parts of two runs.
        assert len(set(_seen(folder.root).values())) <= 1
        settle(folder.root)
        found = _seen(folder.root)
        assert len(found) == len(FILES) + 2
        seen.append(*set(found.values()))
        # What was made and not yet moved is not lost either.
        if seen[-1] == "first":
            assert complete_mark(folder.analysis, "clusters") == "second"
        call += step
    assert seen == sorted(seen)
    assert {"first", "second"} == set(seen)
    assert call > 40


def test_readers_wait_for_a_publication_and_refuse_where_it_does_not_end(folder, monkeypatch):
    monkeypatch.setattr(run_folder, "SETTLE_SECONDS", 0)
    folder.write("decision", numbers(1.0), "first")
    (folder.unfinished / "moving").touch()
    with (
        held(folder.root / ".lock"),
        pytest.raises(UnavailableError, match="a run is putting in place"),
    ):
        settle(folder.root)
    assert complete_mark(folder.published_analysis, "decision") is None
    settle(folder.root)
    assert complete_mark(folder.published_analysis, "decision") == "first"
    assert not folder.unfinished.exists()


def test_what_a_killed_run_has_completed_serves_the_next(folder):
    folder.write("sketch", numbers(1.0), "s")
    write_group(folder.analysis, "decision", numbers(2.0), None)
    again = RunFolder(folder.root)
    again.prepare()
    assert again.reuse("sketch", "s")
    assert not again.reuse("decision", "d")
    again.discard()
    again.prepare()
    assert not again.reuse("sketch", "s")


def test_patterns_are_taken_from_the_complete_results_where_they_serve(folder):
    new = folder.unfinished / "patterns.zarr"
    assert folder.patterns("p") == new
    write_group(new, "raw", numbers(1.0), "p")
    folder.publish()
    folder.prepare()
    assert folder.patterns("p") == folder.root / "patterns.zarr"
    assert folder.patterns("q") == new
    write_group(new, "raw", numbers(1.0), "q")
    assert folder.patterns("q") == new
    assert folder.patterns("p") == folder.root / "patterns.zarr"


HOLD = """
import sys
from pathlib import Path
from orimap.tasks.store.run_folder import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_two_runs_cannot_write_one_folder_and_the_lock_ends_with_its_holder(tmp_path):
    root = tmp_path / "out"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"process {other.pid}"), only_writer(root):
            pass
    finally:
        other.kill()
        other.communicate()
    with only_writer(root):
        pass
    with only_writer(root):
        pass


def test_the_lock_is_freed_by_an_error(tmp_path):
    with pytest.raises(ArithmeticError), only_writer(tmp_path / "out"):
        raise ArithmeticError
    with only_writer(tmp_path / "out"):
        pass


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_folder_that_cannot_be_made_is_the_users_to_mend(tmp_path, below):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught, only_writer(tmp_path / "file" / below):
        pass
    assert str(tmp_path / "file") in caught.value.needed
    assert "--output" in caught.value.remedy


def test_an_unfinished_run_writes_beside_the_published_patterns_and_shares_them(tmp_path):
    folder = RunFolder(tmp_path)
    published = tmp_path / "patterns.zarr"
    for group, mark in (("raw", "m"), ("mean", "n"), ("epattern", "o")):
        made = zarr.open_group(published, path=group, mode="w")
        made.create_array("values", data=np.arange(6.0))
        mark_complete(published, group, mark)
    folder.prepare()
    assert folder.patterns("m") == published
    folder.separate_patterns("m", keep=("raw", "mean", "beam"))
    own = folder.unfinished / "patterns.zarr"
    assert folder.patterns("m") == own
    assert [complete_mark(own, g) for g in ("raw", "mean", "beam", "epattern")] == [
        "m", "n", None, None,
    ]  # fmt: skip
    kept = next(p for p in (published / "raw" / "values").rglob("*") if p.is_file())
    assert kept.stat().st_ino == (own / kept.relative_to(published)).stat().st_ino
    # What is replaced in the one stays in the other.
    remove_group(own, "mean")
    np.testing.assert_array_equal(zarr.open_group(published, mode="r")["mean/values"], range(6))
    folder.separate_patterns("m", keep=())
    assert complete_mark(own, "raw") == "m"


def test_arrays_are_added_to_a_complete_group_once(tmp_path):
    folder = RunFolder(tmp_path)
    folder.prepare()
    folder.write("acquisition", xr.Dataset({"a": ("x", [1.0])}, attrs={"fact": 1}), "m")
    folder.add("acquisition", xr.Dataset({"b": ("x", [2.0], {"units": "pixel"})}))
    folder.add("acquisition", xr.Dataset({"b": ("x", [3.0])}))
    read = folder.read("acquisition")
    assert (read["a"].values, read["b"].values) == ([1.0], [2.0])
    assert read["b"].attrs["units"] == "pixel"
    assert (read.attrs["fact"], read.attrs["complete"]) == (1, "m")


def test_a_folder_is_checked_without_making_it(tmp_path, monkeypatch):
    require_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for folder, found in (
        ("file/results", f"{tmp_path / 'file'} is a file"),
        ("link/results", f"{tmp_path / 'link'} is a link that leads nowhere"),
        ("n" * 300, "File name too long"),
    ):
        with pytest.raises(InputError) as refused:
            require_writable(tmp_path / folder)
        assert refused.value.found.startswith(found)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="is not writable"):
        require_writable(tmp_path / "a")


def test_a_folder_that_takes_no_files_is_told_by_the_name_that_was_given():
    with pytest.raises(InputError) as refused:
        require_writable(Path("/proc/results"))
    assert refused.value.found.startswith("/proc")
    assert "tmp" not in refused.value.found


@pytest.mark.parametrize("place", ["scan.zarr", "scan.zarr/a/b", "link/a"])
def test_nothing_is_written_into_a_store(tmp_path, place):
    zarr.open_group(tmp_path / "scan.zarr", mode="w")
    (tmp_path / "link").symlink_to(tmp_path / "scan.zarr")
    there = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match="not inside a data set"):
        require_writable(tmp_path / place)
    with pytest.raises(InputError, match="not inside a data set"), only_writer(tmp_path / place):
        pass
    assert sorted(tmp_path.rglob("*")) == there


@pytest.mark.parametrize("folders_can", [True, False])
def test_all_files_are_on_the_disk_and_then_their_folders(tmp_path, monkeypatch, folders_can):
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name in ("one", "a/two", "a/b/three"):
        (tmp_path / name).write_text(name)
    flushed = []

    def fsync(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        flushed.append(path)
        if path.is_dir() and not folders_can:
            raise OSError(errno.EINVAL, "not for folders")

    monkeypatch.setattr(os, "fsync", fsync)
    flush_files(tmp_path)
    names = [str(path.relative_to(tmp_path)) for path in flushed]
    assert sorted(names[:3]) == ["a/b/three", "a/two", "one"]
    assert sorted(names[3:]) == [".", "a", "a/b"]

    def full(_descriptor):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="broken"):
        flush_files(tmp_path)
