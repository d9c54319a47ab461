import asyncio
import io
import os
import shutil

import httpx
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from orimap.flows.viewer import app
from orimap.flows.viewer.app import find_place, table_app, viewer
from orimap.flows.viewer.entry.access import read_token
from orimap.flows.viewer.table.runs import RunTable
from orimap.flows.watch.journal import JOURNAL, Journal
from orimap.tasks.errors import InputError

PAGE = {"Accept": "text/html"}


@pytest.fixture
def root(tmp_path):
    root = tmp_path.resolve() / "root"
    root.mkdir()
    return root


def _ask(application, path, headers=None):
    async def once():
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(once())


class _Pages(Starlette):
    """Pages of a run that say which they are."""

    def __init__(self, folder, closed=()):
        super().__init__(routes=[Route("/{path:path}", self._say)])
        self.folder, self.closed, self.bytes = folder, closed, 100

    async def _say(self, request: Request) -> Response:
        return PlainTextResponse(f"{self.folder.name}: {request.path_params['path']}")

    def close(self):
        self.closed.append(self.folder.name)


@pytest.fixture
def table(root):
    """The table with pages that only tell their names; gives what asks for one of them."""
    opened, closed = [], []

    def run_pages(folder):
        opened.append(folder.name)
        return _Pages(folder, closed)

    application = table_app(RunTable(root, root / ".orimap" / JOURNAL), run_pages)

    def ask(path, headers=None):
        return _ask(application, path, headers)

    ask.opened, ask.closed = opened, closed
    return ask


def test_a_folder_is_that_of_a_run_or_one_of_many(root, make_run):
    with pytest.raises(InputError) as refused:
        find_place(root, root / ".orimap")
    assert refused.value.needed == "the folder of a run, or a folder of many runs"
    assert "no results in" in refused.value.found
    with pytest.raises(InputError, match="there is no folder"):
        find_place(root / "absent", root / "absent" / ".orimap")
    (root / ".orimap").mkdir()  # watched, and nothing has come yet
    assert find_place(root, root / ".orimap").journal == root / ".orimap" / JOURNAL
    (root / ".orimap").rmdir()
    run = make_run(root / "day" / "a")
    with pytest.raises(InputError, match="is a file"):
        find_place(run / "run.json", root)
    assert find_place(run, root).is_one_run
    assert not find_place(root, root / ".orimap").is_one_run


def test_the_table_comes_as_a_page_as_json_and_as_csv(table, root, make_run):
    make_run(root / "a")
    make_run(root / "b", decision={"confidence": "low"})
    assert "All runs" in table("/").text
    assert "no-store" not in table("/static/runs.js").headers.get("cache-control", "")
    assert table("/static/runs.css").headers["content-type"].startswith("text/css")
    assert table("/static/viewer.html").status_code == 404
    assert {run["name"] for run in table("/api/runs").json()["runs"]} == {"a", "b"}
    lines = table("/api/runs.csv?confidence=low").text.splitlines()
    assert [line.partition(",")[0] for line in lines] == ["name", "b"]


def test_a_table_that_has_not_changed_is_not_sent_again(table, root, make_run):
    make_run(root / "a")
    tag = table("/api/runs").headers["etag"]
    assert table("/api/runs", {"If-None-Match": tag}).status_code == 304
    make_run(root / "b")
    assert table("/api/runs", {"If-None-Match": tag}).status_code == 200


def test_every_run_has_its_pages_below_its_own_address(table, root, make_run):
    name = "scan #7 50%.hspy"
    make_run(root / "day 1" / name)
    (run,) = table("/api/runs").json()["runs"]
    assert table(f"/{run['page']}").text == f"{name}: "
    assert table(f"/{run['page']}api/map/clusters").text == f"{name}: api/map/clusters"
    without_slash = table(f"/{run['page'].rstrip('/')}")
    assert without_slash.status_code == 308
    target = httpx.URL(f"http://127.0.0.1/{run['page'].rstrip('/')}").join(
        without_slash.headers["location"]
    )
    assert target.raw_path == f"/{run['page']}".encode()


def test_a_name_with_the_end_of_a_line_in_it_has_its_pages(table, root, make_run):
    make_run(root / "a\nb")
    (run,) = table("/api/runs").json()["runs"]
    assert table(f"/{run['page']}").text == "a\nb: "
    assert table("/runs/a%0Ab/api/run").text == "a\nb: api/run"


@pytest.mark.parametrize("linked", ["", "patterns.zarr", "analysis.zarr", "revisions"])
def test_what_is_made_a_link_after_it_was_found_is_not_followed(
    table, root, tmp_path, make_run, linked
):
    make_run(root / "a")
    assert table("/runs/a/x").text == "a: x"
    elsewhere = make_run(tmp_path / "elsewhere")
    place = root / "a" / linked
    if place.exists():
        shutil.rmtree(place)
    place.symlink_to(elsewhere / linked)
    answer = table("/runs/a/x")
    assert answer.status_code in (404, 422)
    assert "a: x" not in answer.text


def test_runs_that_lie_in_one_another_are_told_apart(table, root, make_run):
    make_run(root / "a")
    make_run(root / "a" / "b")
    assert table("/runs/a/c").text == "a: c"
    assert table("/runs/a/b/c").text == "b: c"


