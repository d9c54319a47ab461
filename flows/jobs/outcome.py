"""How a job ended: kept beside its results, and believed only when these are looked at."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from orimap.flows.jobs.failures import Kind
from orimap.flows.jobs.job import NOT_PART_OF_THE_KEY, Job
from orimap.flows.request.request import INDEX_FIELDS, Request, as_first_named
from orimap.tasks.store.whole_file import write_whole

OUTCOME = "outcome.json"


class Attempt(BaseModel):
    """One try that failed."""

    kind: Kind
    reason: str
    remedy: str
    ended: str
    seconds: float


class Outcome(BaseModel):
    """How a job ended.

    ``checked``: its results are there, whole, and those of its request; nothing else is a success.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    key: str
    acquisition: str
    state: Literal["done", "failed"]
    kind: Kind | None = None
    reason: str = ""
    remedy: str = ""
    attempts: list[Attempt] = []
    started: str = ""
    ended: str = ""
    decided_k: int | None = None
    crystal_found: bool = True
    countable: bool = True
    confidence: str | None = None
    report: str | None = None
    bundle: str | None = None
    checked: bool = False


def write_outcome(output: Path, outcome: Outcome) -> None:
    """Put an outcome beside the results, whole or not at all."""
    write_whole(output / OUTCOME, outcome.model_dump_json(indent=2) + "\n")


def read_outcome(output: Path) -> Outcome | None:
    """Return the outcome kept in a folder, None where no job has ended there.

    What was a success is looked at again: results that were lost since are no success.
    """
    try:
        stored = json.loads((output / OUTCOME).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    outcome = Outcome.model_validate(stored)
    if outcome.state != "done":
        return outcome.model_copy(update={"checked": False})
    return outcome.model_copy(update={"checked": what_is_missing(output) is None})


def checked_outcome(job: Job) -> Outcome:
    """Return the outcome of a job that is said to be done, after a look at its results.

    Raises
    ------
    LookupError
        If there is none, or the results are not whole.
    """
    outcome = read_outcome(job.output)
    if outcome is None or outcome.key != job.key:
        raise LookupError(f"it was reported as done, but {job.output} holds no outcome of it")
    if not outcome.checked:
        raise LookupError(
            f"it was reported as done, but the results in {job.output} are not complete"
        )
    return outcome


def what_is_missing(output: Path, request: Request | None = None) -> str | None:
    """Return what a folder of results lacks, None where they are whole and those of a request."""
    import zarr

    if not (output / "report.html").is_file():
        return f"{output} holds no report.html"
    try:
        results = zarr.open_group(output / "analysis.zarr", mode="r")
        attrs = dict(results.attrs)
        sizes = results["clusters/cluster_size"].shape[0], results["overlap/overlap_ratio"].ndim
    except (FileNotFoundError, KeyError) as error:
        return f"the results in {output} lack {error}"
    if attrs.get("status") != "complete":
        return f"the results in {output} are not complete"
    if sizes != (attrs["decided_k"], 2):
        return f"the results in {output} hold {sizes[0]} clusters instead of {attrs['decided_k']}"
    if request is None:
        return None
    if _asked(attrs["request"]) != _asked(request.model_dump(mode="json")):
        return f"the results in {output} are those of another request"
    files = [path.name for path in request.crystals]
    tried = attrs.get("not_indexed") or {}
    indexed = dict(results["orientations"].attrs) if "orientations" in results else tried
    if files and indexed.get("crystal_files") != files:
        return f"the results in {output} are not indexed with {', '.join(files)}"
    return None


def _asked(request: dict[str, Any]) -> dict[str, Any]:
    """Return of a stored request what makes a job the one it is.

    Results may be indexed with more than it asks for, and with files that lie elsewhere now.
    """
    ignored = {*NOT_PART_OF_THE_KEY, *INDEX_FIELDS, "restart"}
    asked = {name: value for name, value in request.items() if name not in ignored}
    return as_first_named(asked)


def decided(output: Path) -> dict[str, Any]:
    """Return of an outcome what a run has decided.

    The number of clusters, the confidence, whether a crystal was found at all, and whether there
    are enough positions to count.
    """
    import zarr

    results = zarr.open_group(output / "analysis.zarr", mode="r")
    attrs = results.attrs
    return {
        "decided_k": int(attrs["decided_k"]),
        "confidence": str(results["decision"].attrs["confidence"]),
        # Earlier versions did not ask.
        "crystal_found": bool(attrs.get("crystal_found", True)),
        "countable": bool(attrs.get("countable", True)),
    }
