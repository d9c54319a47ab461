import asyncio
import contextlib
import getpass

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from orimap.flows.viewer.entry import guard
from orimap.flows.viewer.entry.access import Access, read_token
from orimap.flows.viewer.entry.guard import Guard

SITE = "http://127.0.0.1:4210"
PAGE = {"Accept": "text/html"}
JSON = {"Content-Type": "application/json"}
OWN = {**JSON, "Origin": SITE, "Sec-Fetch-Site": "same-origin"}


async def _look(request: Request) -> Response:
    return PlainTextResponse(
        f"looked at {request.url.path}", headers={"Cache-Control": "public, max-age=9"}
    )


async def _write(request: Request) -> Response:
    return PlainTextResponse(f"wrote {await request.json()}")


@pytest.fixture
def access(tmp_path):
    return Access(tmp_path)


@pytest.fixture
def guarded(access, monkeypatch):
    monkeypatch.setattr(guard, "WRONG_SECONDS", 0.01)
    app = Starlette(
        routes=[Route("/write", _write, methods=["POST"]), Route("/{path:path}", _look)]
    )
    return Guard(app, access, ask="orimap view --token <b>")


@pytest.fixture
def ask(guarded):
    """Ask as a browser does; gives the answer."""

    def ask(path, headers=None, *, method="GET", content=None, cookies=None):
        async def once():
            transport = httpx.ASGITransport(guarded)
            async with httpx.AsyncClient(
                transport=transport, base_url=SITE, cookies=cookies
            ) as client:
                return await client.request(method, path, headers=headers, content=content)

        return asyncio.run(once())

    return ask


@pytest.fixture
def cookies(access):
    return {access.cookie_name: access.cookie()}


@pytest.mark.parametrize(
    "host", ["127.0.0.1:4210", "127.0.0.1", "localhost:9", "LOCALHOST", "[::1]:80"]
)
def test_names_of_this_machine_are_answered(ask, cookies, host):
    assert ask("/a", {"Host": host}, cookies=cookies).text == "looked at /a"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:4210", "localhost.", "192.168.1.7",
     "", "::1", "127.0.0.1:4210:9", "user@127.0.0.1", "0.0.0.0", "127.0.0.1:port"],
)  # fmt: skip
def test_a_name_that_may_lead_elsewhere_is_refused_whoever_asks(ask, cookies, host):
    for path in ("/a", "/enter", "/enter/known"):
        answer = ask(path, {"Host": host}, cookies=cookies)
        assert answer.status_code == 421
        assert "looked at" not in answer.text


def test_two_hosts_are_none(ask, cookies):
    answer = ask("/a", [("Host", "127.0.0.1"), ("Host", "evil.example")], cookies=cookies)
    assert answer.status_code == 421


def test_without_the_token_a_page_asks_for_it_and_names_no_account_or_folder(ask, access):
    answer = ask("/runs/x/", PAGE)
    assert answer.status_code == 401
    assert answer.headers["cache-control"] == "no-store"
    assert str(access.folder) not in answer.text
    assert getpass.getuser() not in answer.text
    assert "orimap view --token &lt;b&gt;" in answer.text
    assert read_token(access.folder) not in answer.text
    assert "looked at" not in answer.text
    program = ask("/api/run")
    assert (program.status_code, program.json()["needed"]) == (401, "the token of this viewer")


@pytest.mark.parametrize(
    "path", ["/static/runs.js", "/enter/../secret", "/enterprise", "/enter/runs.html", "//enter"]
)
def test_nothing_else_is_given_without_the_token(ask, path):
    answer = ask(path)
    assert answer.status_code in (401, 404)
    assert "looked at" not in answer.text


def test_the_page_that_asks_has_its_files(ask):
    assert ask("/enter/enter.js").headers["content-type"].startswith("text/javascript")
    assert ask("/enter/enter.css").status_code == 200


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(ask, access):
    token = read_token(access.folder)
    answer = ask("/enter", OWN, method="POST", content=f'{{"token": "{token}"}}')
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert token not in cookie
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/", "max-age=2592000"} == parts
    assert ask("/a", cookies=dict(answer.cookies)).text == "looked at /a"


@pytest.mark.parametrize(
    "content",
    ['{"token": "wrong"}', '{"token": null}', "[]", "no json", "", "[" * 4000, "x" * 9999],
)
def test_a_wrong_token_is_no_entry(ask, content):
    answer = ask("/enter", OWN, method="POST", content=content)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_guesses_are_slowed_down_and_the_token_is_still_taken(guarded, access, monkeypatch):
    monkeypatch.setattr(guard, "WRONG_SECONDS", 0.5)
    right = f'{{"token": "{read_token(access.folder)}"}}'

    async def try_many():
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(guarded), base_url=SITE
        ) as client:
            wrong = [
                asyncio.create_task(client.post("/enter", headers=OWN, content='{"token": "a"}'))
                for _ in range(12)
            ]
            await asyncio.sleep(0.1)
            entered = await client.post("/enter", headers=OWN, content=right)
            still = [task.done() for task in wrong]
            return entered.status_code, sum(still), [(await task).status_code for task in wrong]

    entered, told_at_once, answers = asyncio.run(try_many())
    assert entered == 204
    assert told_at_once == 4
    assert sorted(answers) == [403] * 8 + [429] * 4


