"""All addresses of one run, below the folder that its page is in: numbers, patterns, maps, pages.

Answers are worked out in threads, so that a long one does not hold up the next click; one that
streams the scan ends when the page that asked is gone. What the results hold may change between
two requests: each begins by looking whether it has.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from orimap.flows.viewer.run import answers
from orimap.flows.viewer.run.answers import Json, array_answer, damage_answer, error_answer
from orimap.flows.viewer.run.asked import Asked
from orimap.flows.viewer.run.description import (
    cluster_words,
    describe_run,
    drawing_words,
    number_words,
)
from orimap.flows.viewer.run.edit_routes import EditRoutes
from orimap.flows.viewer.run.oriented import orientations_words, reflections_words
from orimap.flows.viewer.run.pages import Pages
from orimap.flows.viewer.run.writing import Writer
from orimap.tasks.errors import InputError, UnavailableError
from orimap.tasks.view.clustered import boundaries
from orimap.tasks.view.layers import labels_map
from orimap.tasks.view.numbers import Drawing, numbered_like
from orimap.tasks.view.opened import Opened, Viewed
from orimap.tasks.view.state import state_key
from orimap.tasks.view.streamed import StoppedError, exact_image, measured_in, region_mean

STATIC = Path(__file__).with_name("static")
# How often it is looked whether whoever asked for a long answer still waits.
FIRST_LOOK_SECONDS, GONE_SECONDS = 0.005, 0.1
# Of answers that stream the scan, so many at once: they share the cores.
STREAMS = 2
# While a run moves its results into place, parts of them are missing for a moment.
TRIES, MOMENT_SECONDS = 4, 0.1
NOBODY_WAITS = 499

Work = Callable[[Opened, Asked, threading.Event], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


class RunApp(Starlette):
    """The application that serves one run.

    Parameters
    ----------
    viewed : Viewed
    **options
        Of Starlette.
    """

    def __init__(self, viewed: Viewed, **options: Any) -> None:
        super().__init__(**options)
        self._viewed = viewed

    @property
    def bytes(self) -> int:
        """Bytes of what is in memory of the run alone."""
        return self._viewed.bytes

    def close(self) -> None:
        """Let go of all that was read of the run; it is read anew when it is asked for again."""
        self._viewed.close()


def run_app(folder: Path, *, writable: bool = True) -> RunApp:
    """Return the application that serves one run; all its addresses are relative to its page.

    Parameters
    ----------
    folder : Path
        Of a run, finished or under way.
    writable : bool
        Whether revisions may be written.
    """
    viewed = Viewed(folder)
    writer = Writer(folder, writable=writable)
    edits, pages = EditRoutes(viewed, writer), Pages(folder, writer)
    streams = asyncio.Semaphore(STREAMS)
    short = partial(_endpoint, viewed, None)
    long = partial(_endpoint, viewed, streams)
    routes = [
        Route("/", _viewer_page),
        Route("/api/run", short(partial(_run, writer=writer, then=edits.warm_up))),
        Route("/api/clusters", short(_clusters)),
        Route("/api/cluster/{number}/{kind}", short(_cluster_pattern)),
        Route("/api/boundaries", short(_boundaries)),
        Route("/api/map/{layer}", short(_map)),
        Route("/api/pattern/{kind}", short(_pattern)),
        Route("/api/decomposition", short(_decomposition)),
        Route("/api/line", short(_line)),
        Route("/api/orientations", short(_orientations)),
        Route("/api/orientations/{number}/reflections", short(_reflections)),
        Route("/api/virtual", _virtual_endpoint(viewed, streams)),
        Route("/api/region", long(_region)),
        Route("/api/number/{number}", _number_endpoint(viewed, _number)),
        Route("/api/number/{number}/map", _number_endpoint(viewed, _number_map)),
        Route("/api/preview", edits.preview, methods=["POST"]),
        Route("/api/revisions", edits.write, methods=["POST"]),
        Route("/api/revisions/{name}/delete", edits.delete, methods=["POST"]),
        Route("/report.html", pages.report),
        Route("/{name:str}.html", pages.of_revision),
        Route("/{figures:str}/{name:str}", pages.figure),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    # What is mounted comes before what takes any name.
    routes.sort(key=lambda route: not isinstance(route, Mount))
    return RunApp(viewed, routes=routes, exception_handlers={Exception: answers.unexpected})


def _endpoint(viewed: Viewed, limiter: asyncio.Semaphore | None, work: Work) -> Endpoint:
    """Return what answers requests by some work in a thread.

    With a limiter the work is long: it is stopped when nobody waits for it any more.
    """

    async def answer(request: Request) -> Response:
        stop = threading.Event()
        job = partial(_answered, viewed, work, Asked(request), stop)
        if limiter is None:
            return await run_in_threadpool(job)
        return await _while_waited_for(request, job, stop, limiter)

    return answer


def _virtual_endpoint(viewed: Viewed, streams: asyncio.Semaphore) -> Endpoint:
    """Return what answers with virtual images: at once by the sketch, or by streaming the scan."""
    at_once, exact = (_endpoint(viewed, limiter, _virtual) for limiter in (None, streams))

    async def answer(request: Request) -> Response:
        return await (exact if Asked(request).exact else at_once)(request)

    return answer


def _number_endpoint(viewed: Viewed, work: Work) -> Endpoint:
    """Return what answers with another number of patterns: it waits without keeping a thread."""

    async def answer(request: Request) -> Response:
        asked, stop, begun = Asked(request), threading.Event(), []

        def begin(run: Opened, asked: Asked, _: threading.Event) -> Response:
            begun.append((run.numbers.begin(asked.whole("number")), asked.wait_seconds))
            return Response()

        answer = await run_in_threadpool(_answered, viewed, begin, asked, stop)
        if not begun:
            return answer
        coming, patience = begun[-1]
        last = time.monotonic() + patience
        pause = FIRST_LOOK_SECONDS
        while not coming.done() and time.monotonic() < last:
            if await request.is_disconnected():
                return Response(status_code=NOBODY_WAITS)
            await asyncio.sleep(min(pause, max(last - time.monotonic(), 0)))
            pause = min(2 * pause, GONE_SECONDS)
        return await run_in_threadpool(_answered, viewed, work, asked, stop)

    return answer


async def _while_waited_for(
    request: Request,
    job: Callable[[], Response],
    stop: threading.Event,
    limiter: asyncio.Semaphore,
) -> Response:
    """Do a long job in a thread; stop it when whoever asked is gone."""

    async def watch() -> None:
        while not await request.is_disconnected():
            await asyncio.sleep(GONE_SECONDS)
        stop.set()

    watching = asyncio.create_task(watch())
    try:
        async with limiter:
            return await run_in_threadpool(job)
    finally:
        stop.set()
        watching.cancel()


def _answered(viewed: Viewed, work: Work, asked: Asked, stop: threading.Event) -> Response:
    """Answer with what the run holds now; once more where it changed meanwhile."""
    for attempt in range(TRIES):
        run = viewed.now()
        try:
            run.require_readable()
            return work(run, asked, stop)
        except InputError as error:
            return error_answer(error)
        except StoppedError:
            return Response(status_code=NOBODY_WAITS)
        except Exception as error:
            changing = isinstance(error, (OSError, KeyError, ValueError))
            if not changing or (state_key(viewed.folder) == run.key and attempt == TRIES - 1):
                return damage_answer(error, viewed.folder)
            time.sleep(MOMENT_SECONDS)
    return error_answer(
        UnavailableError(
            "results that stay as they are for a moment",
            "a run that is replacing them",
            "ask again",
        )
    )


def _run(
    run: Opened,
    asked: Asked,
    _: threading.Event,
    *,
    writer: Writer,
    then: Callable[[Opened], None],
) -> Response:
    run.warm_up(partial(then, run))
    return Json(describe_run(run, asked.revision, writer))


def _clusters(run: Opened, asked: Asked, _: threading.Event) -> Response:
    return Json({"clusters": cluster_words(run.clusters(asked.revision))})


def _cluster_pattern(run: Opened, asked: Asked, _: threading.Event) -> Response:
    found = run.clusters(asked.revision)
    return array_answer(found.pattern(asked.whole("number"), asked.text("kind")))


def _boundaries(run: Opened, asked: Asked, _: threading.Event) -> Response:
    """Where clusters touch, the most doubtful boundary first."""
    found = run.clusters(asked.revision)
    doubt = found.doubt()
    if doubt is None:
        doubt = np.nan_to_num(found.ratio)
    return Json(
        {
            "boundaries": [
                {
                    "clusters": [n + 1 for n in each.clusters],
                    "positions": each.positions,
                    "doubt": each.doubt,
                    "most": {"y": each.most[0], "x": each.most[1]},
                }
                for each in boundaries(found.label, doubt)
            ]
        }
    )


def _map(run: Opened, asked: Asked, _: threading.Event) -> Response:
    layer = run.layer(asked.text("layer"), asked.revision)
    return array_answer(layer.map(run.measured))


def _pattern(run: Opened, asked: Asked, _: threading.Event) -> Response:
    position, kind = asked.position, asked.text("kind")
    if kind == "raw":
        moved = run.patterns.shift(position)
        return array_answer(run.patterns.raw(position), shift=f"{moved[0]},{moved[1]}")
    found = {
        "filtered": run.analysed_pattern,
        "reconstructed": run.reconstructed_pattern,
        "residual": run.residual_pattern,
    }.get(kind)
    if found is None:
        raise InputError("a kind of pattern", kind, "ask for one of pattern_kinds")
    return array_answer(found(position), shift="0,0")


def _decomposition(run: Opened, asked: Asked, _: threading.Event) -> Response:
    position = asked.position
    apart = run.clusters(asked.revision).take_apart(position)
    measured = run.is_measured(position)
    return Json(
        {
            "label": apart.label + 1,
            "second": apart.second + 1,
            "overlap_ratio": apart.ratio,
            "overlap_ratio_error": apart.ratio_error,
            "shares": [
                {
                    "cluster": part.cluster + 1,
                    "share": part.share,
                    "error": part.error,
                    "intensity": part.intensity,
                }
                for part in apart.parts
            ],
            "background_intensity": apart.background if measured else None,
            "measured": measured,
        }
    )


def _line(run: Opened, asked: Asked, _: threading.Event) -> Response:
    found = run.clusters(asked.revision)
    places, distances = found.along(*asked.ends)
    return Json(
        {
            "points": [
                {
                    "y": y,
                    "x": x,
                    "distance": distance,
                    "label": int(found.label[y, x]) + 1,
                    "shares": found.share[y, x].tolist(),
                    "errors": found.error[y, x].tolist(),
                }
                for (y, x), distance in zip(places.tolist(), distances.tolist(), strict=True)
            ],
            "clusters": list(range(1, found.count + 1)),
        }
    )


def _orientations(run: Opened, asked: Asked, _: threading.Event) -> Response:
    return Json(orientations_words(run.required_orientations(asked.revision)))


def _reflections(run: Opened, asked: Asked, _: threading.Event) -> Response:
    number, found = asked.whole("number"), run.required_orientations(asked.revision)
    run.clusters(asked.revision).require(number)
    return Json(reflections_words(found, number))


def _virtual(run: Opened, asked: Asked, stop: threading.Event) -> Response:
    """Answer with the exact image where it is asked for or there already, else with the quick."""
    aperture = asked.aperture
    mask = aperture.mask(run.valid)
    if asked.exact or aperture in run.images:
        source = run.required_source
        image = run.images.get(
            aperture, lambda: exact_image(source, mask, stop), lambda found: found.nbytes
        )
        return array_answer(run.where_measured(image), exact="exact")
    image = run.approximate.image(mask)
    known = {}
    if run.has_sample:
        found = run.sample.deviation(image, mask, counts=run.counts)
        known = {"error": f"{found.relative:.4g}", "noise": f"{found.noise:.4g}"}
    return array_answer(run.where_measured(image), exact="approximate", **known)


def _region(run: Opened, asked: Asked, stop: threading.Event) -> Response:
    region, source = asked.region, run.required_source
    count = measured_in(region, source.scan_shape, run.measured)
    return array_answer(region_mean(source, region, stop, run.measured), positions=str(count))


def _number(run: Opened, asked: Asked, _: threading.Event) -> Response:
    """What clusters another number of patterns gives, or how far their map is."""
    found = run.numbers.get(asked.whole("number"), 0)
    if isinstance(found, Drawing):
        return Json(drawing_words(found), status_code=answers.ACCEPTED)
    return Json(number_words(run, found))


def _number_map(run: Opened, asked: Asked, _: threading.Event) -> Response:
    found = run.numbers.get(asked.whole("number"), 0)
    if isinstance(found, Drawing):
        return Json(drawing_words(found), status_code=answers.ACCEPTED)
    shown = run.clusters()
    label = numbered_like(found.label, len(found.sizes), shown.label, shown.count)[0]
    return array_answer(labels_map(label, run.measured))


async def _viewer_page(_: Request) -> Response:
    return FileResponse(STATIC / "viewer.html", media_type="text/html")
