"""Messages go to a real web server on this machine."""

import base64
import io
import json
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import zarr
from PIL import Image

from orimap.flows.jobs.job import Job
from orimap.flows.jobs.notify import (
    Message,
    message_about,
    perform_and_tell,
    send,
    tell_put_aside,
)
from orimap.flows.jobs.outcome import Outcome
from orimap.flows.request.request import Request
from orimap.tasks.errors import InputError


@pytest.fixture
def received(monkeypatch):
    """What was posted to the address that messages go to."""
    posts = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("ORIMAP_NOTIFY", f"json://127.0.0.1:{server.server_port}/secret")
    yield posts
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def job(tmp_path):
    (tmp_path / "scan.npy").touch()
    asked = Request.read(file=tmp_path / "scan.npy", output=tmp_path / "out")
    return Job(acquisition="abc", request=asked)


def test_a_message_carries_a_small_picture(received, tmp_path):
    Image.new("RGB", (2000, 1000), "navy").save(tmp_path / "map.png")
    send(Message("eight", "patterns", failed=False, picture=tmp_path / "map.png"), print)
    (post,) = received
    assert (post["title"], post["message"], post["type"]) == ("eight", "patterns", "success")
    picture = base64.b64decode(post["attachments"][0]["base64"])
    assert Image.open(io.BytesIO(picture)).size == (480, 240)


def test_a_notification_block_of_prefect_serves_as_well(received, prefect_api, monkeypatch):
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    address = os.environ["ORIMAP_NOTIFY"].replace("json://", "http://")
    CustomWebhookNotificationBlock(
        name="lab",
        url=address,
        json_data={"title": "{{subject}}", "message": "{{body}}", "by": "Prefect"},
        allow_private_urls=True,
    ).save("lab")
    monkeypatch.setenv("ORIMAP_NOTIFY", "custom-webhook/lab")
    lines = []
    send(Message("eight", "patterns", failed=False), lines.append)
    assert lines == ["eight"]
    assert received == [{"title": "eight", "message": "patterns", "by": "Prefect"}]


def test_a_failure_is_told_with_reason_remedy_and_the_end_of_the_log(received, job):
    def refuses(_):
        (job.output / "run.log").write_text("ingest: 3 of 9\n")
        raise InputError("a scan", "a spectrum", "choose another file")

    with pytest.raises(InputError):
        perform_and_tell(job, refuses, print)
    (post,) = received
    assert post["type"] == "failure"
    assert post["title"] == "orimap: scan.npy failed (bad data)"
    for words in ("needed: a scan; found: a spectrum", "choose another file", "ingest: 3 of 9"):
        assert words in post["message"]


def test_what_was_put_aside_is_told_without_waiting(received):
    tell_put_aside("scan.blo", "cut short: 5 of 9 frames", print)
    last = time.monotonic() + 60
    while not received and time.monotonic() < last:
        time.sleep(0.05)
    (post,) = received
    assert post["type"] == "failure"
    assert "cut short: 5 of 9 frames" in post["message"]


def test_what_cannot_be_sent_is_a_line_without_secrets(job, monkeypatch):
    monkeypatch.setenv("ORIMAP_NOTIFY", "json://127.0.0.1:9/secret nonsense://secret no-such/block")
    lines = []
    send(Message("eight", "patterns", failed=False), lines.append)
    assert lines[0] == "eight"
    assert len(lines) == 4
    assert not any("secret" in line for line in lines)
    assert "notification 2 (nonsense://…) was not sent" in lines[2]


def test_earlier_attempts_are_told(job):
    attempts = [
        {"kind": "transient", "reason": "I/O error", "remedy": "", "ended": "", "seconds": 1}
    ] * 2
    failed = Outcome(key="k", acquisition="abc", state="failed", kind="transient",
                     reason="I/O error", remedy="check the disk", attempts=attempts)  # fmt: skip
    assert message_about(job, failed).body.count("Failed before: I/O error") == 1


def test_a_success_links_to_the_page_of_the_run_where_a_viewer_shows_it(job, tmp_path, monkeypatch):
    zarr.open_group(job.output / "analysis.zarr", mode="w").attrs["notes"] = ["two pixels masked"]
    report = str(job.output / "report.html")
    outcome = Outcome(key="k", acquisition="a", state="done", decided_k=3, report=report)
    without = message_about(job, outcome).body
    assert "http" not in without
    monkeypatch.setenv("ORIMAP_VIEW", "http://127.0.0.1:4201")
    monkeypatch.setenv("ORIMAP_RESULTS", str(tmp_path))
    lines = message_about(job, outcome).body.splitlines()
    assert lines[-2] == "Look at it: http://127.0.0.1:4201/runs/out/"
    assert [line for line in lines if "Look at it" not in line] == without.splitlines()
