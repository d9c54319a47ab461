import pytest

from orimap.flows.prefect.submitter import (
    DEPLOYMENT,
    DUPLICATE,
    PrefectSubmitter,
    _ended,
    _idempotency_key,
)
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
