import csv
import io
import json
import os
import shutil
import threading

import pytest

from orimap.flows.jobs.job import Job
from orimap.flows.request.request import Request
from orimap.flows.viewer.table import runs
from orimap.flows.viewer.table.runs import Row, RunTable, as_csv, as_json, chosen
from orimap.flows.watch.journal import JOURNAL, Journal
from orimap.tasks.store.locks import held


@pytest.fixture
def root(tmp_path):
    return tmp_path.resolve() / "root"


@pytest.fixture
def table(root):
    root.mkdir()
    return RunTable(root, root / ".orimap" / JOURNAL)


def _rows(table):
    rows, told = table.rows()
    assert told == ""
    return {row.name: row for row in rows}


def test_a_finished_run_is_a_row_with_what_was_decided(table, root, make_run):
    folder = make_run(root / "day 1" / "scan #7.hspy", seconds=90.5)
    os.utime(folder / "run.json", (1_700_000_090.5, 1_700_000_090.5))
    (row,) = _rows(table).values()
    assert row == Row(
        path="day 1/scan #7.hspy",
        name="day 1/scan #7.hspy",
        state="done",
        number=3,
        confidence="high",
        headline="3 distinct patterns, high confidence",
        started="2023-11-14T22:13:20Z",  # 1,700,000,000 s
        seconds=90.5,
        thumbnail="runs/day%201/scan%20%237.hspy/thumbnail.png",
        page="runs/day%201/scan%20%237.hspy/",
    )


def test_what_somebody_should_look_at_is_flagged(table, root, make_run):
    reasons = ["Guessed: the step of the scan.", "Doubtful: two are alike.", "Doubtful: weak."]
    make_run(root / "a", decision={"reasons": reasons, "confidence": "low"})
    make_run(root / "b", root={"crystal_found": False, "countable": False}, figure=False)
    make_run(root / "c", acquisition={"guesses": ["the step"], "n_masked": 12})
    make_run(root / "d", acquisition={"guesses": [], "n_masked": 0})
    (root / "a" / "revisions" / "checked.zarr").mkdir(parents=True)
    rows = _rows(table)
    assert (rows["c"].flags, rows["d"].flags) == (("guessed", "masked pixels"), ())
    assert rows["a"].flags == ("guessed", "doubtful", "1 revision")
    assert rows["b"].flags == ("no crystal", "too few positions")
    assert (rows["b"].number, rows["b"].thumbnail) == (None, None)
    assert rows["b"].headline.startswith("too few positions to count, no crystal found")


def test_every_state_of_a_run_without_a_journal(table, root, make_run, put_outcome):
    make_run(root / "done")
    (root / "interrupted" / ".unfinished").mkdir(parents=True)
    make_run(root / "again")
    (root / "again" / ".unfinished").mkdir()
    put_outcome(root / "failed", state="failed", kind="bad data", reason="no scan", remedy="look")
    make_run(root / "part", root={"status": "running"})
    (root / "running" / ".unfinished").mkdir(parents=True)
    with held(root / "running" / ".lock"):
        rows = _rows(table)
    assert {name: row.state for name, row in rows.items()} == {
        "done": "done", "interrupted": "interrupted", "again": "done", "failed": "failed",
        "part": "incomplete", "running": "running",
    }  # fmt: skip
    assert (rows["failed"].reason, rows["failed"].page) == ("no scan; look", "about/run/failed")
    assert rows["running"].reason == "ingest"
    assert rows["failed"].started == "2026-01-02T03:04:05Z"
    assert rows["again"].flags == ("newer run interrupted",)
    assert _rows(table)["running"].state == "interrupted"  # its process has ended


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", "{"), ("run.json", "[]"), ("run.json", "\udcff"), ("outcome.json", "7"),
        ("analysis.zarr/zarr.json", "no json"), ("analysis.zarr/decision/zarr.json", "{}"),
        ("analysis.zarr/zarr.json", '{"attributes": {"status": "complete", "decided_k": "x"}}'),
        ("analysis.zarr/zarr.json", None),
    ],
)  # fmt: skip
def test_a_run_that_cannot_be_read_is_a_row_that_says_why(table, root, make_run, name, content):
    make_run(root / "good")
    make_run(root / "bad")
    path = root / "bad" / name
    if content is None:
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
    rows = _rows(table)
    assert rows["good"].state == "done"
    assert rows["bad"].state == "damaged"
    assert rows["bad"].reason
    assert "Error" not in rows["bad"].reason.split()[0]
    assert rows["bad"].page is None


