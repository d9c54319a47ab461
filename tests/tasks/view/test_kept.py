import threading
import time

import pytest

from orimap.tasks.view.kept import Kept


def test_what_was_not_used_for_longest_goes_first():
    kept, made = Kept(10), []

    def ask(key, size=4):
        return kept.get(key, lambda: made.append(key) or key, lambda _: size)

    ask("a"), ask("b"), ask("a")
    ask("c")  # no room for three: b was not used for longest
    assert made == ["a", "b", "c"]
    assert ("a" in kept, "b" in kept, "c" in kept) == (True, False, True)
    ask("a"), ask("b")
    assert made == ["a", "b", "c", "b"]
    assert kept.bytes == 8


def test_a_value_larger_than_all_room_is_given_and_not_kept():
    kept = Kept(10)
    assert kept.get("a", lambda: "large", lambda _: 11) == "large"
    assert "a" not in kept
    assert kept.bytes == 0


def test_threads_that_ask_at_once_have_it_made_once():
    kept, made = Kept(10), []

    def make():
        time.sleep(0.05)
        made.append(1)
        return object()

    found = []
    threads = [
        threading.Thread(target=lambda: found.append(kept.get("a", make, lambda _: 1)))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(found) == 5
    assert len(set(map(id, found))) == 1


def test_what_failed_is_not_kept_and_is_made_again():
    kept = Kept(10)

    def fail():
        raise KeyError("no")

    with pytest.raises(KeyError):
        kept.get("a", fail, lambda _: 1)
    assert kept.get("a", lambda: 3, lambda _: 1) == 3
