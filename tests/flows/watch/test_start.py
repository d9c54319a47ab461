import os
import signal
import subprocess
import sys
import threading

import pytest

from orimap.flows.jobs.job import Standing
from orimap.flows.watch.start import stopped_by_signals, watch_folder, what_would_be_done
from orimap.tasks.errors import InputError, UnavailableError


def _watch(site, lines, submitter=None):
    return watch_folder(
        site.watching, lambda: submitter or site, lines.append, where="a test", once=True
    )


def test_a_folder_is_watched_to_its_end_and_a_failure_is_told(site):
    lines = []
    assert _watch(site, lines) is False
    assert lines[0] == f"watching {site.folder}; results in {site.results}; analysed by: a test"
    site.save("a.npy")
    site.standing = lambda reference: Standing("failed", "too dark")
    assert _watch(site, lines) is True
    assert site.states() == {"a.npy": "failed"}
    assert lines[-1] == "a.npy: failed: too dark"
    assert _watch(site, lines) is False  # nothing new has failed


def test_the_journal_of_another_folder_is_refused(site):
    site.journal.set_meta("folder", "/elsewhere")
    with pytest.raises(InputError, match="is that of /elsewhere") as refused:
        _watch(site, [])
    assert refused.value.remedy == "give each watched folder its own --results"


def test_folders_are_made_before_a_submitter_is_chosen(site):
    site.results.joinpath(".orimap").rename(site.results.with_name("aside"))

    def choose():
        assert site.watching.state.is_dir()
        raise UnavailableError("a server", "none", "start it")

    with pytest.raises(UnavailableError):
        watch_folder(site.watching, choose, print, where="a test", once=True)
    assert os.listdir(site.watching.state) == []


def test_nothing_is_written_to_say_what_would_be_done(make_site):
    site = make_site(settle_seconds=0.1)
    site.save("day 1/a.npy")
    (site.folder / "a.mib").write_bytes(b"MQ1,")
    entry = site.journal.see("b.npy", "being written", size=1, written=0.0)
    site.journal.move(entry, "quarantined", "cut short", signature="of another content")
    site.save("b.npy")
    lines = []
    assert what_would_be_done(site.watching, lines.append) == [
        (
            "a.mib",
            "waiting",
            "waiting for companion a.hdr; it is given up when nothing has changed for 60 min",
        ),
        ("b.npy", "settled", f"would be analysed into {site.results / 'b.npy.r2'}"),
        ("day 1/a.npy", "settled", f"would be analysed into {site.results / 'day 1/a.npy'}"),
    ]
    assert (lines, site.states()) == ([], {"b.npy": "quarantined"})


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_and_wakes_and_handlers_are_put_back(sent):
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wake = threading.Event()
    try:
        with stopped_by_signals(wake) as stop:
            os.kill(os.getpid(), sent)
            assert (stop.wait(5), wake.is_set()) == (True, True)
            if sent == signal.SIGINT:
                with pytest.raises(KeyboardInterrupt):  # the second one does not wait
                    signal.raise_signal(sent)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is before[signal.SIGTERM]
    finally:
        signal.signal(signal.SIGINT, before[signal.SIGINT])


IGNORED = """
import os, signal, threading
from orimap.flows.watch.start import stopped_by_signals

assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
with stopped_by_signals(threading.Event()) as stop:
    os.kill(os.getpid(), signal.SIGINT)
    assert not stop.wait(0.2)
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.wait(5)
"""


def test_ctrl_c_stays_ignored_in_the_background_of_a_shell_script():
    script = f"{sys.executable} -c '{IGNORED}' & wait $!"
    subprocess.run(["sh", "-c", script], check=True)
