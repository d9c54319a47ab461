import os

import pytest

from orimap.flows.viewer.table import find_runs
from orimap.flows.viewer.table.find_runs import RunFinder, is_run


@pytest.fixture
def tree(tmp_path):
    for mark in ("day 1/a/analysis.zarr", "day 1/b/.unfinished", "c/analysis.zarr/decision",
                 "c/again/analysis.zarr", "notes", ".orimap/jobs/d/analysis.zarr",
                 "c/figures/e/analysis.zarr"):  # fmt: skip
        (tmp_path / mark).mkdir(parents=True)
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed" / "outcome.json").write_text("{}")
    return tmp_path


def test_runs_are_found_wherever_they_lie_but_not_in_what_runs_and_the_watcher_make(tree):
    found = RunFinder(tree).find()
    assert set(found) == {"day 1/a", "day 1/b", "c", "c/again", "failed"}
    assert found["day 1/b"] == {".unfinished"}
    assert is_run(tree / "c")
    assert not is_run(tree)


def test_links_are_not_followed(tree, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "run" / "analysis.zarr").mkdir(parents=True)
    (tree / "linked").symlink_to(elsewhere)
    (tree / "notes" / "analysis.zarr").symlink_to(elsewhere / "run" / "analysis.zarr")
    (tree / "round").symlink_to(tree)
    found = RunFinder(tree).find()
    assert not [
        below for below in found if "linked" in below or "notes" in below or "round" in below
    ]


def test_what_has_not_changed_is_not_listed_again(tree, age, monkeypatch):
    folders = [path for path in [tree, *tree.rglob("*")] if path.is_dir()]
    age(*folders)
    finder = RunFinder(tree)
    first = finder.find()
    listed = []
    scandir = os.scandir
    monkeypatch.setattr(find_runs.os, "scandir", lambda path: listed.append(path) or scandir(path))
    assert finder.find() == first
    assert listed == []
    (tree / "day 1" / "new" / "analysis.zarr").mkdir(parents=True)
    assert set(finder.find()) - set(first) == {"day 1/new"}
    assert {path.name for path in listed} == {"day 1", "new"}
    # A folder that was made a moment ago may change again within the same moment of its time.
    listed.clear()
    finder.find()
    assert {path.name for path in listed} == {"day 1", "new"}


def test_what_has_gone_is_forgotten(tree):
    finder = RunFinder(tree)
    finder.find()
    (tree / "failed" / "outcome.json").unlink()
    assert "failed" not in finder.find()


def test_a_tree_too_large_is_told(tree, monkeypatch):
    monkeypatch.setattr(find_runs, "MOST_FOLDERS", 3)
    finder = RunFinder(tree)
    assert len(finder.find()) < 5
    assert finder.incomplete == "only the first 3 folders were looked through"


def test_a_root_that_has_gone_is_told(tmp_path):
    finder = RunFinder(tmp_path / "absent")
    assert finder.find() == {}
    assert finder.incomplete == f"{tmp_path / 'absent'} cannot be listed now"
    (tmp_path / "absent").mkdir()
    assert (finder.find(), finder.incomplete) == ({}, "")