@pytest.mark.parametrize(
    "path", ["/runs/", "/runs/absent/", "/runs/..%2felsewhere/", "/runs/%2e%2e/elsewhere/", "/none",
             "/runs//a/", "/runs/a%00/"],
)  # fmt: skip
def test_what_is_not_in_the_table_is_not_there(table, root, tmp_path, make_run, path):
    make_run(root / "a")
    make_run(tmp_path / "elsewhere")
    answer = table(path, PAGE)
    assert answer.status_code == 404
    assert table.opened == []
    assert "What to do: go back" in answer.text


def test_what_has_no_results_has_a_page_of_what_is_known(table, root):
    (root / ".orimap").mkdir()
    with Journal(root / ".orimap" / JOURNAL) as journal:
        entry = journal.see("a.blo", "", size=1, written=1.0)
        journal.move(entry, "quarantined", "cut short")
    (row,) = table("/api/runs").json()["runs"]
    found = table(f"/{row['page']}")
    assert found.status_code == 200
    assert "cut short" in found.text
    for path in ("/about/entry/99", "/about/run/..%2Fx", "/about/entry/", "/about/x/1"):
        assert table(path).status_code == 404, path


def test_what_was_asked_for_is_no_markup_on_the_page_that_says_so(table):
    answer = table("/runs/%3Cscript%3Ealert(1)%3C/script%3E/", PAGE)
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text


def test_pages_of_a_few_runs_are_kept(table, root, make_run, monkeypatch):
    monkeypatch.setattr(app, "RUNS_KEPT", 2)
    for name in "abc":
        make_run(root / name)
    for name in "abacab":
        table(f"/runs/{name}/")
    assert table.opened == ["a", "b", "c", "b"]
    assert table.closed == ["b", "c"]


def test_runs_that_hold_too_much_together_are_let_go_but_for_the_one_that_is_looked_at(
    table, root, make_run, monkeypatch
):
    for name in "abc":
        make_run(root / name)
    monkeypatch.setattr(app, "RUNS_BYTES", 250)
    for name in "abc":
        table(f"/runs/{name}/")
    assert table.closed == ["a"]
    monkeypatch.setattr(app, "RUNS_BYTES", 50)
    assert table("/runs/b/").text == "b: "
    assert table.closed == ["a", "c"]


def test_a_run_that_cannot_be_opened_says_why_and_the_others_can(root, make_run):
    def run_pages(folder):
        if folder.name == "bad":
            raise InputError("results", "<none>", "analyse it")
        return _Pages(folder)

    make_run(root / "bad")
    make_run(root / "good")
    application = table_app(RunTable(root, root / ".orimap" / JOURNAL), run_pages)
    answer = _ask(application, "/runs/bad/", PAGE)
    assert (answer.status_code, "Found: &lt;none&gt;" in answer.text) == (422, True)
    assert _ask(application, "/runs/bad/api/run").json()["remedy"] == "analyse it"
    assert _ask(application, "/runs/good/x").text == "good: x"


def test_a_thumbnail_is_the_map_and_small(table, root, make_run):
    make_run(root / "a")
    answer = table("/runs/a/thumbnail.png")
    with Image.open(io.BytesIO(answer.content)) as image:
        assert (image.size, image.format) == ((192, 144), "PNG")
    make_run(root / "none", figure=False)
    assert table("/runs/none/thumbnail.png").status_code == 404


@pytest.mark.parametrize("linked", ["figures", "figures/cluster_map.png"])
def test_a_thumbnail_that_a_link_leads_to_is_not_shown(table, root, tmp_path, make_run, linked):
    secret = make_run(tmp_path / "secret")
    run = make_run(root / "a", figure=False)
    path = run / linked
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(secret / linked)
    assert table("/runs/a/thumbnail.png").status_code == 404


def test_a_picture_that_is_none_is_no_error(table, root, make_run):
    run = make_run(root / "a")
    (run / "figures" / "cluster_map.png").write_bytes(b"no picture")
    pipe = make_run(root / "pipe", figure=False)
    (pipe / "figures").mkdir()
    os.mkfifo(pipe / "figures" / "cluster_map.png")
    assert table("/runs/pipe/thumbnail.png").status_code == 404
    assert table("/runs/a/thumbnail.png").status_code == 404
    assert table("/api/runs").status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/runs", "/runs/a/", "/static/runs.js"])
def test_the_whole_answers_only_who_knows_the_token(root, make_run, access, path):
    make_run(root / "a")
    whole = viewer(find_place(root, root / ".orimap"), access)
    assert _ask(whole, path).status_code == 401
    known = {"Authorization": f"Bearer {read_token(access.folder)}"}
    assert _ask(whole, path, known).status_code == 200


def test_one_run_is_served_at_the_top(root, make_run, access):
    run = make_run(root / "a")
    whole = viewer(find_place(run, root), access)
    known = {"Authorization": f"Bearer {read_token(access.folder)}", **PAGE}
    answer = _ask(whole, "/", known)
    assert answer.headers["content-type"].startswith("text/html")
    assert _ask(whole, "/").status_code == 401
