import grp
import os

import pytest

from orimap.flows.jobs.privacy import keep_private
from orimap.tasks.errors import InputError


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """Rights and environment of this process, given back afterwards."""
    before = os.umask(0o022)
    monkeypatch.delenv("ORIMAP_DASHBOARD", raising=False)
    yield
    os.umask(before)


def rights(path):
    return path.stat().st_mode & 0o7777


def written(folder):
    """Rights of a folder and a file that are made in a folder."""
    (folder / "run").mkdir()
    (folder / "run" / "run.json").touch()
    return rights(folder / "run"), rights(folder / "run" / "run.json")


def test_what_services_write_is_for_their_account_alone(tmp_path):
    results, state = tmp_path / "results", tmp_path / "state"
    state.mkdir(mode=0o755)
    keep_private(results, state)
    assert (rights(results), rights(state)) == (0o700, 0o700)
    assert written(results) == (0o700, 0o600)
    assert os.environ["ORIMAP_DASHBOARD"] == "off"


def test_a_folder_of_results_that_is_there_keeps_its_rights(tmp_path):
    results = tmp_path / "results"
    results.mkdir(mode=0o755)
    keep_private(results, tmp_path / "state")
    assert rights(results) == 0o755
    assert written(results) == (0o700, 0o600)


def test_a_group_reads_results_and_not_the_state(tmp_path):
    group = grp.getgrgid(os.getgid()).gr_name
    results, state = tmp_path / "results", tmp_path / "results" / ".orimap"
    keep_private(results, state, group)
    assert (rights(results), rights(state) & 0o777) == (0o2750, 0o700)
    assert written(results) == (0o2750, 0o640)
    assert (results / "run" / "run.json").stat().st_gid == os.getgid()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root, to give a folder to a group")
def test_what_is_made_in_the_folder_of_a_group_belongs_to_it(tmp_path):
    other = next(each for each in grp.getgrall() if each.gr_gid != os.getgid())
    keep_private(tmp_path / "results", tmp_path / "state", other.gr_name)
    written(tmp_path / "results")
    assert (tmp_path / "results" / "run" / "run.json").stat().st_gid == other.gr_gid


def test_an_unknown_group_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(InputError, match="--group nobody's group: there is none"):
        keep_private(tmp_path / "results", tmp_path / "state", "nobody's group")
    assert list(tmp_path.iterdir()) == []


def test_a_dashboard_that_the_environment_asks_for_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("ORIMAP_DASHBOARD", "on")
    keep_private(tmp_path / "results", tmp_path / "state")
    assert os.environ["ORIMAP_DASHBOARD"] == "on"
