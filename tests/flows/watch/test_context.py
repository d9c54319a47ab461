from orimap.flows.jobs.outcome import checked_outcome
from orimap.flows.watch.context import QuietLog, WatcherContext, without_numbers


def test_a_line_is_logged_once_until_more_than_its_numbers_changes():
    lines = []
    log = QuietLog(lines.append)
    for words in ("10 of 90 bytes", "20 of 90 bytes", "90 of 90 bytes, unreadable"):
        log.say("a.blo", words)
        log.say("a.blo", words)
    log.say("b.blo", "10 of 90 bytes")
    assert lines == ["10 of 90 bytes", "90 of 90 bytes, unreadable", "10 of 90 bytes"]


def test_that_all_is_well_again_is_logged_once_and_only_after_something_was_wrong():
    lines = []
    log = QuietLog(lines.append)
    log.say("folder", "", after="it is available again")
    log.say("folder", "it is gone")
    log.say("folder", "", after="it is available again")
    log.say("folder", "", after="it is available again")
    log.say("folder", "it is gone")
    assert lines == ["it is gone", "it is available again", "it is gone"]


def test_numbers_are_left_out_wherever_they_stand():
    assert without_numbers("1,000 of 20 bytes (3 s)") == ", of  bytes ( s)"


def test_results_are_looked_at_and_nobody_is_told_unless_someone_says_otherwise(site):
    given = site.watcher.context
    names = ("watching", "journal", "submitter", "opens", "log")
    context = WatcherContext(**{name: getattr(given, name) for name in names})
    assert context.concludes is checked_outcome
    assert context.announce(None) is None
