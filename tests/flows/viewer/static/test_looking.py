"""What a person who opens the page sees, and finds by pointer and keys."""

import re
import shutil

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

MAP, PATTERN = ("#map", (12, 14)), ("#pattern", (48, 46))


def test_the_page_opens_with_the_answer_its_reasons_and_the_map(page, three_grains):
    assert page.text("#headline") == three_grains.headline
    assert page.driver.title == "results · orimap"
    places = [page.find(name).rect for name in ("#map", "#pattern")]
    page.click("#why-button")
    assert page.texts("#reasons li") == three_grains.reasons
    assert [page.find(name).rect for name in ("#map", "#pattern")] == places
    page.keys(Keys.ESCAPE)
    assert not page.find("#why").is_displayed()
    colours = [item.get_attribute("value") for item in page.all("#clusters .colour")]
    labels = three_grains.labels.values
    # Away from what stands on the map: scale bar, buttons, frame of the position, numbers.
    for y, x in ((0, 0), (0, 8), (5, 0), (6, 0), (11, 13), (7, 13)):
        assert page.colour(*MAP, y, x) == colours[labels[y, x] - 1]


def test_the_pattern_follows_the_pointer_until_a_click_holds_it(page):
    page.point(*MAP, 3, 4).perform()
    page.until_shown(path="./api/pattern/raw", y=3, x=4)
    assert page.text("#map-readout").startswith("Row 3, column 4 · ")
    page.point(*MAP, 8, 10).click().perform()
    page.until_shown(y=8, x=10)
    page.point(*MAP, 1, 1).perform()
    assert page.text("#map-readout").startswith("Row 8, column 10 · ")
    page.point(*MAP, 2, 2).double_click().perform()
    page.point(*MAP, 6, 7).perform()
    page.until_shown(y=6, x=7)


def test_the_pattern_that_is_drawn_is_the_one_of_the_position(page, counts):
    page.point(*MAP, 3, 4).click().perform()
    page.until_shown(y=3, x=4)
    pattern = counts[3, 4]
    brightest = np.unravel_index(pattern.argmax(), pattern.shape)
    # The scale bar is at the lower left.
    dark = next((y, x) for y, x in np.argwhere(pattern == 0).tolist() if y < 30)
    assert page.colour(*PATTERN, *brightest) == "#fcffa4"
    assert page.colour(*PATTERN, *dark) == "#000004"
    page.point(*PATTERN, *brightest).perform()
    read = f"{brightest[0]}, {brightest[1]}: {pattern.max():.0f} electrons"
    assert page.text("#pixel-readout").replace("\u202f", "").startswith(read)


def test_the_kinds_and_scales_of_a_pattern_can_be_chosen(page):
    page.point(*MAP, 3, 4).click().perform()
    page.choose("#kinds", "Fit")
    page.until_shown(path="./api/pattern/reconstructed", y=3, x=4)
    page.choose("#kinds", "Residual")
    page.until_shown(path="./api/pattern/residual")
    ticks = page.texts("#current .ticks span")
    assert ticks[1] == "0"
    assert ticks[0] == f"−{ticks[2]}"
    page.choose("#kinds", "Acquired")
    page.until_shown(path="./api/pattern/raw")
    page.choose("#scales", "Linear")
    linear = page.texts("#current .ticks span")
    page.choose("#scales", "Log")
    assert page.texts("#current .ticks span") != linear


def test_shares_of_a_position_stand_below_its_pattern(page, three_grains):
    ratio = three_grains.overlap["overlap_ratio"].values
    y, x = map(int, np.unravel_index(ratio.argmax(), ratio.shape))
    page.point(*MAP, y, x).click().perform()
    expected = three_grains.shares.values[y, x]
    order = np.argsort(-expected)[:2]
    page.until(lambda: len(page.all("#shares li")) >= 2 and f"Row {y}, column {x}" in
               page.text("#map-readout"))  # fmt: skip
    page.until(lambda: page.all("#shares .who")[0].text == str(order[0] + 1))
    rows = [item.text.split("\n") for item in page.all("#shares li")[:2]]
    assert [int(row[0]) for row in rows] == (order + 1).tolist()
    assert [float(row[-1].split(" ± ")[0]) for row in rows] == pytest.approx(
        expected[order], abs=0.0051
    )


