import threading
import time

import numpy as np
import pytest

from orimap.tasks.view.kept import Kept, Share, bytes_of


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


def test_what_several_owners_keep_has_one_limit_and_goes_with_its_owner():
    kept = Kept(100)
    one, other = Share(kept), Share(kept)
    assert one.get("a", lambda: "of one", lambda _: 60) == "of one"
    assert other.get("a", lambda: "of the other", lambda _: 40) == "of the other"
    assert (kept.bytes, "a" in one, "a" in other) == (100, True, True)
    other.get("b", lambda: "more", lambda _: 30)
    assert (kept.bytes, "a" in one, "a" in other) == (70, False, True)
    one.get("c", lambda: "again", lambda _: 10)
    other.close()
    assert (kept.bytes, "c" in one, "a" in other) == (10, True, False)
    # Whoever still works with it gets what he asks for, and nothing stays.
    assert other.get("a", lambda: "late", lambda _: 40) == "late"
    assert (kept.bytes, "a" in other) == (10, False)


def test_bytes_are_those_of_the_arrays_each_counted_once():
    whole = np.zeros(1000, np.uint8)
    kept = Kept(10)
    kept.get("a", lambda: [whole, whole[:10]], lambda _: 1)
    kept.get("b", lambda: {"x": np.zeros(3)}, lambda _: 1)
    assert bytes_of([kept, whole.reshape(10, 100), "text", None]) == 1000 + 24