def test_names_that_are_no_text_are_shown_and_reached(table, root, make_run):
    name = os.fsdecode(b"scan \xff<b>.hspy")
    make_run(root / name)
    (row,) = _rows(table).values()
    assert row.name == "scan \\udcff<b>.hspy"
    assert row.page == "runs/scan%20%FF%3Cb%3E.hspy/"
    json.loads(as_json([row], root, "")[0])
    assert table.folder_of([name, ""]) == (name, root / name)


@pytest.mark.parametrize("name", ["outcome.json", "run.json", "analysis.zarr/zarr.json", ".lock"])
def test_what_is_no_file_keeps_nobody_waiting(table, root, make_run, name):
    run = make_run(root / "a")
    (run / ".unfinished").mkdir()
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    found = []
    asking = threading.Thread(target=lambda: found.append(_rows(table)["a"]), daemon=True)
    asking.start()
    asking.join(20)
    assert [row.state for row in found] == ["done" if name == ".lock" else "damaged"]


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "-1", "1e300", '"long"', "null"])
def test_a_time_that_is_none_is_not_shown(table, root, make_run, seconds):
    run = make_run(root / "a")
    (run / "run.json").write_text(f'{{"seconds": {seconds}}}')
    (row,) = _rows(table).values()
    assert (row.state, row.seconds) == ("done", None)
    read = json.loads(as_json([row], root, "")[0], parse_constant=pytest.fail)
    assert read["runs"][0]["seconds"] is None


def test_a_store_that_is_a_link_is_not_followed_and_said_to_be_one(table, root, tmp_path, make_run):
    real = make_run(tmp_path / "elsewhere")
    run = make_run(root / "a")
    shutil.rmtree(run / "analysis.zarr")
    (run / "analysis.zarr").symlink_to(real / "analysis.zarr")
    (row,) = _rows(table).values()
    assert row.state == "incomplete"
    assert row.reason == "analysis.zarr is a link, which is not followed"


def test_letters_that_nobody_sees_are_written_as_numbers(table, root, make_run):
    make_run(root / "scan\u202egnp.exe\n=1")
    (row,) = _rows(table).values()
    assert row.name == "scan\\u202egnp.exe\\n=1"
    assert "\u202e" not in as_csv([row])


def test_rows_are_made_again_only_when_their_files_change(table, root, make_run, monkeypatch):
    make_run(root / "a")
    make_run(root / "b")
    before = _rows(table)
    made = []
    make_row = runs._row
    monkeypatch.setattr(
        runs, "_row", lambda below, *rest: made.append(below) or make_row(below, *rest)
    )
    assert _rows(table) == before
    assert made == []
    attributes = root / "a" / "analysis.zarr" / "zarr.json"
    attributes.write_text(attributes.read_text().replace('"decided_k": 3', '"decided_k": 4'))
    assert _rows(table)["a"].number == 4
    assert made == ["a"]


def _job(root, name, output):
    return Job(acquisition=name[:1] * 12, request=Request(file=root / name, output=root / output))


def test_a_watched_folder_shows_what_waits_runs_and_was_quarantined(table, root, make_run):
    make_run(root / "done.blo")
    (root / "runs.blo" / ".unfinished").mkdir(parents=True)
    (root / ".orimap").mkdir()
    with Journal(root / ".orimap" / JOURNAL) as journal:

        def see(name):
            return journal.see(name, "being written", size=10, written=1.0)

        def settle(name):
            job = _job(root, name, name)
            return journal.move(see(name), "settled", "waits", identity=name[:1] * 16, job=job)

        done = journal.move(journal.move(settle("done.blo"), "submitted"), "running")
        journal.move(done, "done", "3 patterns", decided_k=3, confidence="high")
        journal.move(journal.move(settle("runs.blo"), "submitted"), "running")
        settle("waits.blo")
        journal.move(settle("failed.blo"), "failed", "no memory")
        journal.move(see("bad.blo"), "quarantined", "it is <b>empty</b>")
        journal.move(see("text.txt"), "not a scan", "text")
        see("comes.blo")
        gone = journal.move(journal.move(settle("gone.blo"), "submitted"), "running")
        journal.move(gone, "done", "2 patterns", decided_k=2, confidence="low")
        rows = _rows(table)
        assert {name: row.state for name, row in rows.items()} == {
            "done.blo": "done", "runs.blo": "running", "waits.blo": "queued",
            "failed.blo": "failed", "bad.blo": "quarantined", "comes.blo": "arriving",
            "gone.blo": "incomplete",
        }  # fmt: skip
        assert rows["bad.blo"].reason == "it is <b>empty</b>"
        about = f"about/entry/{journal.find('bad.blo').number}"
        assert (rows["bad.blo"].page, rows["failed.blo"].reason) == (about, "no memory")
        # The state is said once; what the run does now is its reason.
        assert rows["runs.blo"].reason == ""
        with held(root / "runs.blo" / ".lock"):
            assert _rows(table)["runs.blo"].reason == "ingest"
        assert rows["done.blo"].page == "runs/done.blo/"
        assert rows["gone.blo"].number == 2
        assert "no longer in their folder" in rows["gone.blo"].reason
        # What changes in the journal shows at once.
        journal.move(journal.find("comes.blo"), "quarantined", "too short")
        assert _rows(table)["comes.blo"].reason == "too short"


