import dataclasses
import os
import subprocess
import sys

from orimap.flows.jobs.outcome import Outcome, checked_outcome, write_outcome
from orimap.flows.watch.dispatch import Dispatch
from orimap.flows.watch.watched_folder import Watching
from orimap.tasks.errors import UnavailableError


def test_an_acquisition_is_handed_over_once_and_followed_to_its_end(site):
    site.save("day 1/a.npy")
    site.rounds(4)
    (job,) = site.taken
    assert job.request.file == site.folder / "day 1" / "a.npy"
    assert job.output == site.results / "day 1" / "a.npy"
    assert job.request.k == (1, 4)
    assert site.states() == {"day 1/a.npy": "submitted"}
    site.all_stand("running")
    site.rounds(1)
    site.all_stand("done")
    site.rounds(2)
    (entry,) = site.journal.entries()
    assert (entry.state, entry.decided_k, entry.confidence) == ("done", 3, "high")
    ends = [line for line in site.lines if "report" in line]
    report = site.results / "day 1/a.npy/report.html"
    assert ends == [f"day 1/a.npy: 3 distinct patterns, high confidence; report {report}"]


def test_the_disk_floor_and_the_room_hold_jobs_back_and_are_told_once(make_site):
    site = make_site(disk_floor_bytes=2**62)
    site.save("a.npy")
    site.rounds(4)
    assert (site.taken, site.states()) == ([], {"a.npy": "settled"})
    assert "nothing is submitted" in site.journal.meta("held")
    assert sum("nothing is submitted" in line for line in site.lines) == 1
    site.watcher.dispatch.watching = Watching(
        **{**vars(site.watching), "disk_floor_bytes": 0, "newest_first": True}
    )
    for number, name in enumerate(("b.npy", "c.npy")):
        os.utime(site.save(name, seed=5 + number), (2e9 + number, 2e9 + number))
    site.places = 0
    site.rounds(3)
    assert (site.taken, site.journal.meta("held")) == ([], "")
    assert site.lines.count("jobs are submitted again") == 1
    site.places = 1
    site.rounds(1)
    assert [job.request.file.name for job in site.taken] == ["c.npy", "b.npy", "a.npy"]


def test_the_submitter_may_be_away_for_a_while(site):
    site.save("a.npy")
    site.away = ConnectionError("refused")
    site.rounds(4)
    assert site.states() == {"a.npy": "settled"}
    assert "ConnectionError: refused" in site.journal.meta("held")
    site.away = None
    site.watcher.dispatch._again_at = 0.0
    site.rounds(1)
    assert len(site.taken) == 1
    site.away = UnavailableError("a server", "none", "start it")
    site.rounds(2)
    assert site.states() == {"a.npy": "submitted"}
    assert "found: none; start it" in site.journal.meta("held")


def test_a_job_that_is_lost_is_handed_over_again_but_not_for_ever(site):
    site.save("a.npy")
    site.rounds()
    for handed_over in (2, 3):
        site.all_stand("lost", "gone")
        site.taken.clear()
        site.rounds(1)
        assert site.journal.entries()[0].handed_over == handed_over
    site.all_stand("lost", "gone")
    site.rounds(1)
    (entry,) = site.journal.entries()
    assert (entry.state, entry.reason) == ("failed", "lost 3 times: gone")


def test_a_success_without_results_is_a_failure(site):
    site.save("a.npy")
    site.rounds()
    site.all_stand("done")
    dispatch = site.watcher.dispatch
    dispatch.context = dataclasses.replace(dispatch.context, concludes=checked_outcome)
    site.rounds(1)
    (entry,) = site.journal.entries()
    assert entry.state == "failed"
    assert "holds no outcome of it" in entry.reason


def test_a_file_that_goes_away_before_its_turn_waits_for_it_to_come_back(site):
    path = site.save("a.npy")
    site.places = 0
    site.rounds(3)
    path.rename(site.folder / "a.part")
    site.places = 9
    site.rounds(2)
    assert (site.taken, site.states()) == ([], {"a.npy": "settled"})
    (site.folder / "a.part").rename(path)
    site.rounds(2)
    assert len(site.taken) == 1


