"""Tell Prefect that an acquisition is complete: an event that its automations act on."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from orimap.flows.jobs.job import Job
from orimap.flows.request.sidecar import NOT_HERE

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

COMPLETED = "acquisition.completed"
# Prefect shows an event whose time lies far back at its end; a year holds all that is asked for.
OLDEST = "2020-01-01T00:00:00Z"


def event_id(key: str) -> UUID:
    """Return the id of the event of a job: the same each time, so a second one changes nothing.

    Prefect's server acts once on an event, and keeps it once.
    """
    return uuid5(NAMESPACE_URL, f"orimap:{COMPLETED}:{key}")


def completed(job: Job, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event of an acquisition that is complete and is to be analysed.

    Parameters
    ----------
    job : Job
    facts : mapping
        What `orimap.tasks.acquire.acquisition.describe` tells about it.

    Returns
    -------
    dict
        As Prefect's API takes it. The payload holds plain values; nothing of it is executed, and
        where it is computed is not part of it.
    """
    rows, columns = facts["scan_shape"]
    detector_rows, detector_columns = facts["detector_shape"]
    return {
        "id": str(event_id(job.key)),
        "event": COMPLETED,
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {
            "prefect.resource.id": f"orimap.acquisition.{job.acquisition}",
            "prefect.resource.name": job.request.file.name,
        },
        "payload": {
            **parameters(job),
            "size": facts["bytes_on_disk"],
            "reader": facts["reader"],
            "scan_rows": rows,
            "scan_columns": columns,
            "detector_rows": detector_rows,
            "detector_columns": detector_columns,
        },
    }


def parameters(job: Job) -> dict[str, Any]:
    """Return what the deployed flow is called with, as plain values."""
    asked = job.request.model_dump(mode="json", exclude_defaults=True, exclude=NOT_HERE)
    return {
        "path": str(job.request.file),
        "results": str(job.output),
        "key": job.key,
        "fingerprint": job.acquisition,
        "options": asked,
    }


def where(job: Job) -> dict[str, Any]:
    """Return what a job asks for of the place where it is computed, as plain values.

    An event says nothing of this: the deployment does, or the caller that makes a run from it.
    """
    names = NOT_HERE - {"file", "output", "orchestrate"}
    return job.request.model_dump(mode="json", exclude_defaults=True, include=names)


def emit(api: "SyncPrefectClient", event: Mapping[str, Any]) -> None:
    """Hand an event to the server; it has it when this returns."""
    api.request("POST", "/events", json=[dict(event)]).raise_for_status()


def when_emitted(api: "SyncPrefectClient", key: str) -> datetime | None:
    """Ask the server when it got the event of a job, None where it has none."""
    asked = {
        "filter": {
            "id": {"id": [str(event_id(key))]},
            "occurred": {"since": OLDEST},
        },
        "limit": 1,
    }
    found = api.request("POST", "/events/filter", json=asked).json()["events"]
    return datetime.fromisoformat(found[0]["occurred"]) if found else None