def test_guesses_of_programs_are_slowed_down_as_well(guarded, access, monkeypatch):
    monkeypatch.setattr(guard, "WRONG_SECONDS", 0.5)

    async def try_many():
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(guarded), base_url=SITE
        ) as client:
            wrong = [
                asyncio.create_task(client.get("/a", headers={"Authorization": f"Bearer {n}"}))
                for n in range(12)
            ]
            await asyncio.sleep(0.1)
            at_once = sum(task.done() for task in wrong)
            right = {"Authorization": f"Bearer {read_token(access.folder)}"}
            entered = (await client.get("/a", headers=right)).status_code
            return at_once, entered, sorted([(await task).status_code for task in wrong])

    assert asyncio.run(try_many()) == (4, 200, [401] * 8 + [429] * 4)


def test_a_code_lets_one_browser_in_once(ask, access):
    code = access.code()
    answer = ask(f"/enter?code={code}", PAGE)
    assert (answer.status_code, 'data-state="entered"' in answer.text) == (200, True)
    assert code not in answer.text
    assert ask("/a", cookies=dict(answer.cookies)).status_code == 200
    again = ask(f"/enter?code={code}", PAGE)
    assert (again.status_code, "set-cookie" in again.headers) == (401, False)
    assert "it works once" in again.text
    # The same browser, whose pages are opened again when it starts.
    known = ask(f"/enter?code={code}", PAGE, cookies=dict(answer.cookies))
    assert 'data-state="entered"' in known.text


def test_a_browser_is_told_whether_it_is_known(ask, cookies):
    assert ask("/enter/known").json() == {"known": False}
    assert ask("/enter/known", cookies=cookies).json() == {"known": True}


def test_a_program_gives_the_token_with_each_request(ask, access):
    given = {"Authorization": f"Bearer {read_token(access.folder)}"}
    assert ask("/a", given).text == "looked at /a"
    assert ask("/a", {"Authorization": "Bearer wrong"}).status_code == 401
    assert ask("/write", {**given, **JSON}, method="POST", content="[1]").text == "wrote [1]"


def test_a_change_is_taken_from_our_own_pages(ask, cookies):
    answer = ask("/write", OWN, method="POST", content="[1]", cookies=cookies)
    assert answer.text == "wrote [1]"
    # Through a tunnel, or by another name of this machine.
    local = {**OWN, "Host": "localhost:9", "Origin": "http://localhost:9"}
    assert ask("/write", local, method="POST", content="[1]", cookies=cookies).status_code == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"Origin": "http://evil.example"}, {"Origin": "http://127.0.0.1:9999"}, {"Origin": "null"},
        {"Origin": "https://127.0.0.1:4210"}, {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "none"}, {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": ""},
    ],
    ids=str,
)  # fmt: skip
def test_a_change_that_another_page_asks_for_is_refused(ask, cookies, changed):
    answer = ask("/write", {**OWN, **changed}, method="POST", content="[1]", cookies=cookies)
    assert answer.status_code == 403


def test_a_change_that_does_not_say_where_it_comes_from_is_refused(ask, cookies):
    assert ask("/write", JSON, method="POST", content="[1]", cookies=cookies).status_code == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_but_looking_and_writing_is_answered(ask, cookies, method):
    assert ask("/a", OWN, method=method, cookies=cookies).status_code == 405


def test_every_answer_says_what_a_page_may_load_and_that_it_is_for_one_alone(ask, cookies):
    for path, given in (("/a", cookies), ("/a", None), ("/enter/enter.js", None)):
        headers = ask(path, cookies=given).headers
        policy = headers["content-security-policy"]
        assert (
            "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'"
            in policy
        )
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "public" not in headers["cache-control"]
        assert headers["cache-control"].startswith(("private", "no-store"))
    assert ask("/a", cookies=cookies).headers["cache-control"] == "private, max-age=9"


@pytest.mark.parametrize(
    "path", ["/report.html", "/runs/a/report-checked.html", "/runs/a/comparison.html"]
)
def test_a_report_has_its_own_script_and_can_ask_for_nothing_here(ask, cookies, path):
    policy = ask(path, cookies=cookies).headers["content-security-policy"]
    assert policy.startswith("sandbox allow-scripts")
    assert "allow-same-origin" not in policy
    assert "default-src 'none'" in policy


def test_the_pages_have_no_script_and_no_style_in_them():
    for page in guard.STATIC.glob("*.html"):
        text = page.read_text()
        assert "<style" not in text
        assert " style=" not in text
        assert "onclick" not in text
        assert all("src=" in part.partition(">")[0] for part in text.split("<script")[1:])


def test_a_websocket_is_closed(guarded):
    sent = []

    async def once():
        async def send(message):
            sent.append(message)

        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(guarded({"type": "websocket", "path": "/"}, None, send), 1)

    asyncio.run(once())
    assert sent == [{"type": "websocket.close", "code": 1008}]
