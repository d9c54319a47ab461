import os

import numpy as np
import pytest

from orimap.tasks.acquire.arrivals.find_arrivals import find_arrivals
from orimap.tasks.acquire.arrivals.finished import Finishing, Opened


@pytest.fixture
def watch(tmp_path):
    """Judge the one acquisition of a folder at given seconds, with the opening test's answer."""

    def judge(now):
        (arrival,) = find_arrivals(tmp_path, complain=print)
        return judge.finishing.judge(arrival, now)

    def opens(arrival):
        judge.opened.append(arrival.main.name)
        return judge.answer

    judge.folder, judge.opened, judge.answer = tmp_path, [], Opened("scan")
    judge.finishing = Finishing(tmp_path, opens, settle_seconds=3, patience_seconds=3600)
    return judge


def save(path, shape=(4, 5, 6, 7)):
    np.save(path, np.ones(shape, np.uint16))


def test_a_whole_file_settles_when_nothing_changes_for_the_settling_time(watch):
    save(watch.folder / "a.npy")
    assert watch(0).state == "growing"
    assert watch(2).state == "growing"
    assert watch.opened == []
    settled = watch(3)
    assert (settled.state, watch.opened) == ("settled", ["a.npy"])
    (arrival,) = find_arrivals(watch.folder, complain=print)
    assert settled.digest == arrival.identity(watch.folder)


def test_any_change_starts_the_settling_time_anew(watch):
    save(watch.folder / "a.npy")
    watch(0)
    save(watch.folder / "a.npy", (5, 5, 6, 7))
    assert watch(3).state == "growing"
    assert watch(5).state == "growing"
    assert watch(6).state == "settled"


def test_a_file_that_is_short_by_its_header_never_settles_however_long_it_rests(watch):
    save(watch.folder / "a.npy")
    with (watch.folder / "a.npy").open("r+b") as file:
        file.truncate(1000)
    watch(0)
    judged = watch(3)
    assert (judged.state, judged.words) == (
        "growing",
        "the file is incomplete: 1,000 of the 1,808 bytes that its header announces (4×5×6×7); "
        "it is given up when nothing has changed for 60 min",
    )
    assert not judged.stalled
    assert watch(60).stalled
    assert watch(3599).state == "growing"
    judged = watch(3601)
    assert judged.state == "quarantined"
    assert judged.words.endswith(
        "nothing has changed for 60 min; copy it again, and it is analysed by itself"
    )
    assert watch.opened == ["a.npy"]  # a scan that was stopped could be read
    save(watch.folder / "a.npy")
    assert watch(3700).state == "growing"
    assert watch(3703).state == "settled"


def test_a_scan_that_was_stopped_keeps_its_whole_rows_once_patience_is_over(watch):
    watch.answer = Opened("refused", "3 whole rows and 2 more", "copy it again", rows=3)
    save(watch.folder / "a.npy")
    with (watch.folder / "a.npy").open("r+b") as file:
        file.truncate(1000)
    watch(0)
    assert watch(3599).state == "growing"
    judged = watch(3601)
    assert (judged.state, judged.keep_rows) == ("settled", 3)
    assert judged.words.startswith("the scan was stopped early, 3 whole rows are kept (the file")
    (arrival,) = find_arrivals(watch.folder, complain=print)
    assert judged.digest == arrival.identity(watch.folder)


def test_what_only_its_reader_knows_to_be_stopped_is_waited_for_too(watch):
    watch.answer = Opened("refused", "3 whole rows and 2 more", "copy it again", rows=3)
    save(watch.folder / "a.npy")
    watch(0)
    judged = watch(4)
    assert judged.state == "growing"
    assert judged.words.startswith("the file is incomplete: 3 whole rows and 2 more; it is given")
    judged = watch(3601)
    assert (judged.state, judged.keep_rows) == ("settled", 3)


def test_a_missing_companion_is_waited_for(watch):
    (watch.folder / "a.mib").write_bytes(b"MQ1,")
    watch(0)
    judged = watch(4)
    gives_up = "; it is given up when nothing has changed for 60 min"
    assert (judged.state, judged.words) == ("waiting", f"waiting for companion a.hdr{gives_up}")
    assert watch(3605).words.endswith(
        "nothing has changed for 60 min; copy that one again, and it is analysed by itself"
    )
    (watch.folder / "a.mib").unlink()
    (watch.folder / "b_1.ser").write_bytes(b"x")
    watch(4000)
    assert watch(4004).words == f"waiting for companion b.emi{gives_up}"


def test_a_file_of_which_nothing_tells_the_length_rests_longer(watch):
    (watch.folder / "a_000.tvips").write_bytes(b"1" * 9999)
    watch(0)
    assert watch(4).words == "its format does not say how long it is"
    assert watch(29).state == "growing"
    assert watch(30).state == "settled"


def test_a_file_that_ends_in_zeros_rests_longer_and_is_compared_with_itself(watch):
    np.save(watch.folder / "a.npy", np.zeros((4, 5, 60, 70), np.uint16))
    path = watch.folder / "a.npy"
    watch(0)
    assert "it ends in zeros" in watch(4).words
    before = path.stat()
    with path.open("r+b") as file:  # filled by a program that sets the time back
        file.seek(200)
        file.write(b"123")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert watch(30).state == "growing"
    assert watch(60).state == "settled"


def test_a_whole_file_that_does_not_open_is_put_aside_at_once_with_what_to_do(watch):
    save(watch.folder / "a.npy")
    watch.answer = Opened("refused", "a wrong thing", "do this")
    watch(0)
    judged = watch(3)
    assert (judged.state, judged.words) == ("quarantined", "a wrong thing; do this")
    watch(10), watch(20)
    assert watch.opened == ["a.npy"]
    watch.finishing.judge_anew(watch.folder / "a.npy")
    watch.answer = Opened("scan")
    assert watch(30).state == "settled"


def test_a_file_of_unknown_length_that_does_not_open_gets_a_second_chance(watch):
    (watch.folder / "a_000.tvips").write_bytes(b"1" * 9999)
    watch.answer = Opened("refused", "cut short")
    watch(0), watch(4)
    assert watch(30).words == "cannot be read yet: cut short"
    assert watch(60).state == "quarantined"


def test_a_file_without_patterns_is_no_scan(watch):
    save(watch.folder / "a.npy", (5, 6))
    watch.answer = Opened("no scan", "a.npy holds no scan of patterns")
    watch(0)
    assert watch(3).state == "not a scan"


def test_a_file_that_another_one_links_to_is_waited_for(watch):
    save(watch.folder / "a.npy")
    watch.answer = Opened("missing", "a_data_000002.h5")
    watch(0)
    assert watch(3).words.startswith("waiting for companion a_data_000002.h5; it is given up")
    watch.answer = Opened("scan")
    assert watch(8).state == "settled"


def test_an_empty_file_is_growing(watch):
    (watch.folder / "a.blo").touch()
    watch(0)
    assert watch(4).words == "0 bytes"
