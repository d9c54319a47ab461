import sqlite3
from itertools import pairwise

import pytest

from orimap.flows.jobs.job import Job
from orimap.flows.request.request import Request
from orimap.flows.watch.journal import (
    ENDED,
    FOLLOWS,
    UNDER_WAY,
    Journal,
    TransitionError,
    read_entries,
)
from orimap.tasks.errors import InputError


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "state" / "journal.sqlite") as journal:
        yield journal


def see(journal, name="day/a.blo"):
    return journal.see(name, "being written", size=10, written=1.0)


def settle(journal, entry, identity="abcdef0123456789"):
    job = Job(acquisition=identity[:12], request=Request(file="a.blo", output="out"))
    return journal.move(entry, "settled", "finished", identity=identity, job=job)


def test_an_acquisition_goes_its_way_and_every_step_is_kept(journal):
    entry = settle(journal, see(journal))
    assert entry.id == "abcdef012345"
    assert entry.job.key.startswith("orimap-abcdef012345-")
    entry = journal.move(entry, "submitted", reference="7", handed_over=1)
    entry = journal.move(entry, "running")
    entry = journal.move(entry, "done", "3 patterns", decided_k=3, confidence="high")
    assert (entry.reference, entry.handed_over, entry.decided_k) == ("7", 1, 3)
    steps = [(step["before"], step["after"]) for step in journal.history(entry.number)]
    states = ["", "seen", "settled", "submitted", "running", "done"]
    assert steps == list(pairwise(states))
    assert journal.history(entry.number)[-1]["reason"] == "3 patterns"


def test_a_step_that_makes_no_sense_is_refused_and_changes_nothing(journal):
    entry = see(journal)
    with pytest.raises(TransitionError, match=r"seen .* → done"):
        journal.move(entry, "done")
    assert journal.entry(entry.number).state == "seen"
    assert len(journal.history(entry.number)) == 1


def test_what_another_process_has_changed_is_not_overwritten(journal):
    entry = see(journal)
    settle(journal, entry)
    with pytest.raises(TransitionError, match="read as seen"):
        journal.move(entry, "quarantined")


def test_every_state_is_under_way_or_ended_and_can_be_left():
    assert {"seen", *UNDER_WAY, *ENDED} == set(FOLLOWS)
    assert set().union(*FOLLOWS.values()) == set(FOLLOWS)


def test_a_name_that_comes_again_is_the_next_revision(journal):
    first = settle(journal, see(journal))
    second = see(journal)
    assert (first.revision, second.revision) == (1, 2)
    assert second.title == "day/a.blo (revision 2)"
    assert journal.latest()["day/a.blo"] == second
    journal.forget(second, "the same content")
    assert journal.latest()["day/a.blo"] == first
    with pytest.raises(TransitionError, match="cannot be forgotten"):
        journal.forget(first, "no reason")


def test_entries_are_found_by_the_beginning_of_an_id_or_by_name(journal):
    entry = settle(journal, see(journal))
    settle(journal, see(journal, "b.blo"), "abcfff0123456789")
    assert journal.find("abcd") == journal.find("day/a.blo") == entry
    for text, found in (("abc", "2"), ("none.blo", "none"), ("", "none")):
        with pytest.raises(InputError, match=f"means {found} of them"):
            journal.find(text)


def test_a_change_is_there_for_whoever_opens_the_file_next(tmp_path):
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        entry = settle(journal, see(journal))
        journal.set_meta("held", "disk")
        with Journal(path, make=False) as other:
            assert other.entry(entry.number) == entry
            assert other.meta("held") == "disk"
    assert sqlite3.connect(path).execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_fails_in_the_middle_leaves_nothing(journal):
    entry = see(journal)
    with pytest.raises(sqlite3.Error):
        journal.move(entry, "settled", no_such_column=1)
    assert journal.entry(entry.number) == entry
    assert len(journal.history(entry.number)) == 1


def test_a_journal_of_another_version_is_refused(tmp_path):
    path = tmp_path / "journal.sqlite"
    Journal(path).close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(InputError, match="is of version 99"):
        Journal(path)


def test_no_journal_is_told_with_what_to_do(tmp_path):
    with pytest.raises(InputError, match="orimap watch"):
        Journal(tmp_path / "none.sqlite", make=False)
    assert not (tmp_path / "none.sqlite").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="--state"):
        Journal(tmp_path / "file" / "journal.sqlite")
    (tmp_path / "words.sqlite").write_text("no database at all, only some words" * 9)
    with pytest.raises(InputError, match="--state"):
        Journal(tmp_path / "words.sqlite")


def test_another_account_reads_it_and_writes_nothing(journal):
    entry = settle(journal, see(journal))
    path = journal.path
    before = path.stat().st_mtime_ns
    assert read_entries(path) == [entry]
    assert path.stat().st_mtime_ns == before
    with pytest.raises(InputError, match="look as the account"):
        read_entries(path.with_name("absent.sqlite"))
    assert not path.with_name("absent.sqlite").exists()
