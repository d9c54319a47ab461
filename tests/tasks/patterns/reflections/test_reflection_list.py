import numpy as np

from orimap.tasks.patterns.reflections.reflection_list import Reflections


def registered(counts, direct):
    """Lists with made-up entries that tell where they come from."""
    total = sum(counts)
    entries = np.arange(total, dtype=np.float32)
    n = len(counts)
    return Reflections(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        entries,
        entries + 100,
        entries + 200,
        entries + 300,
        np.array(direct, np.int32),
        np.arange(n, dtype=np.float32),
        np.arange(n, dtype=np.float32) + 10,
    )


def test_every_entry_knows_its_pattern():
    found = registered([2, 0, 3], [0, -1, 2])
    assert len(found) == 3
    np.testing.assert_array_equal(found.pattern_numbers, [0, 0, 2, 2, 2])
    np.testing.assert_array_equal(found.direct_entries, [0, -1, 4])
    np.testing.assert_array_equal(found.is_direct, [True, False, False, False, True])


def test_taking_patterns_keeps_their_entries_in_the_order_asked_for():
    taken = registered([2, 0, 3], [0, -1, 2]).take(np.array([2, 1, 0]))
    np.testing.assert_array_equal(taken.counts, [3, 0, 2])
    np.testing.assert_array_equal(taken.y, [2, 3, 4, 0, 1])
    np.testing.assert_array_equal(taken.direct, [2, -1, 0])
    np.testing.assert_array_equal(taken.noise, [2, 1, 0])


def test_joining_what_was_taken_apart_gives_the_whole():
    whole = registered([2, 0, 3, 1], [0, -1, 2, 0])
    joined = Reflections.join([whole.take(np.array([0, 1])), whole.take(np.array([2, 3]))])
    for name in vars(whole):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
