from pathlib import Path

import pytest
import yaml

from orimap.flows.jobs.job import Job
from orimap.flows.prefect.submitter import (
    DEPLOYMENT,
    DUPLICATE,
    ENTRYPOINT,
    PrefectSubmitter,
    _ended,
    _idempotency_key,
)
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError


def test_without_an_api_there_is_nothing_to_submit_to(no_prefect):
    with pytest.raises(InputError, match="a Prefect API to submit to"):
        PrefectSubmitter()


def test_a_server_without_the_deployment_says_how_it_is_made(prefect_api, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", str(prefect_api.api_url))
    with pytest.raises(InputError) as refused:
        PrefectSubmitter()
    assert refused.value.needed == f"the deployment {DEPLOYMENT}"
    assert refused.value.remedy == "deploy it: prefect deploy --all in the folder deploy/"


@pytest.fixture
def deploy(prefect_api):
    """Return a function that makes the deployment with an entrypoint of its own."""
    made = []

    def make(entrypoint):
        flow, name = DEPLOYMENT.split("/")
        answer = prefect_api.request("POST", "/flows/", json={"name": flow}).json()
        asked = {"name": name, "flow_id": answer["id"], "entrypoint": entrypoint}
        made.append(prefect_api.request("POST", "/deployments/", json=asked).json()["id"])

    yield make
    for each in set(made):
        prefect_api.request("DELETE", f"/deployments/{each}")


def test_a_deployment_of_an_older_version_is_refused_and_the_remedy_named(
    prefect_api, deploy, monkeypatch
):
    monkeypatch.setenv("PREFECT_API_URL", str(prefect_api.api_url))
    deploy("orimap.flows.deployed.analyse")
    with pytest.raises(InputError) as refused:
        PrefectSubmitter()
    assert refused.value.found.endswith("calls orimap.flows.deployed.analyse")
    assert refused.value.remedy == "deploy it again: prefect deploy --all in the folder deploy/"
    for entrypoint in (ENTRYPOINT, "flows_of_the_lab.py:analyse"):
        deploy(entrypoint)
        assert PrefectSubmitter().room() == 2


def test_the_entrypoint_is_the_one_that_is_deployed():
    file = Path(__file__).parents[3] / "deploy" / "prefect.yaml"
    (entrypoint,) = [
        each["entrypoint"]
        for each in yaml.safe_load(file.read_text())["deployments"]
        if each["name"] == DEPLOYMENT.split("/")[1]
    ]
    assert entrypoint == ENTRYPOINT


def test_every_run_that_has_ended_gives_the_next_one_a_key_of_its_own():
    runs = [
        {"state_type": "RUNNING", "state_name": "Running"},
        {"state_type": "CRASHED", "state_name": "Crashed"},
        # Left to a run that has crashed since: asked for with the same key, Prefect would give
        # this run again, which will not start any more.
        {"state_type": "COMPLETED", "state_name": DUPLICATE},
    ]
    assert [_ended(runs[:1]), _ended(runs[:2]), _ended(runs)] == [0, 1, 2]
    assert _idempotency_key("orimap-a-b", _ended(runs)) == "orimap-a-b.2"


def test_a_run_that_waits_is_named_after_its_file(prefect_api, deploy, monkeypatch, tmp_path):
    monkeypatch.setenv("PREFECT_API_URL", str(prefect_api.api_url))
    deploy(ENTRYPOINT)
    submitter = PrefectSubmitter()
    request = Request.read(file=tmp_path / "monday.hspy", output=tmp_path / "results")
    job = Job(acquisition="0123456789ab", request=request)
    submitter.submit(job)
    (run,) = submitter._runs(job.key)
    assert run["name"] == "monday.hspy"
    # One that an event has started has a name of Prefect's own as long as it waits.
    path = f"/flow_runs/{run['id']}"
    prefect_api.request("PATCH", path, json={"name": "happy-otter"})
    assert submitter.standing(job.key).state == "waiting"
    (run,) = submitter._runs(job.key)
    assert run["name"] == "monday.hspy"
    submitter.cancel(job.key)
