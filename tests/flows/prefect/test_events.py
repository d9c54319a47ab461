from datetime import UTC, datetime

from orimap.flows.jobs.job import Job
from orimap.flows.prefect.events import (
    COMPLETED,
    completed,
    emit,
    event_id,
    parameters,
    when_emitted,
    where,
)
from orimap.flows.request.request import Request

FACTS = {"scan_shape": [9, 12], "detector_shape": [48, 64], "bytes_on_disk": 1234, "reader": "HSPY"}


def _job(**asked):
    fields = {"file": "/data/a.hspy", "output": "/results/a", "k": "1:4", **asked}
    return Job(acquisition="0123456789ab", request=Request.read(**fields))


def test_an_event_has_the_id_that_servers_know_from_the_first_version():
    assert str(event_id("orimap-0123456789ab-01234567")) == "f37f7a9c-30f4-5f6e-8114-f493e9d01f42"


def test_an_event_holds_plain_values_and_nothing_of_where_it_is_computed():
    job = _job(workers=3, cluster="slurm", profile="mine", bin=2)
    event = completed(job, FACTS)
    assert event["event"] == COMPLETED == "acquisition.completed"
    assert event["resource"] == {
        "prefect.resource.id": "orimap.acquisition.0123456789ab",
        "prefect.resource.name": "a.hspy",
    }
    assert event["payload"] == {
        **parameters(job), "size": 1234, "reader": "HSPY", "scan_rows": 9, "scan_columns": 12,
        "detector_rows": 48, "detector_columns": 64,
    }  # fmt: skip
    assert parameters(job) == {
        "path": "/data/a.hspy", "results": "/results/a", "key": job.key,
        "fingerprint": "0123456789ab", "options": {"k": [1, 4], "bin": 2},
    }  # fmt: skip


def test_where_a_job_is_computed_is_said_apart():
    assert where(_job()) == {}
    asked = {"workers": 3, "cluster": "slurm", "profile": "mine", "restart": True}
    assert where(_job(**asked)) == asked


def test_a_server_tells_when_it_got_an_event(prefect_api):
    import time

    job = _job(seed=77)
    assert when_emitted(prefect_api, job.key) is None
    before = datetime.now(UTC)
    emit(prefect_api, completed(job, FACTS))
    for _ in range(300):  # a server shows an event some seconds after it has taken it
        emitted = when_emitted(prefect_api, job.key)
        if emitted is not None:
            break
        time.sleep(0.1)
    assert before <= emitted <= datetime.now(UTC)
    assert when_emitted(prefect_api, _job(seed=78).key) is None
