import json
from pathlib import Path
from uuid import UUID

import jinja2
import pytest
import yaml

from orimap.flows.jobs.job import Job
from orimap.flows.prefect.events import COMPLETED, completed, event_id
from orimap.flows.request.request import Request

FILE = Path(__file__).parents[2] / "deploy" / "prefect.yaml"
FACTS = {"scan_shape": [9, 12], "detector_shape": [48, 64], "bytes_on_disk": 1234, "reader": "HSPY"}


@pytest.fixture(scope="module")
def deployments():
    return {each["name"]: each for each in yaml.safe_load(FILE.read_text())["deployments"]}


@pytest.fixture
def event(tmp_path):
    request = Request.read(file=tmp_path / "a.hspy", output=tmp_path / "out", k="1:4", bin=2)
    return completed(Job(acquisition="0123456789ab", request=request), FACTS)


def _flow(entrypoint):
    from prefect.flows import load_flow_from_entrypoint

    return load_flow_from_entrypoint(entrypoint)


def _rendered(template, event):
    """Fill a template as Prefect does: text, or JSON of a text."""
    if isinstance(template, str):
        return jinja2.Template(template).render(event=event)
    assert (template["__prefect_kind"], template["value"]["__prefect_kind"]) == ("json", "jinja")
    return json.loads(_rendered(template["value"]["template"], event))


def test_every_deployment_has_a_flow_that_takes_its_parameters(deployments):
    assert set(deployments) == {"analyse-acquisition", "compare-filters", "canary"}
    for each in deployments.values():
        known = set(_flow(each["entrypoint"]).parameters.properties)
        triggers = each.get("triggers", [])
        given = set(each.get("parameters", {})).union(*(t["parameters"] for t in triggers))
        assert given <= known
        assert each["work_pool"]["name"] == "orimap"
        assert each["concurrency_limit"]["limit"] == 1


def test_no_folder_of_any_machine_is_named():
    text = FILE.read_text()
    assert yaml.safe_load(text)["pull"] == []
    assert not [word for word in text.split() if word.strip("'\"").startswith(("/", "~"))]


def test_the_event_has_what_its_trigger_hands_on_with_its_type(deployments, event):
    (trigger,) = deployments["analyse-acquisition"]["triggers"]
    assert trigger["expect"] == [COMPLETED] == [event["event"]]
    assert event["resource"]["prefect.resource.id"] == "orimap.acquisition.0123456789ab"
    given = {name: _rendered(each, event) for name, each in trigger["parameters"].items()}
    assert given == event["payload"]
    assert given["options"] == {"k": [1, 4], "bin": 2}
    assert (given["scan_rows"], given["scan_columns"]) == (9, 12)


def test_an_event_keeps_its_id_and_says_nothing_of_where_it_is_computed(event, tmp_path):
    asked = {"file": tmp_path / "a.hspy", "output": tmp_path / "out", "k": "1:4", "bin": 2}
    elsewhere = Request.read(**asked, workers=3, cluster="tcp://127.0.0.1:1")
    again = completed(Job(acquisition="0123456789ab", request=elsewhere), FACTS)
    assert again["id"] == event["id"] == str(event_id(event["payload"]["key"]))
    assert again["payload"] == event["payload"]
    other = Job(acquisition="0123456789ab", request=Request.read(**{**asked, "bin": 1}))
    assert UUID(event["id"]) != event_id(other.key)
