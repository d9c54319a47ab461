import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from orimap.flows.viewer.entry import serve
from orimap.flows.viewer.entry.serve import address_of, browser_is_there, listen, open_browser
from orimap.tasks.errors import InputError

SERVING = """
import asyncio, sys
from orimap.flows.viewer.entry.serve import address_of, listen, serve

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(60)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})

listening = listen(None if sys.argv[1] == "any" else int(sys.argv[1]))
serve(app, listening, lambda: print(address_of(listening), flush=True))
print("ended", flush=True)
"""


@pytest.fixture
def server():
    """A server in a process of its own; gives it and its address."""
    command = [sys.executable, "-c", SERVING, "any"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_answers_and_ends_well_by_signals(server, number):
    process, address = server
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert answer.read() == b"here"
        assert "server" not in {name.lower() for name in answer.headers}
    process.send_signal(number)
    said, complained = process.communicate(timeout=60)
    assert (process.returncode, said, complained) == (0, "ended\n", "")


def test_it_is_on_loopback_alone_and_keeps_no_log_of_what_is_asked_for(server):
    process, address = server
    port = int(address.rstrip("/").rpartition(":")[2])
    with urllib.request.urlopen(f"{address}secret?code=7", timeout=60):
        pass
    # Every address of 127/8 leads to this machine; only the first is listened on.
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port), timeout=60)
    process.terminate()
    assert "secret" not in "".join(process.communicate(timeout=60))


def test_it_does_not_wait_for_an_answer_that_takes_long(server, monkeypatch):
    process, address = server
    host, _, port = address.removeprefix("http://").rstrip("/").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as asking:
        asking.sendall(b"GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        time.sleep(0.3)
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_port_that_was_asked_for_and_is_taken_is_told(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError) as refused:
            listen(port)
        assert refused.value.needed == f"the port {port} for the viewer"
        assert "--port" in refused.value.remedy
        # Where none was asked for, another is taken.
        monkeypatch.setattr(serve, "PREFERRED_PORT", port)
        with listen(None) as listening:
            assert listening.getsockname() == ("127.0.0.1", listening.getsockname()[1])
            assert listening.getsockname()[1] != port
    with listen(None) as listening:
        assert address_of(listening) == f"http://127.0.0.1:{port}/"


def test_the_address_for_a_browser_is_in_a_file_of_this_account_alone(tmp_path, monkeypatch):
    opened = tmp_path / "opened"
    program = tmp_path / "browser"
    # What the browser is started with, and what the file holds at that moment.
    program.write_text(
        f'#!/bin/sh\necho "$1" > {opened}.new\n'
        f'cat "${{1#file://}}" >> {opened}.new\nmv {opened}.new {opened}\n'
    )
    program.chmod(0o700)
    monkeypatch.setenv("BROWSER", str(program))
    code = "http://127.0.0.1:9/enter?code=once"
    with open_browser(code, tmp_path) as start:
        start()
        (page,) = tmp_path.glob("open-*.html")
        assert page.stat().st_mode & 0o777 == 0o600
        last = time.monotonic() + 60
        while not opened.exists():
            assert time.monotonic() < last
            time.sleep(0.05)
    asked, *held = opened.read_text().splitlines()
    assert asked == page.as_uri()
    assert any(f"url={code}" in line for line in held)
    assert not page.exists()


def test_a_browser_is_only_started_where_there_is_one(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert not browser_is_there()
    monkeypatch.setenv("DISPLAY", ":0")
    assert browser_is_there()