def test_another_map_shows_its_values_with_a_bar_and_at_the_position(page, counts):
    page.point(*MAP, 3, 4).click().perform()
    page.layer("navigation")
    total = counts.sum((2, 3))
    read = re.search(r"Navigation image ([\d\u202f.]+) electrons", page.text("#map-readout"))
    assert float(read[1].replace("\u202f", "")) == pytest.approx(total[3, 4], rel=0.005)
    ticks = [tick.text.replace("\u202f", "") for tick in page.all("#map-bar .ticks span")]
    assert float(ticks[0]) == pytest.approx(total.min(), rel=0.005)
    assert float(ticks[-1]) == pytest.approx(total.max(), rel=0.005)
    brightest = np.unravel_index(total.argmax(), total.shape)
    if tuple(brightest) != (3, 4):
        assert page.colour(*MAP, *brightest) == "#fde725"


def test_arrows_move_and_digits_light_up_clusters(page, three_grains):
    page.point(*MAP, 3, 4).click().perform()
    page.keys(Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    page.until_shown(y=4, x=5)
    page.keys(Keys.SHIFT + Keys.ARROW_RIGHT + Keys.NULL)
    page.until_shown(y=4, x=13)
    page.keys("2")
    page.until_shown(path="./api/cluster/2/mean")
    size = int((three_grains.labels.values == 2).sum())
    assert page.text("#current .title") == f"Cluster 2 · {size} positions"
    assert page.find("#map-legend .chip:nth-child(2)").get_attribute("aria-pressed") == "true"
    page.keys("0")
    page.until_shown(path="./api/pattern/raw", y=4, x=13)
    page.keys(Keys.ESCAPE)
    page.point(*MAP, 9, 9).perform()
    page.until_shown(y=9, x=9)


def test_the_most_doubtful_boundary_is_one_click_away(page, three_grains):
    page.click("#doubtful")
    place = page.find("#map").rect
    said = page.until(lambda: page.text("#notice-doubt p"))
    assert page.find("#map").rect == place
    one, other = map(int, re.search(r"between clusters (\d) and (\d),", said).groups())
    y, x = map(int, re.search(r"Row (\d+), column (\d+)", page.text("#map-readout")).groups())
    labels = three_grains.labels.values
    assert labels[y, x] in (one, other)
    around = labels[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
    assert {one, other} <= set(around.ravel().tolist())
    assert page.find("#layer").get_attribute("value") == "doubt"
    page.click("#doubtful")
    page.until(lambda: page.text("#notice-doubt p").startswith("Second most doubtful of"))
    page.click("#notice-doubt button")
    assert not page.all("#notice-doubt")


def test_two_patterns_stand_side_by_side_on_one_scale_with_their_shares(page, three_grains):
    page.point(*MAP, 3, 4).click().perform()
    page.until_shown(y=3, x=4)
    page.click("#pin")
    page.point(*MAP, 9, 10).click().perform()
    page.until_shown(y=9, x=10)
    titles = [page.text(f"#{name} .title").split(" · ")[0] for name in ("pinned", "current")]
    assert titles == ["Pinned: row 3, column 4", "Row 9, column 10"]
    ends = [f"#{name} .ticks span:last-child" for name in ("pinned", "current")]
    assert page.text(ends[0]) == page.text(ends[1])
    page.click("#common")
    assert page.text(ends[0]) != page.text(ends[1])
    for name, (y, x) in {"pinned-shares": (3, 4), "shares": (9, 10)}.items():
        page.until(lambda n=name, y=y, x=x: f"row {y}, column {x}" in page.text(f"#{n} h3"))
        first = int(three_grains.labels.values[y, x])
        assert page.text(f"#{name} .who") == str(first)
        share = three_grains.shares.values[y, x, first - 1]
        assert page.text(f"#{name} .number").startswith(f"{share:.2f}")
    page.click("#unpin")
    assert not page.find("#pinned").is_displayed()


def test_the_map_with_another_number_of_patterns_is_a_preview(page, three_grains):
    page.click("#tab-numbers")
    decided = page.find("#numbers input:checked").get_attribute("value")
    assert int(decided) == three_grains.number
    page.click("#numbers input[value='2']")
    page.until(lambda: len(page.all("#map-legend .chip")) == 2)
    assert page.text("#map-badge") == "2 patterns: a preview"
    assert page.text("#headline") == "2 patterns: a preview"
    assert page.text("#automatic") == f"(automatic: {three_grains.headline})"
    assert page.text("#numbers-command") == "orimap decide results --distinct 2"
    page.click(f"#numbers input[value='{decided}']")
    page.until(lambda: len(page.all("#map-legend .chip")) == three_grains.number)
    assert page.text("#map-badge") == ""
    assert page.text("#headline") == three_grains.headline
    assert not page.find("#numbers-adopt").is_displayed()


def test_what_is_looked_at_stands_in_the_address(page, served):
    page.layer("overlap")
    page.click("#tab-line")
    page.point(*MAP, 3, 4).click().perform()
    page.until(lambda: page.driver.current_url.endswith("?map=overlap&tab=line&row=3&column=4"))
    page.driver.refresh()
    page.until(lambda: page.find("#map").get_attribute("data-shown") == "overlap")
    page.until_shown(y=3, x=4)
    assert page.find("#panel-line").is_displayed()
    page.driver.get(f"{served}?revision=<i>gone</i>&map=none&row=99&column=0")
    page.until(lambda: "no revision “<i>gone</i>”" in page.text("#notice-place p"))
    assert page.find("#map").get_attribute("data-shown") == "clusters"


def test_the_report_and_the_help_are_at_hand(page):
    page.keys("?")
    assert "releases it" in page.text("#help")
    assert page.find("#help").is_displayed()
    page.find("#help button").click()
    page.click("#report")
    viewer, report = page.until(lambda: len(both := page.driver.window_handles) == 2 and both)
    page.driver.switch_to.window(report)
    page.until(lambda: page.driver.current_url.endswith("/report.html"))
    assert '"file"' in page.text("body")  # what stands for the report here, without an icon
    assert all("favicon.ico" in line for line in page.driver.complaints())
    page.driver.close()
    page.driver.switch_to.window(viewer)


def test_maps_and_patterns_are_saved_as_pictures(page, tmp_path):
    page.click("#map-png")
    page.click("#pattern-png")
    for name in ("results-clusters.png", "results-pattern.png"):
        page.until((tmp_path / name).is_file)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_a_run_that_has_no_clusters_yet_shows_what_there_is(
    browser, serve, three_grains, make_page, tmp_path
):
    unfinished = tmp_path / "results" / ".unfinished"
    shutil.copytree(three_grains.folder, unfinished)
    for group in ("clusters", "overlap", "decision", "decomposition", "line", "baseline", "grains"):
        shutil.rmtree(unfinished / "analysis.zarr" / group)
    with serve(unfinished.parent) as server:
        page = make_page(f"http://127.0.0.1:{server.port}/")
        assert page.text("#notice-state p").startswith("A run was stopped (")
        assert page.find("#map").get_attribute("data-shown") == "navigation"
        page.point(*MAP, 3, 4).click().perform()
        page.until_shown(path="./api/pattern/raw", y=3, x=4)
        assert page.text("#edit-hint") == "There are no clusters yet."
        browser.get("about:blank")
