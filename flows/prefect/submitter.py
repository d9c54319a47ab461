"""Hand jobs to Prefect, and find out how they stand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orimap.flows.jobs.job import Job, Standing
from orimap.flows.jobs.outcome import read_outcome
from orimap.flows.prefect import events
from orimap.flows.prefect.configured import configured_api, prepare_environment
from orimap.tasks.errors import InputError

DEPLOYMENT = "after-acquisition/analyse-acquisition"
# What it calls, as deploy/prefect.yaml has it.
ENTRYPOINT = "orimap.flows.prefect.deployments.analyse"
# The state of a run that left its job to another run of the same job.
DUPLICATE = "Duplicate"
# An event leads to a run within seconds; a server that has just started may take longer.
EVENT_SECONDS = 60
# A run tells that it lives every 30 s (PREFECT_FLOWS_HEARTBEAT_FREQUENCY, set by orimap up), by
# default every 180 s.
SILENT_SECONDS = 600
# Jobs beyond those that run now: enough that no worker waits for one, few enough that the watcher
# still chooses what comes next.
AHEAD = 1
PAGE = 200
# Of a job that was never announced; it is replayed by people.
RUNS_AT_MOST = 50
UNDER_WAY = ("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING")


class PrefectSubmitter:
    """Takes jobs for the deployment that analyses acquisitions.

    A job goes by its key. The first time its acquisition is announced by an event, whose
    automation starts the run. The run is made from the deployment itself where there is no such
    automation, where the event has led to no run, where a run was lost, and where the job says
    by which workers it is to be computed, which an event does not.

    Raises
    ------
    InputError
        If no Prefect API is configured, it does not answer, or has no such deployment of this
        version of orimap.
    """

    def __init__(self, *, event_seconds: float = EVENT_SECONDS) -> None:
        if configured_api() is None:
            raise InputError(
                "a Prefect API to submit to",
                "PREFECT_API_URL is not set, nor does a profile name one",
                "set PREFECT_API_URL, or let orimap up start everything",
            )
        prepare_environment()
        from prefect import get_client

        self.api = get_client(sync_client=True)
        _require_this_version(self._deployment())
        self.event_seconds = event_seconds
        # The server shows an event only some seconds after it has taken it.
        self._announced: dict[str, datetime] = {}

    def find(self, job: Job) -> str | None:
        """Return the key if a run of this job is under way or has succeeded, or is to come."""
        run = self._newest(job.key)
        if run is not None:
            standing = self._standing_of(run)
            return job.key if standing.state in ("waiting", "running", "done") else None
        return job.key if self._is_announced(job.key) else None

    def submit(self, job: Job) -> str:
        """Announce an acquisition; or start a run again that was lost or is to be repeated."""
        runs = list(self._all_runs(job.key))
        where = events.where(job)
        by_event = not runs and not where and self._when_announced(job.key) is None
        if by_event and self._has_automation():
            events.emit(self.api, events.completed(job, _facts(job)))
            self._announced[job.key] = datetime.now(UTC)
            return job.key
        deployment = self._deployment()
        usual = deployment["parameters"]
        asked = {
            "parameters": usual
            | events.parameters(job)
            | {"where": (usual.get("where") or {}) | where},
            # The same until a further run has ended: asked twice, Prefect makes one run. That this
            # run and the one of a late event do not both analyse is seen to when they start.
            "idempotency_key": _idempotency_key(job.key, _ended(runs)),
            "state": {"type": "SCHEDULED", "name": "Scheduled"},
            "name": job.request.file.name,
        }
        path = f"/deployments/{deployment['id']}/create_flow_run"
        self.api.request("POST", path, json=asked).raise_for_status()
        return job.key

    def standing(self, reference: str) -> Standing:
        """Return the state of a job; a success counts when its results are there."""
        run = self._newest(reference)
        if run is not None:
            return self._standing_of(run)
        if self._is_announced(reference):
            return Standing("waiting", "announced; its run has not started yet")
        return Standing("lost", "Prefect knows of no run of it")

    def cancel(self, reference: str) -> None:
        """End every run of a job: its process, its workers and its batch jobs."""
        for run in self._runs(reference):
            if run["state_type"] in UNDER_WAY:
                # One that waits has no process that would have to end first.
                waits = run["state_type"] == "SCHEDULED"
                kind = "CANCELLED" if waits else "CANCELLING"
                self._set_state(run, kind, "cancelled through orimap")

    def room(self) -> int:
        """Return how many more jobs the deployment takes before they queue."""
        deployment = self._deployment()
        limit = (deployment.get("global_concurrency_limit") or {}).get("limit") or 1
        asked = {"flow_runs": {**self._of_deployment(), "state": {"type": {"any_": UNDER_WAY}}}}
        busy = self.api.request("POST", "/flow_runs/count", json=asked).json()
        self._announced = {
            key: moment
            for key, moment in self._announced.items()
            if _age(moment) < self.event_seconds
        }
        to_come = sum(self._newest(key) is None for key in self._announced)
        return max(0, limit + AHEAD - busy - to_come)

    def _deployment(self) -> dict[str, Any]:
        from prefect.exceptions import PrefectHTTPStatusError

        flow, name = DEPLOYMENT.split("/")
        try:
            return self.api.request("GET", f"/deployments/name/{flow}/{name}").json()
        except PrefectHTTPStatusError as error:
            if error.response.status_code != 404:
                raise
            raise InputError(
                f"the deployment {DEPLOYMENT}",
                f"{configured_api()} has none",
                "deploy it: prefect deploy --all in the folder deploy/",
            ) from error

    def _of_deployment(self) -> dict[str, Any]:
        return {"deployment_id": {"any_": [self._deployment()["id"]]}}

    def _has_automation(self) -> bool:
        """Return whether the server acts on the event."""
        related = f"prefect.deployment.{self._deployment()['id']}"
        found = self.api.request("GET", f"/automations/related-to/{related}").json()
        return any(
            each["enabled"] and events.COMPLETED in each["trigger"].get("expect", [])
            for each in found
        )

    def _is_announced(self, key: str) -> bool:
        """Return whether an event was emitted so recently that its run may still come."""
        emitted = self._when_announced(key)
        return emitted is not None and _age(emitted) < self.event_seconds

    def _when_announced(self, key: str) -> datetime | None:
        return self._announced.get(key) or events.when_emitted(self.api, key)

    def _runs(self, key: str) -> Iterator[dict[str, Any]]:
        """Give the runs of a job, the newest first; without those that left it to another run."""
        return (run for run in self._all_runs(key) if run["state_name"] != DUPLICATE)

    def _all_runs(self, key: str) -> Iterator[dict[str, Any]]:
        """Give all runs of a job, the newest first."""
        asked = {
            "flow_runs": self._of_deployment(),
            "sort": "EXPECTED_START_TIME_DESC",
            "limit": PAGE,
        }
        emitted = self._when_announced(key)
        if emitted is not None:
            since = (emitted - timedelta(minutes=1)).isoformat()
            asked["flow_runs"]["expected_start_time"] = {"after_": since}
        else:
            keys = [_idempotency_key(key, number) for number in range(RUNS_AT_MOST)]
            asked["flow_runs"]["idempotency_key"] = {"any_": keys}
        page: list[dict[str, Any]] = [{}] * PAGE
        offset = 0
        while len(page) == PAGE:
            page = self.api.request(
                "POST", "/flow_runs/filter", json={**asked, "offset": offset}
            ).json()
            offset += PAGE
            for run in page:
                if run["parameters"].get("key") == key:
                    yield run

    def _newest(self, key: str) -> dict[str, Any] | None:
        return next(self._runs(key), None)

    def _standing_of(self, run: dict[str, Any]) -> Standing:
        kind, name = run["state_type"], run["state_name"]
        message = (run.get("state") or {}).get("message") or name
        output = Path(run["parameters"]["results"])
        if kind in ("SCHEDULED", "PAUSED"):
            self._name_after_file(run)
            return Standing("waiting", name)
        if kind in ("PENDING", "RUNNING", "CANCELLING"):
            if self._is_silent(run):
                reason = f"nothing was heard of it for {SILENT_SECONDS / 60:.0f} minutes"
                self._set_state(run, "CRASHED", reason)
                return Standing("lost", reason)
            return Standing("waiting" if kind == "PENDING" else "running", name)
        if kind == "CRASHED":
            return Standing("lost", message)
        if kind == "CANCELLED":
            return Standing("failed", message)
        outcome = read_outcome(output)
        ours = outcome is not None and outcome.key == run["parameters"]["key"]
        if kind == "FAILED":
            told = f"{outcome.reason}; {outcome.remedy}" if ours and outcome.reason else message
            return Standing("failed", told)
        if ours and outcome.state == "done" and outcome.checked:
            return Standing("done", message)
        return Standing("lost", f"the run has ended, and there are no complete results in {output}")

    def _is_silent(self, run: dict[str, Any]) -> bool:
        """Return whether a run has given no sign of life for too long."""
        changed = datetime.fromisoformat(run["state"]["timestamp"])
        if _age(changed) < SILENT_SECONDS:
            return False
        asked = {
            "filter": {
                "event": {"name": ["prefect.flow-run.heartbeat"]},
                "resource": {"id": [f"prefect.flow-run.{run['id']}"]},
                "occurred": {
                    "since": (datetime.now(UTC) - timedelta(seconds=SILENT_SECONDS)).isoformat()
                },
            },
            "limit": 1,
        }
        return not self.api.request("POST", "/events/filter", json=asked).json()["events"]

    def _name_after_file(self, run: dict[str, Any]) -> None:
        """Name a run that waits after its file: Prefect does so only when it starts."""
        name = Path(run["parameters"]["path"]).name
        if run["name"] != name:
            self.api.request("PATCH", f"/flow_runs/{run['id']}", json={"name": name})

    def _set_state(self, run: dict[str, Any], kind: str, message: str) -> None:
        state = {"type": kind, "name": kind.capitalize(), "message": message}
        path = f"/flow_runs/{run['id']}/set_state"
        self.api.request("POST", path, json={"state": state, "force": kind == "CRASHED"})


def _require_this_version(deployment: dict[str, Any]) -> None:
    """Refuse a deployment of another version of orimap: each of its runs would crash.

    A flow of somebody else's, which calls ours in turn, is none of our business.
    """
    called = deployment.get("entrypoint") or ""
    if called.startswith("orimap.") and called != ENTRYPOINT:
        raise InputError(
            f"the deployment {DEPLOYMENT} of this version of orimap, which calls {ENTRYPOINT}",
            f"that of {configured_api()} calls {called}",
            "deploy it again: prefect deploy --all in the folder deploy/",
        )


def _idempotency_key(key: str, ended: int) -> str:
    """Return what makes one run of a job out of any number of requests for it."""
    return f"{key}.{ended}"


def _ended(runs: list[dict[str, Any]]) -> int:
    return sum(run["state_type"] not in UNDER_WAY for run in runs)


def _age(moment: datetime) -> float:
    """Return the seconds since a moment."""
    return (datetime.now(UTC) - moment).total_seconds()


def _facts(job: Job) -> dict[str, Any]:
    """Return what is in the acquisition of a job."""
    from orimap.flows.request.allowed import allowed_roots
    from orimap.tasks.acquire.acquisition import describe
    from orimap.tasks.acquire.open_acquisition import open_acquisition

    asked = job.request
    found = open_acquisition(asked.file, roots=allowed_roots(), **asked.reading)
    return describe(found)
