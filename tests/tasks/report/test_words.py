import pytest

from orimap.tasks.report import words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.42, "0.42 s"), (8.31, "8.3 s"), (42, "42 s"), (74.2, "1 min 14 s"), (7500, "2 h 5 min")],
)
def test_times_read_naturally(seconds, said):
    assert words.seconds_text(seconds) == said


@pytest.mark.parametrize(
    ("size", "said"), [(512, "512 B"), (740e3, "740 kB"), (1.24e9, "1.2 GB"), (None, "–")]
)
def test_memory_reads_naturally(size, said):
    assert words.bytes_text(size) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.5, "0.5"), (-2.25e-5, "−2.25 × 10⁻⁵"), (float("nan"), "–"), (12345.6, "12346"), (0, "0")],
)
def test_numbers_read_naturally(value, said):
    assert words.figure_text(value) == said


@pytest.mark.parametrize(
    ("share", "said"), [(0, "0 %"), (0.0004, "< 0.1 %"), (0.032, "3.2 %"), (0.41, "41 %")]
)
def test_shares_read_naturally(share, said):
    assert words.percent_text(share) == said


def test_split_clusters_are_named_beside_the_distinct_patterns():
    assert words.headline(6, "high", 6) == "6 distinct patterns, high confidence"
    assert words.headline(6, None, 8) == "6 distinct patterns in 8 connected clusters"


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 grains"), (1, "1 grain"), (12345, "12\u202f345 grains")]
)
def test_counts_read_naturally(count, said):
    assert words.count_text(count, "grain") == said


def test_words_agree_with_their_number():
    assert words.plural(1, "is", "are") == "is"
    assert [words.plural(n, "is", "are") for n in (0, 2)] == ["are", "are"]
    assert words.plural(1.0, "position") == "position"
    assert words.plural(0.5, "position") == "positions"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("SSIM", 0.98712, "0.987"), ("PSNR", 42.34, "42.3 dB"), ("GMSD", float("nan"), "–")],
)
def test_scores_are_printed_as_in_papers(name, value, said):
    assert words.score_text(name, value) == said


def test_attributes_stored_as_text_are_decoded():
    assert words.decoded('{"a": [1, 2]}') == {"a": [1, 2]}
    assert words.decoded("[not JSON") == "[not JSON"
    assert words.decoded("raw") == "raw"
    assert words.decoded(3) == 3


@pytest.mark.parametrize(("value", "known"), [("4.6", 4.6), ("x", None), (float("inf"), None)])
def test_only_finite_numbers_are_numbers(value, known):
    assert words.number(value) == known
    assert words.whole(value) == (None if known is None else 5)


def test_notes_have_a_capital_and_a_full_stop():
    assert words.sentence("two pixels masked") == "Two pixels masked."
    assert words.sentence("ePattern took its time!") == "ePattern took its time!"


def test_ratios_and_regions_are_written_as_on_the_command_line():
    assert [words.times_text(ratio) for ratio in (2.44, 17.6)] == ["2.4 times", "18 times"]
    assert words.region_text([10, 20, 30, 40]) == "10:20,30:40"
    assert words.region_text(None) == "a region"


def test_an_undecided_run_says_so():
    assert words.headline(None, "low") == "The number of distinct patterns is not decided"
    assert words.headline(1, "low", 1) == "1 distinct pattern, low confidence"
    assert words.headline(1, "high", 1, crystal=False) == "no crystal found, high confidence"


def test_a_handful_of_positions_is_not_counted():
    few = words.headline(3, "low", 4, countable=False)
    assert few == "too few positions to count, low confidence"
    none = words.headline(3, "low", crystal=False, countable=False)
    assert none == "too few positions to count, no crystal found, low confidence"


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (4.04, 0.1, "4.04 ± 0.10"),
        (399.76, 0.18, "399.76 ± 0.18"),
        (5.9, 0.07, "5.900 ± 0.070"),
        (-0.205, 53.76, "0 ± 54"),
        (-1.145, 0.31, "−1.15 ± 0.31"),
        (12345.6, 164.2, "12346 ± 164"),
        (-0.00087, 0.00099, "−0.00087 ± 0.00099"),
        (3.2e-7, 1.1e-8, "(3.20 ± 0.11) × 10⁻⁷"),
        (-2.5e6, 3e5, "(−2.50 ± 0.30) × 10⁶"),
        (1.25, None, "1.25"),
        (1.25, float("inf"), "1.25"),
        (1.25, 0.0, "1.25"),
        (None, 0.1, "–"),
    ],
)
def test_an_error_decides_how_many_digits_are_told(value, error, said):
    assert words.measured_text(value, error) == said


def test_clusters_count_from_1_where_people_read():
    assert [words.cluster_text(cluster, ["", "matrix"]) for cluster in range(3)] == [
        "1",
        "2 matrix",
        "3",
    ]


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(240, 2, "240"), (999.6, 2, "1000"), (96, 1, "96"), (-240, 2, "−240"), (24, 2, "24")],
)
def test_numbers_beyond_their_digits_are_written_out(value, digits, text):
    assert words.figure_text(value, digits) == text


def test_units_are_written_as_beside_numbers():
    assert words.units_text("electron") == "electrons"
    assert words.units_text("grey level") == "grey levels"
    assert words.units_text("a.u.") == "a.u."
