import os
import socket
import subprocess
from pathlib import Path

import pytest

from orimap.flows.machine import up
from orimap.flows.machine.service import Service
from orimap.flows.machine.up import Site, check, running
from orimap.tasks.errors import InputError


@pytest.fixture
def site(tmp_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as free,
        socket.create_server(("127.0.0.1", 0)) as another,
    ):
        ports = free.getsockname()[1], another.getsockname()[1]
    (tmp_path / "watched").mkdir()
    return Site(tmp_path / "watched", tmp_path / "results", tmp_path / "state", *ports)


def test_folders_are_made_and_the_state_is_for_this_user_alone(site):
    check(site)
    assert site.logs.is_dir()
    assert site.results.is_dir()
    assert site.state.stat().st_mode & 0o777 == 0o700
    assert running(site.state) is None


@pytest.mark.parametrize(
    ("changed", "needed"),
    [
        ({"watched": "absent"}, "a folder to watch"),
        ({"results": "watched/results"}, "results and state outside the folder that is watched"),
        ({"state": "watched/state"}, "results and state outside the folder that is watched"),
    ],
)
def test_folders_that_do_not_go_together_are_refused(site, tmp_path, changed, needed):
    folders = {name: tmp_path / path for name, path in changed.items()}
    with pytest.raises(InputError) as refused:
        check(Site(**{**vars(site), **folders}))
    assert refused.value.needed == needed


def test_a_port_that_is_taken_is_refused(site):
    with socket.create_server(("127.0.0.1", site.port)), pytest.raises(InputError) as refused:
        check(site)
    assert refused.value.needed == f"the port {site.port} for Prefect's server"
    with socket.create_server(("127.0.0.1", site.view_port)), pytest.raises(InputError) as refused:
        check(site)
    assert refused.value.needed == f"the port {site.view_port} for the viewer"
    assert refused.value.remedy.endswith("--view-port")


def test_prefect_and_the_viewer_need_a_port_each(site):
    with pytest.raises(InputError) as refused:
        check(Site(**{**vars(site), "view_port": site.port}))
    assert refused.value.needed == "two ports, for Prefect's server and for the viewer"


def test_what_is_brought_up_knows_where_the_viewer_is_and_not_the_token(site, tmp_path):
    found = site.environment()
    assert found["ORIMAP_VIEW"] == f"http://127.0.0.1:{site.view_port}"
    assert found["ORIMAP_RESULTS"] == str(tmp_path / "results")
    assert not any("token" in name.lower() for name in set(found) - set(os.environ))


def test_nothing_of_another_prefect_goes_with_what_is_brought_up(site, monkeypatch):
    monkeypatch.setenv("PREFECT_API_KEY", "secret")
    monkeypatch.setenv("PREFECT_PROFILE", "elsewhere")
    monkeypatch.setenv("ORIMAP_ROOTS", "/data/more")
    found = site.environment()
    assert not {"PREFECT_API_KEY", "PREFECT_PROFILE"} & set(found)
    assert found["PREFECT_API_URL"] == f"http://127.0.0.1:{site.port}/api"
    assert found["PREFECT_HOME"] == str(site.state / "prefect")
    # Nothing is written where orimap is installed, or where another account was first.
    assert found["PREFECT_UI_STATIC_DIRECTORY"] == str(site.state / "prefect" / "page")
    mine = Path(found["TMPDIR"])
    assert (mine.stat().st_uid, mine.stat().st_mode & 0o777) == (os.getuid(), 0o700)
    roots = ["/data/more", str(site.watched), str(site.results)]
    assert found["ORIMAP_ROOTS"] == os.pathsep.join(roots)


@pytest.fixture
def deployed(site, monkeypatch):
    """Make deployments without a server; gives what Prefect was asked for."""
    asked = []

    def run(command, **_how):
        asked.append(command[command.index("--no-prompt") + 1])
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    site.logs.mkdir(parents=True)
    (site.state / "prefect").mkdir()

    def deploy():
        asked.clear()
        up._deploy(site, lambda line: None)
        return list(asked)

    return deploy


def test_deployments_are_made_once_and_again_when_their_file_or_the_version_changes(
    deployed, tmp_path, monkeypatch
):
    file = tmp_path / "prefect.yaml"
    file.write_text(up.DEPLOYMENTS.read_text())
    monkeypatch.setattr(up, "DEPLOYMENTS", file)
    assert deployed() == ["work-pool", "deploy"]
    assert deployed() == []
    # As an upgrade does that gives a flow another place.
    old = "orimap.flows.deployed.analyse"
    entrypoint = "orimap.flows.prefect.deployments.analyse"
    assert entrypoint in file.read_text()
    file.write_text(file.read_text().replace(entrypoint, old))
    assert deployed() == ["work-pool", "deploy"]
    assert deployed() == []
    monkeypatch.setattr(up, "version", lambda name: "99")
    assert deployed() == ["work-pool", "deploy"]


def test_the_deployments_are_those_beside_the_program():
    assert Path(up.__file__).resolve().parents[2] / "deploy" / "prefect.yaml" == up.DEPLOYMENTS
    assert up.DEPLOYMENTS.is_file()


def test_a_deployment_that_fails_says_why_and_is_tried_at_the_next_start(
    site, deployed, monkeypatch
):
    def fail(command, **_how):
        return subprocess.CompletedProcess(command, 1, "", "no such pool\n")

    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "run", fail)
        with pytest.raises(RuntimeError, match="prefect work-pool failed: no such pool"):
            up._deploy(site, lambda line: None)
    assert (site.logs / "deploy.log").read_text() == "no such pool\n"
    assert deployed() == ["work-pool", "deploy"]


def test_a_service_that_finds_its_options_at_fault_ends_everything(tmp_path):
    lines = []
    service = Service("watch", ["sh", "-c", "echo no such folder; exit 2"], os.environ, tmp_path)
    service.process.wait(10)
    with pytest.raises(InputError) as refused:
        service.look(lines.append)
    assert refused.value.found == "no such folder"
    assert lines == []


def test_of_options_that_do_not_exist_their_name_is_told_and_nothing_of_an_earlier_start(tmp_path):
    (tmp_path / "watch.log").write_text("Error: of yesterday\nneeded: another folder\n")
    script = "echo Usage: watch FOLDER; echo; echo Error: No such option: --k; exit 2"
    service = Service("watch", ["sh", "-c", script], os.environ, tmp_path)
    service.process.wait(10)
    with pytest.raises(InputError) as refused:
        service.look(print)
    assert refused.value.found == "No such option: --k"
    service = Service("watch", ["sh", "-c", "echo needed: a; echo found: b; exit 2"], os.environ,
                      tmp_path)  # fmt: skip
    service.process.wait(10)
    with pytest.raises(InputError) as refused:
        service.look(print)
    assert refused.value.found == "needed: a; found: b"


def test_a_service_that_dies_is_started_again_after_a_pause_that_grows(tmp_path, monkeypatch):
    lines = []
    service = Service("worker", ["sh", "-c", "echo no room >&2; exit 3"], os.environ, tmp_path)
    for pause in (1, 2, 4):
        service.process.wait(10)
        service.look(lines.append)
        assert f"starting it again in {pause} s" in lines[-1]
        assert lines[-1].endswith("worker.log and ends with: no room")
        service.start_again = 0.0
        service.look(lines.append)
    assert service.starts == 4
    service.process.wait(10)
    os.close(service.ended)
