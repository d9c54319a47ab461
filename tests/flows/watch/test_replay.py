import pytest

from orimap.flows.watch.replay import replay_entry
from orimap.tasks.errors import InputError


@pytest.fixture
def done(site):
    """A site whose one acquisition is done."""
    site.save("day 1/a.npy")
    site.rounds()
    site.all_stand("done")
    site.rounds(1)
    return site


def _replay(site, changes=(), *, dry_run=False):
    (entry,) = site.journal.entries()
    return replay_entry(site.journal, entry, dict(changes), dry_run=dry_run)


def test_what_is_done_is_analysed_again_as_a_job_that_nobody_has_taken(done):
    (first,) = done.taken
    said = _replay(done, {"components": 3})
    assert said == (f"day 1/a.npy: analysed again with k [1, 4], components 3, into {first.output}")
    (entry,) = done.journal.entries()
    assert (entry.state, entry.analyses, entry.handed_over) == ("settled", 2, 0)
    assert entry.job.acquisition == f"{entry.id}-2"
    assert entry.job.request == first.request.model_copy(update={"components": 3})
    done.rounds(1)
    assert [job.key for job in done.taken] == [first.key, entry.job.key]


def test_the_sidecar_of_now_comes_between_the_last_analysis_and_the_changes(done):
    (done.folder / "day 1/a.orimap.yaml").write_text("k: 2:3\nseed: 7\n")
    _replay(done, {"seed": 8})
    request = done.journal.entries()[0].job.request
    assert (request.k, request.seed) == ((2, 3), 8)


def test_a_crystal_at_fault_is_told_at_once(done):
    (done.folder / "day 1/a.orimap.yaml").write_text("crystal: a.cif\n")
    (done.folder / "day 1/a.cif").write_text("words\n")
    with pytest.raises(InputError, match="no CIF"):
        _replay(done)
    assert done.journal.entries()[0].state == "done"


def test_a_dry_run_changes_nothing(done):
    before = done.journal.entries()
    assert "analysed again with k [1, 4]," in _replay(done, dry_run=True)
    assert done.journal.entries() == before


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_was_put_aside_is_looked_at_again(site, dry_run):
    (site.folder / "a.blo").write_text("only words, many of them, more than a header takes")
    site.rounds(3)
    assert site.states() == {"a.blo": "quarantined"}
    assert _replay(site, dry_run=dry_run) == "a.blo: checked again"
    assert site.states() == {"a.blo": "quarantined" if dry_run else "seen"}
    if dry_run:
        with pytest.raises(InputError, match=r"write them into a.blo.orimap.yaml beside it"):
            _replay(site, {"seed": 1})


def test_what_is_under_way_replaced_or_gone_is_refused(done):
    (entry,) = done.journal.entries()
    (done.folder / entry.name).rename(done.folder / "a.part")
    with pytest.raises(InputError, match="check that its disk is mounted"):
        _replay(done)
    (done.folder / "a.part").rename(done.folder / entry.name)
    done.save(entry.name, seed=2)
    done.rounds()
    first, second = done.journal.entries()
    with pytest.raises(InputError, match="was replaced by revision 2"):
        replay_entry(done.journal, first, {}, dry_run=True)
    with pytest.raises(InputError, match="is submitted"):
        replay_entry(done.journal, second, {}, dry_run=True)
