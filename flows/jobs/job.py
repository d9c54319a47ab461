"""A job: one analysis of one acquisition; and the submitters that take jobs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from orimap.flows.request.request import NEWER_FIELDS, WORKERS_FIELDS, Request, as_first_named

# Of the request, these say where and how it is computed, not what: the same job all the same.
NOT_PART_OF_THE_KEY = {"output", "orchestrate", "keep", *WORKERS_FIELDS}


class Job(BaseModel):
    """One analysis of one acquisition.

    Its key is the same wherever and whenever the job is made: Prefect takes it as idempotency
    key, a batch system as the name of the job.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    acquisition: str
    request: Request

    @property
    def key(self) -> str:
        """What no two different jobs share: letters, digits and dashes."""
        from orimap.tasks.store.fingerprint import fingerprint

        asked = self.request.model_dump(mode="json", exclude=NOT_PART_OF_THE_KEY)
        # Where no newer option is given, the keys of the first version still hold.
        asked = {n: at for n, at in asked.items() if at is not None or n not in NEWER_FIELDS}
        return f"orimap-{self.acquisition}-{fingerprint(**as_first_named(asked))[:8]}"

    @property
    def output(self) -> Path:
        """The folder of the results."""
        return self.request.output


@dataclass(frozen=True)
class Standing:
    """The state of a job that was submitted.

    ``lost``: its submitter knows nothing of it any more, or it ended without an outcome.
    """

    state: Literal["waiting", "running", "done", "failed", "lost"]
    reason: str = ""


class Submitter(Protocol):
    """Takes jobs: runs them here, hands them to Prefect, or to a batch system."""

    def find(self, job: Job) -> str | None:
        """Return the reference of this job if it was taken already, else None."""

    def submit(self, job: Job) -> str:
        """Hand a job over; return the reference it goes by. Called only after ``find``."""

    def standing(self, reference: str) -> Standing:
        """Return the state of a job."""

    def cancel(self, reference: str) -> None:
        """End a job, and all that it has started."""

    def room(self) -> int:
        """Return the number of further jobs that can be taken now."""
