"""Edits of the page: tried without a trace, or written as one revision.

Tested in tests/flows/viewer/test_run_routes.py.
"""

import base64
import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from orimap.flows.viewer.run.answers import CONFLICT, Json, damage_answer, error_answer
from orimap.flows.viewer.run.asked import AskedEdits
from orimap.flows.viewer.run.try_edits import Trial
from orimap.tasks.errors import InputError, UnavailableError
from orimap.tasks.report.figures.palette import cluster_colours
from orimap.tasks.store.open_results import revision_names
from orimap.tasks.view.layers import labels_map
from orimap.tasks.view.opened import Viewed

# Edits are text of some lines.
MOST_BYTES = 2**20


class EditRoutes:
    """Answers the requests that carry edits.

    Parameters
    ----------
    viewed : Viewed
    writable : bool
        Whether revisions may be written.
    """

    def __init__(self, viewed: Viewed, *, writable: bool) -> None:
        self._viewed = viewed
        self._writable = writable
        self._one_at_a_time = threading.Lock()

    async def preview(self, request: Request) -> Response:
        """Answer with the map after some edits; nothing is written."""
        return await self._answer(request, self._tried)

    async def write(self, request: Request) -> Response:
        """Write edits as one revision, and answer with its name."""
        return await self._answer(request, self._written)

    async def _answer(self, request: Request, work: Callable[[AskedEdits], Any]) -> Response:
        try:
            asked = AskedEdits.read(await _body(request))
            return Json(await run_in_threadpool(work, asked))
        except TakenError as error:
            return error_answer(error, CONFLICT)
        except UnavailableError as error:  # a run is writing there
            return error_answer(error, CONFLICT)
        except InputError as error:
            return error_answer(error)
        except Exception as error:
            return damage_answer(error, self._viewed.folder)

    def _tried(self, asked: AskedEdits) -> dict[str, Any]:
        run = self._viewed.now()
        # What results were drawn of stays until they are others.
        trial = run.trials.get(run.results_mark, lambda: Trial(self._viewed.folder), lambda _: 1)
        grouping = trial.after(asked.steps, asked.source)
        label, count = grouping.label, len(grouping.names)
        sizes = np.bincount(label[label >= 0], minlength=count).tolist()
        looks = zip(grouping.names, cluster_colours(count, grouping.colours), sizes, strict=True)
        sent = np.ascontiguousarray(labels_map(label, run.measured), dtype="<i2")
        return {
            "clusters": [
                {"number": n, "name": name, "colour": colour, "positions": size}
                for n, (name, colour, size) in enumerate(looks, start=1)
            ],
            "said": [*(words for step in asked.steps for words in step.in_words()), *grouping.said],
            "map": base64.b64encode(sent.tobytes()).decode(),
            "shape": list(sent.shape),
        }

    def _written(self, asked: AskedEdits) -> dict[str, Any]:
        from orimap.flows.pipeline.revise import revise
        from orimap.flows.pipeline.runtime.runner import NoDisplay, PlainRunner

        if not self._writable:
            raise InputError(
                "a page on which edits may be saved",
                "one that only shows the results",
                "use orimap edit, or start orimap view without --read-only",
            )
        if not asked.steps:
            raise InputError("something to change", "no edit", "make an edit first")
        folder = self._viewed.folder
        if asked.name in revision_names(folder):
            raise TakenError(
                "a name that no revision has yet",
                f"{asked.name}, which is there",
                "choose another name",
            )
        with self._one_at_a_time:
            made = revise(
                folder,
                asked.steps,
                PlainRunner(NoDisplay()),
                revision=asked.name,
                source=asked.source,
            )
        return {"name": made.name, "said": made.said}


class TakenError(InputError):
    """A revision has that name."""


async def _body(request: Request) -> Any:
    """Return what came as JSON."""
    sent = bytearray()
    async for part in request.stream():
        sent += part
        if len(sent) > MOST_BYTES:
            raise InputError(f"at most {MOST_BYTES} bytes", "more", "save some edits first")
    try:
        return json.loads(sent)
    except (ValueError, RecursionError):
        raise InputError("JSON", "something else", "load the page anew") from None
