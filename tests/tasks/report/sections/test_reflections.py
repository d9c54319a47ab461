from orimap.tasks.report.sections import reflections


def test_reflections_are_put_into_words():
    facts = {
        "patterns_without_direct_beam": 1,
        "list_bytes": 2e6,
        "patterns_bytes": 9e6,
        "list_disk_bytes": 1e6,
        "patterns_disk_bytes": 25e6,
    }
    assert reflections.reflection_sentences(facts) == [
        "1 pattern has no direct beam that was recognised; the bright field is 0 there.",
        "The list of reflections takes 2.0 MB, 4.5 times less than the patterns it comes from "
        "(compressed, on disk: 25 times).",
    ]
    assert reflections.reflection_sentences({}) == []
