"""What is known of an acquisition without results, on a page."""

import pytest

from orimap.flows.jobs.job import Job
from orimap.flows.jobs.outcome import Attempt
from orimap.flows.request.request import Request
from orimap.flows.viewer.table.about import LOG_LINES, about_page, find_about
from orimap.flows.viewer.table.runs import RunTable
from orimap.flows.watch.journal import JOURNAL, Journal


@pytest.fixture
def root(tmp_path):
    root = tmp_path.resolve() / "root"
    (root / ".orimap").mkdir(parents=True)
    return root


@pytest.fixture
def table(root):
    return RunTable(root, root / ".orimap" / JOURNAL)


@pytest.fixture
def journal(table):
    with Journal(table.journal) as journal:
        yield journal


def page(table, kind, which):
    return about_page(find_about(table, kind, str(which)))


def test_a_quarantined_file_is_told_with_its_history_and_what_to_do(table, journal):
    entry = journal.see("day 1/<b>.blo", "being written", size=1234, written=1.0)
    journal.move(entry, "quarantined", "10 of the 20 bytes that its header announces")
    said = page(table, "entry", entry.number)
    assert "day 1/&lt;b&gt;.blo" in said
    assert "<b>" not in said
    assert "10 of the 20 bytes that its header announces" in said
    assert "put options for it beside it, in &lt;b&gt;.blo.orimap.yaml" in said
    assert "1,234 bytes" in said
    assert said.index("being written") < said.rindex("10 of the 20 bytes")
    assert '<a href="/">' in said
    assert "<script" not in said


def test_a_failed_run_is_told_with_its_tries_and_the_end_of_its_log(
    table, root, journal, put_outcome
):
    job = Job(acquisition="a" * 12, request=Request(file=root / "a.blo", output=root / "a.blo"))
    entry = journal.see("a.blo", "", size=1, written=1.0)
    entry = journal.move(entry, "settled", "waits", identity="a" * 16, job=job)
    journal.move(entry, "failed", "no memory")
    tried = Attempt(kind="memory", reason="no room", remedy="--bin 2", ended="x", seconds=1)
    put_outcome(root / "a.blo", state="failed", reason="no memory", attempts=[tried])
    lines = [f"line {n}" for n in range(LOG_LINES + 5)]
    (root / "a.blo" / "run.log").write_text("\n".join([*lines, "<i>the end</i>"]))
    said = page(table, "entry", entry.number)
    assert "orimap replay aaaaaaaaaaaa" in said
    assert "no room; --bin 2" in said
    assert "&lt;i&gt;the end&lt;/i&gt;" in said
    assert "line 6" in said
    assert "line 4\n" not in said
    assert '<a href="/runs/a.blo/">' in said
    # The same by its folder.
    assert page(table, "run", "a.blo") == said


def test_a_failed_run_that_no_journal_knows_is_told_by_its_outcome(table, root, put_outcome):
    put_outcome(root / "alone", state="failed", reason="no scan", remedy="look at it")
    outside = root.parent / "secret"
    outside.write_text("the secret")
    (root / "alone" / "run.log").symlink_to(outside)
    said = page(table, "run", "alone")
    assert "no scan; look at it" in said
    assert "give the same command again" in said
    assert "secret" not in said


@pytest.mark.parametrize("which", [("entry", "7"), ("run", "../secret"), ("run", ""), ("x", "1")])
def test_what_is_not_in_the_table_has_no_page(table, which):
    assert find_about(table, *which) is None
