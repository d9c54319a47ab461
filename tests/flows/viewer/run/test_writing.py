"""What the viewer writes: one thing at a time, and what became of it."""

import shutil
import threading
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from orimap.flows.viewer.run import writing
from orimap.flows.viewer.run.asked import AskedEdits
from orimap.flows.viewer.run_routes import run_app
from orimap.tasks.errors import InputError, UnavailableError
from orimap.tasks.maps.by_hand.edits import Edits
from orimap.tasks.store.open_results import revision_names

pytestmark = pytest.mark.filterwarnings("ignore:Using `httpx`")
NAMED = [Edits.read(rename={1: "matrix"})]


@pytest.fixture(autouse=True)
def fast(few_figures):
    """Reports have few figures."""
    with few_figures():
        yield


@pytest.fixture
def folder(small_run, tmp_path):
    """A copy of the finished run of two grains."""
    return shutil.copytree(small_run.folder, tmp_path / "results")


@pytest.fixture
def writer(folder):
    return writing.Writer(folder, writable=True)


def until(met):
    for _ in range(1200):
        if met():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it never came")


def asked(title, **more):
    return AskedEdits(**{"steps": NAMED, "source": None, "title": title, **more})


def test_what_is_saved_waits_its_turn_and_is_then_there(writer, folder):
    with writer._busy:
        first, second = (writer.save(asked(title)) for title in ("one", "two"))
        assert [(each.name, each.total) for each in writer.saving] == [("one", 0), ("two", 0)]
        with pytest.raises(writing.TakenError, match="one, which is being saved") as found:
            writer.save(asked("one", replace=True))
        assert not found.value.replaceable
    until(lambda: not writer.saving)
    assert revision_names(folder) == ["one", "two"]
    assert (first.title, second.title, writer.failed) == ("one", "two", None)
    with writer._busy, pytest.raises(UnavailableError, match="something is being saved"):
        writer.delete("one")
    writer.delete("one")
    assert revision_names(folder) == ["two"]


def test_what_could_not_be_saved_is_told_until_something_is(writer, folder):
    missing = folder / "analysis.zarr" / "dark_fields"
    missing.rename(folder / "away")
    merged = asked("one", steps=[Edits.read(merge=["1,2"])])
    writer.save(merged)
    until(lambda: not writer.saving)
    assert writer.failed.name == "one"
    assert writer.failed.found == "analysis.zarr/dark_fields is damaged (it is not there)"
    assert revision_names(folder) == []
    (folder / "away").rename(missing)
    writer.save(merged)
    until(lambda: not writer.saving)
    assert (writer.failed, revision_names(folder)) == (None, ["one"])


def test_what_the_program_does_wrong_is_told_without_its_insides(writer, monkeypatch):
    def broken(*_args, **_more):
        raise RuntimeError("the secret insides")

    monkeypatch.setattr("orimap.flows.pipeline.revise.revise", broken)
    writer.save(asked("one"))
    until(lambda: not writer.saving)
    assert "insides" not in writer.failed.found


def test_progress_is_that_of_the_passes_over_the_scan(writer, monkeypatch):
    seen = []
    whole = writing.Saving.__setattr__

    def told(self, name, value):
        whole(self, name, value)
        if name == "total":
            seen.append((self.done, self.total))

    monkeypatch.setattr(writing.Saving, "__setattr__", told)
    writer.save(asked("one", steps=[Edits.read(merge=["1,2"])]))
    until(lambda: not writer.saving)
    shares = [done / total for done, total in seen[1:]]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_the_page_of_a_revision_is_written_when_it_is_first_asked_for(folder, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    write = writing._write_report

    def slowly(*given):
        begun.set()
        assert go_on.wait(30)
        write(*given)

    monkeypatch.setattr(writing, "_write_report", slowly)
    page = TestClient(run_app(folder))
    page.post("/api/revisions", json={"title": "by Anna", "steps": [{"merge": [[1, 2]]}]})
    until(lambda: not page.get("/api/run").json()["saving"])
    address = "/" + page.get("/api/run?revision=by-Anna").json()["report"]
    assert address == "/report-by-Anna.html"
    soon = page.get(address)
    assert begun.wait(30)
    assert (soon.status_code, soon.headers["retry-after"], soon.headers["refresh"]) == (
        503, "2", "2",
    )  # fmt: skip
    # It comes again by itself with its cookie: nothing of it may be in a sandbox.
    assert "sandbox" not in soon.headers["content-security-policy"]
    assert page.get(address).status_code == 503
    go_on.set()
    until(lambda: page.get(address).status_code == 200)
    written = page.get(address)
    assert "revision <b>by Anna</b>" in written.text
    assert written.headers["content-security-policy"].startswith("sandbox ")
    assert page.get("/figures-by-Anna/cluster_map.png").status_code == 200


def test_a_page_that_only_shows_writes_no_report(folder):
    shown = writing.Writer(folder, writable=False)
    writing.Writer(folder, writable=True).save(asked("one"))
    until(lambda: revision_names(folder) == ["one"])
    assert not shown.offers_report("one")
    for refused in (lambda: shown.report("one"), lambda: shown.delete("one")):
        with pytest.raises(InputError, match="only shows"):
            refused()
    with pytest.raises(InputError, match="revisions there: one"):
        shown.report("nobody")


def test_nothing_is_saved_where_a_link_leads_elsewhere(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "revisions").symlink_to(tmp_path / "elsewhere")
    writer = writing.Writer(folder, writable=True)
    assert not writer.can_write
    with pytest.raises(InputError, match="revisions is a link"):
        writer.save(asked("one"))
    assert TestClient(run_app(folder)).get("/api/run").json()["writable"] is False
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_where_nothing_can_be_written_it_is_said_before_anybody_has_worked(folder):
    # The system's own folder takes no files, whoever asks.
    writer = writing.Writer(Path("/proc"), writable=True)
    assert not writer.can_write
    with pytest.raises(InputError, match="a folder in which edits can be saved") as refused:
        writer.save(asked("one"))
    assert "--output" not in refused.value.remedy
    assert writing.Writer(folder, writable=True).can_write


def test_a_damaged_revision_keeps_no_other_from_being_saved(writer, folder):
    (folder / "revisions" / "empty.zarr").mkdir(parents=True)
    (folder / "revisions" / "file.zarr").write_text("no store")
    writer.save(asked("one"))
    until(lambda: not writer.saving)
    assert (writer.failed, revision_names(folder)) == (None, ["empty", "file", "one"])
