"""Edits of the page: tried without a trace, or written as one revision; and revisions removed.

Tested in tests/flows/viewer/test_run_routes.py.
"""

import base64
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from orimap.flows.viewer.run.answers import (
    ACCEPTED,
    CONFLICT,
    NOT_FOUND,
    OK,
    Json,
    damage_answer,
    error_answer,
)
from orimap.flows.viewer.run.asked import AskedEdits
from orimap.flows.viewer.run.description import can_be_edited
from orimap.flows.viewer.run.try_edits import Trial
from orimap.flows.viewer.run.writing import TakenError, Writer
from orimap.tasks.errors import InputError, UnavailableError
from orimap.tasks.report.figures.palette import cluster_colours
from orimap.tasks.store.open_results import revision_names
from orimap.tasks.view.layers import labels_map
from orimap.tasks.view.opened import Opened, Viewed

if TYPE_CHECKING:
    from orimap.tasks.maps.by_hand.revise import Grouping

# Edits are text of some lines.
MOST_BYTES = 2**20


class EditRoutes:
    """Answers the requests that carry edits.

    Parameters
    ----------
    viewed : Viewed
    writer : Writer
    """

    def __init__(self, viewed: Viewed, writer: Writer) -> None:
        self._viewed, self._writer = viewed, writer

    async def preview(self, request: Request) -> Response:
        """Answer with the map after some edits; nothing is written."""
        return await self._answer(request, self._tried)

    async def write(self, request: Request) -> Response:
        """Begin to write edits as one revision, and answer with its name."""
        return await self._answer(request, self._begun, ACCEPTED)

    async def delete(self, request: Request) -> Response:
        """Remove a revision, and answer with its name."""
        name = str(request.path_params["name"])
        if name not in await run_in_threadpool(revision_names, self._viewed.folder):
            return error_answer(
                InputError("a revision that is there", name, "load the page again"), NOT_FOUND
            )
        try:
            await run_in_threadpool(self._writer.delete, name)
        except UnavailableError as error:
            return error_answer(error, CONFLICT)
        except InputError as error:
            return error_answer(error)
        return Json({"name": name})

    async def _answer(
        self, request: Request, work: Callable[[AskedEdits], Any], status: int = OK
    ) -> Response:
        try:
            asked = AskedEdits.read(await _body(request))
            return Json(await run_in_threadpool(work, asked), status_code=status)
        except TakenError as error:
            return taken_answer(error)
        except UnavailableError as error:  # a run is writing there
            return error_answer(error, CONFLICT)
        except InputError as error:
            return error_answer(error)
        except Exception as error:
            return damage_answer(error, self._viewed.folder)

    def warm_up(self, run: Opened) -> None:
        """Work out what the first edit of finished results needs."""
        if self._writer.writable and can_be_edited(run):
            self._trial(run)

    def _trial(self, run: Opened) -> Trial:
        """Return what edits are tried on; it stays until the results are others."""
        run.require_readable()
        return run.trials.get(run.results_mark, lambda: Trial(self._viewed.folder), lambda _: 1)

    def _tried(self, asked: AskedEdits) -> dict[str, Any]:
        run, grouping = self._viewed.now(), self._after(asked)
        label, count = grouping.label, len(grouping.names)
        sizes = np.bincount(label[label >= 0], minlength=count).tolist()
        looks = zip(grouping.names, cluster_colours(count, grouping.colours), sizes, strict=True)
        sent = np.ascontiguousarray(labels_map(label, run.measured), dtype="<i2")
        return {
            "clusters": [
                {"number": n, "name": name, "colour": colour, "positions": size}
                for n, (name, colour, size) in enumerate(looks, start=1)
            ],
            "said": self._said(asked, grouping),
            "moved": grouping.moved,
            "map": base64.b64encode(sent.tobytes()).decode(),
            "shape": list(sent.shape),
        }

    def _begun(self, asked: AskedEdits) -> dict[str, Any]:
        saving = self._writer.save(asked, check=lambda: self._after(asked))
        said = self._said(asked, self._after(asked))
        return {"name": saving.name, "title": saving.title, "said": said}

    def _after(self, asked: AskedEdits) -> "Grouping":
        """Return the map after edits; InputError where one of them cannot be made."""
        return self._trial(self._viewed.now()).after(asked.steps, asked.source)

    @staticmethod
    def _said(asked: AskedEdits, grouping: "Grouping") -> list[str]:
        return [*(words for step in asked.steps for words in step.in_words()), *grouping.in_words]


def taken_answer(error: TakenError) -> Response:
    """Return that a revision has that title, and whether it may be replaced."""
    said = {"needed": error.needed, "found": error.found, "remedy": error.remedy}
    more = {"name": error.name, "title": error.title, "replaceable": error.replaceable}
    return Json({**said, **more}, status_code=CONFLICT)


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