NOT_LOADED = """
import sys
from pathlib import Path
from orimap.flows.jobs.job import Job
from orimap.flows.request.request import Request
from orimap.flows.watch import dispatch

job = Job(acquisition="a" * 16, request=Request.read(file=Path("a.blo"), output=Path("out")))
assert job.key.startswith("orimap-" + "a" * 16 + "-")
assert not {"zarr", "xarray", "distributed"} & set(sys.modules)
"""


def test_handing_a_job_over_loads_nothing_that_takes_seconds():
    subprocess.run([sys.executable, "-c", NOT_LOADED], check=True)


def test_a_new_dispatch_asks_for_all_that_settled_before_it_hands_anything_over(site):
    site.places = 0
    for seed, name in enumerate(("a.npy", "b.npy")):
        site.save(name, seed)
    site.rounds(3)
    assert site.states() == {"a.npy": "settled", "b.npy": "settled"}
    first = site.journal.find("a.npy").job
    site.taken.append(first)  # by an earlier watcher, which died before it wrote that down
    Dispatch(site.watcher.context).go({})
    assert site.states() == {"a.npy": "submitted", "b.npy": "settled"}
    assert site.taken == [first]


def test_a_job_that_nobody_can_read_any_more_fails_alone(site):
    for name in ("a.npy", "b.npy", "c.npy"):
        site.save(name)
    site.places = 0
    site.rounds()
    for entry in site.journal.entries("settled"):
        if entry.name == "b.npy":
            site.journal.note(entry, job_text='{"of": "another version"}')
    site.places = 99
    site.start()
    site.rounds(2)
    assert site.states() == {"a.npy": "submitted", "b.npy": "failed", "c.npy": "submitted"}


def test_an_outcome_that_cannot_be_read_fails_its_own_job(site):
    for name in ("a.npy", "b.npy"):
        site.save(name)
    site.rounds()
    plain = site.watcher.context.concludes

    def concludes(job):
        if job.request.file.name == "a.npy":
            job.output.mkdir(parents=True)
            (job.output / "outcome.json").write_text("{cut sho")
            return checked_outcome(job)
        return plain(job)

    object.__setattr__(site.watcher.context, "concludes", concludes)
    site.all_stand("done")
    site.rounds()
    assert site.states() == {"a.npy": "failed", "b.npy": "done"}
    (entry,) = site.journal.entries("failed")
    assert entry.reason.startswith("JSONDecodeError")


def ended_as_changed(job):
    """Keep that the files of a job have changed while they were read."""
    job.output.mkdir(parents=True, exist_ok=True)
    facts = {"kind": "changed", "reason": "a.npy was written to", "remedy": "run it again"}
    write_outcome(
        job.output, Outcome(key=job.key, acquisition=job.acquisition, state="failed", **facts)
    )


def test_what_changed_while_it_was_read_and_holds_the_same_again_is_analysed_again(site):
    path = site.save("a.npy")
    site.rounds(4)
    (first,) = site.taken
    os.utime(path, (2e9, 2e9))
    ended_as_changed(first)
    site.all_stand("failed", "a.npy was written to")
    site.rounds(4)
    first_again, second = site.taken
    assert first_again == first
    assert second.key != first.key
    assert second.request == first.request
    assert site.states() == {"a.npy": "submitted"}


def test_what_changed_while_it_was_read_is_the_next_revision_if_it_holds_something_else(site):
    site.save("a.npy")
    site.rounds(4)
    (first,) = site.taken
    ended_as_changed(first)
    site.all_stand("failed", "a.npy was written to")
    site.save("a.npy", seed=2, shape=(4, 6, 6, 7))
    site.rounds(5)
    assert site.states() == {"a.npy": "failed", "a.npy (revision 2)": "submitted"}
    assert site.taken[-1].acquisition != first.acquisition
