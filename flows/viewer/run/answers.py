"""How numbers and errors travel to the page: JSON, and arrays as plain bytes."""

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from orimap.tasks.errors import InputError, UnavailableError
from orimap.tasks.lines import printable
from orimap.tasks.store.whole.damage import DamagedError
from orimap.tasks.view.damage import MissingError, damage_of

LOG = logging.getLogger("orimap.viewer")
OK, ACCEPTED = 200, 202
NOT_FOUND, CONFLICT, BAD_REQUEST, UNAVAILABLE, BROKEN = 404, 409, 400, 503, 500
UNREADABLE = 422
STATUSES = {UnavailableError: UNAVAILABLE, MissingError: NOT_FOUND, DamagedError: UNREADABLE}
KINDS = {"f": np.dtype("<f4"), "i": np.dtype("<i2")}


class Json(JSONResponse):
    """JSON as it is defined, which knows no NaN."""

    def render(self, content: Any) -> bytes:
        """Write it, null where a number is none."""
        return json.dumps(plain(content), ensure_ascii=False, allow_nan=False).encode()


def plain(value: Any) -> Any:
    """Return a value as JSON can have it."""
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def array_answer(values: np.ndarray, **facts: str) -> Response:
    """Return an array as little-endian bytes in C order; ``facts`` become headers (X-...)."""
    sent = np.ascontiguousarray(values, dtype=KINDS[values.dtype.kind])
    headers = {
        "X-Shape": ",".join(map(str, sent.shape)),
        "X-Dtype": "float32" if sent.dtype.kind == "f" else "int16",
        # What it holds depends on results that may change.
        "Cache-Control": "no-cache",
        **{f"X-{name.capitalize()}": text for name, text in facts.items()},
    }
    return Response(sent.tobytes(), media_type="application/octet-stream", headers=headers)


def error_answer(error: InputError, status: int = BAD_REQUEST) -> Response:
    """Return what is needed, what was found and what to do."""
    if status == BAD_REQUEST:
        fitting = (code for kind, code in STATUSES.items() if isinstance(error, kind))
        status = next(fitting, status)
    said = {"needed": error.needed, "found": error.found, "remedy": error.remedy}
    return Json(said, status_code=status)


def not_there(what: str) -> Response:
    """Return that there is nothing of that name."""
    return Json(
        {"needed": "a page of this run", "found": f"there is no {what}", "remedy": "go back"},
        status_code=NOT_FOUND,
    )


def damage_answer(error: Exception, folder: Path) -> Response:
    """Return what an error says of results that cannot be read.

    Raises
    ------
    Exception
        The error itself where it says nothing of them: something is wrong with this program.
    """
    damage = damage_of(error, folder)
    if damage is None:
        raise error
    LOG.warning("%s", damage.in_one_line, exc_info=LOG.isEnabledFor(logging.DEBUG))
    return error_answer(damage)


async def unexpected(request: Request, error: Exception) -> Response:
    """Say that something is wrong with this program; what exactly is in its log alone."""
    LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return Json(
        {
            "needed": "an answer",
            "found": "something went wrong in orimap view",
            "remedy": "its log says what; load the page again",
        },
        status_code=BROKEN,
    )
