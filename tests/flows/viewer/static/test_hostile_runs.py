"""Runs whose files somebody has made for the viewer, opened in a real browser."""

import json
import time

import pytest
from selenium.webdriver.common.by import By

from orimap.flows.viewer.app import find_place, viewer

MOST_SECONDS = 20
# What a script does that got at the viewer: it reads all runs and tells of it.
STEAL = """fetch("/api/runs").then((a) => a.json()).then((t) => {
  document.documentElement.setAttribute("data-stolen", t.runs.length);
}, () => document.documentElement.setAttribute("data-stolen", "none"));"""
PAGE = '<!doctype html><script src="evil.js"></script><p>evil</p>'
PICTURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9">'
    '<script href="evil.js"></script><rect width="9" height="9"/></svg>'
)


@pytest.fixture
def hostile(tmp_path, make_run, access, serve_app):
    """A table of runs, one of which was made to harm; gives its address and that run's folder."""
    root = tmp_path.resolve() / "root"
    evil = make_run(root / "evil", figure=False)
    make_run(root / "good")
    (evil / "figures").mkdir()
    for name, text in {"evil.js": STEAL, "evil.html": PAGE, "evil.svg": PICTURE}.items():
        (evil / "figures" / name).write_text(text)
    with serve_app(viewer(find_place(root, root / ".orimap"), access)) as server:
        yield f"http://127.0.0.1:{server.port}/", evil


def _settled(browser, address):
    """Wait until a page is there and its requests are answered; return what was stolen."""
    until = time.monotonic() + MOST_SECONDS
    state = "return document.readyState + document.documentElement.getAttribute('data-stolen')"
    while browser.current_url != address or "401" in json.dumps(browser.get_log("browser")):
        assert time.monotonic() < until, browser.current_url
        time.sleep(0.2)
    while not (found := browser.execute_script(state)).startswith("complete"):
        assert time.monotonic() < until, found
        time.sleep(0.05)
    time.sleep(0.5)  # of a script that runs, the answer
    return browser.execute_script(state).removeprefix("complete")


@pytest.mark.parametrize("name", ["evil.html", "evil.svg"])
def test_a_report_that_leads_on_to_a_file_of_the_run_runs_no_script(browser, hostile, access, name):
    address, evil = hostile
    target = f"{address}runs/evil/figures/{name}"
    # The report goes on by itself, once: without the cookie, which our own page then makes up for.
    (evil / "report.html").write_text(f"<script>location.href = 'figures/{name}'</script>")
    browser.get(f"{address}enter?code={access.code()}")
    browser.get(f"{address}runs/evil/report.html")
    assert _settled(browser, target) == "null"
    # As whoever opens it himself.
    browser.get(target)
    assert _settled(browser, target) == "null"
    # The viewer itself is still there for who may look.
    browser.get(f"{address}runs/good/thumbnail.png")
    assert browser.find_element(By.TAG_NAME, "img").size["width"] == 192
    browser.complaints()