def test_a_journal_that_cannot_be_read_leaves_the_runs(table, root, make_run):
    make_run(root / "a")
    (root / ".orimap").mkdir()
    (root / ".orimap" / JOURNAL).write_bytes(b"no database, but as long as one" * 100)
    rows, told = table.rows()
    assert [row.name for row in rows] == ["a"]
    assert told.startswith("the journal could not be read: ")


def test_results_of_a_job_outside_the_folder_are_not_shown_as_a_run(
    table, root, tmp_path, make_run
):
    make_run(tmp_path / "elsewhere")
    (root / ".orimap").mkdir()
    with Journal(root / ".orimap" / JOURNAL) as journal:
        entry = journal.see("a.blo", "", size=1, written=1.0)
        job = _job(tmp_path, "a.blo", "elsewhere")
        entry = journal.move(entry, "settled", identity="a" * 16, job=job)
        (row,) = _rows(table).values()
    assert (row.path, row.page, row.state) == ("", f"about/entry/{entry.number}", "queued")


@pytest.mark.parametrize(
    "parts", [["..", "elsewhere", ""], [".", "a"], ["a", "..", "b"], ["", "a"], ["A"], [], [""]]
)
def test_only_what_the_table_has_found_is_opened(table, root, tmp_path, make_run, parts):
    make_run(root / "a")
    make_run(tmp_path / "elsewhere")
    found = table.folder_of(parts)
    assert found in (None, ("a", root / "a"))
    assert found is None or parts[0] == "a"


def test_a_run_that_came_a_moment_ago_is_found(table, root, make_run):
    assert table.rows() == ([], "")
    make_run(root / "day" / "new")
    assert table.folder_of(["day", "new", "api", "run"]) == ("day/new", root / "day" / "new")


def test_rows_are_filtered_by_words_state_and_confidence():
    rows = [
        Row(path="a", name="Day 1/Scan", state="done", confidence="high", flags=("guessed",)),
        Row(path="b", name="Day 2/Scan", state="failed", reason="No memory"),
    ]
    assert chosen(rows) == rows
    assert chosen(rows, text=" DAY  2") == rows[1:]
    assert chosen(rows, text="scan") == rows
    assert chosen(rows, text="memory") == rows[1:]
    assert chosen(rows, text="guessed", confidence="high") == rows[:1]
    assert chosen(rows, state="failed", confidence="high") == []


def test_the_table_goes_to_spreadsheets_and_no_name_is_a_formula_there():
    rows = [
        Row(
            path="=1+1",
            name='=HYPERLINK("x")',
            state="done",
            number=3,
            flags=("a", "b"),
            seconds=1.5,
        ),
        Row(path="b", name='quoted "b", c', state="failed", reason="-2 of\n3"),
        Row(path="c", name="\uff1dcmd", state="done", reason=" \u00a0+1"),
    ]
    head, first, second, third = csv.reader(io.StringIO(as_csv(rows)))
    assert head[:4] == ["name", "number", "confidence", "flags"]
    assert first == ['\'=HYPERLINK("x")', "3", "", "a; b", "done", "", "", "1.5", "'=1+1"]
    assert (third[0], third[5]) == ("'\uff1dcmd", "' \u00a0+1")
    assert (second[0], second[1], second[5]) == ('quoted "b", c', "", "'-2 of\n3")


def test_the_newest_come_first(table, root, make_run):
    for number, name in enumerate(("b", "c", "a")):
        os.utime(make_run(root / name) / "run.json", (1e9 + number, 1e9 + number))
    assert [row.name for row in table.rows()[0]] == ["a", "c", "b"]


def test_several_threads_may_ask_at_once(table, root, make_run):
    for number in range(20):
        make_run(root / f"r{number}", figure=False)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(len(table.rows()[0]))) for _ in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert found == [20] * 8
