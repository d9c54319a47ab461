"""What is drawn on pattern and map: a detector, a line, a rectangle."""

import re

import numpy as np
import pytest

MAP, PATTERN = ("#map", (12, 14)), ("#pattern", (48, 46))


def value_read(page):
    """Return what the readout says of the detector, electrons."""
    read = re.search(r"Detector ([\d\u202f.]+) electron", page.text("#map-readout"))
    return float(read[1].replace("\u202f", "")) if read else None


def until_exact(page):
    page.until(
        lambda: page.text("#detector-said") == "The image is exact: all patterns were summed."
    )


def fields(page):
    form = "#detector-fields input"
    return {
        item.get_attribute("name"): float(item.get_attribute("value")) for item in page.all(form)
    }


def test_a_disc_drawn_on_the_pattern_gives_its_virtual_image(page, counts, disc, three_grains):
    page.point(*MAP, 3, 4).click().perform()
    page.click("#tab-detector")
    page.click("#disc")
    page.until(lambda: page.find("#map").get_attribute("data-shown") == "drawn-detector")
    until_exact(page)
    page.drag(*PATTERN, (12, 30), (12, 34))
    page.until(lambda: fields(page)["y"] == pytest.approx(12, abs=0.15))
    until_exact(page)
    now = fields(page)
    assert now["x"] == pytest.approx(30, abs=0.15)
    assert now["radius"] == pytest.approx(4, abs=0.15)
    # The page rounds what it shows: the pixels of a disc of that very size are in doubt by one.
    page.find("#detector-fields [name=radius]").clear()
    page.find("#detector-fields [name=radius]").send_keys("4.2\n")
    page.find("#detector-fields [name=y]").clear()
    page.find("#detector-fields [name=y]").send_keys("12\n")
    page.find("#detector-fields [name=x]").clear()
    page.find("#detector-fields [name=x]").send_keys("30\n")
    image = counts[..., disc(12, 30, 4.2)].sum(-1)
    page.until(lambda: value_read(page) == pytest.approx(image[3, 4], rel=0.005))
    until_exact(page)
    assert page.text("#map-badge") == "Exact"
    # The radius in the unit of the detector, in words that cannot be taken for the size of a pixel.
    step = three_grains["detector_x"].values[1] - three_grains["detector_x"].values[0]
    said = page.texts("#detector-fields small")[2]
    assert said.startswith("4.2 px = ")
    assert float(said.split()[3]) == pytest.approx(4.2 * step, rel=0.005)
    page.click("#detector-away")
    assert page.find("#map").get_attribute("data-shown") == "clusters"
    assert page.text("#detector-said") == ""


def test_dragging_draws_a_disc_before_one_is_chosen_and_other_tabs_are_without_it(page):
    page.point(*MAP, 3, 4).click().perform()
    page.until_shown(y=3, x=4)
    before = page.colour(*PATTERN, 12, 30)
    page.click("#tab-detector")
    page.drag(*PATTERN, (12, 30), (12, 34))
    page.until(lambda: fields(page)["radius"] == pytest.approx(4, abs=0.15))
    until_exact(page)
    assert page.colour(*PATTERN, 12, 30) != before
    page.click("#tab-clusters")
    page.until(lambda: page.colour(*PATTERN, 12, 30) == before)


def test_a_detector_is_moved_and_changed_by_its_handles(page):
    page.click("#tab-detector")
    page.click("#ring")
    until_exact(page)
    before = fields(page)
    y, x, radius, inner = (before[name] for name in ("y", "x", "radius", "inner"))
    assert 0 < inner < radius
    between = (radius + inner) / 2
    page.drag(*PATTERN, (y - between, x), (y - between + 3, x + 2))
    page.until(lambda: fields(page)["y"] != y)
    moved = fields(page)
    assert [moved[n] - before[n] for n in ("y", "x", "radius", "inner")] == pytest.approx(
        [3, 2, 0, 0], abs=0.25
    )
    page.drag(*PATTERN, (moved["y"], moved["x"] + inner), (moved["y"], moved["x"] + inner - 2))
    page.until(lambda: fields(page)["inner"] == pytest.approx(inner - 2, abs=0.25))
    assert fields(page)["radius"] == pytest.approx(radius, abs=0.15)
    until_exact(page)


def test_the_approximate_image_comes_first_and_is_marked(page):
    page.click("#tab-detector")
    page.click("#disc")
    until_exact(page)
    page.driver.execute_script(
        """window.said = [];
        new MutationObserver(() => said.push(document.getElementById("map-badge").textContent))
          .observe(document.getElementById("map-badge"), {childList: true, characterData: true});"""
    )
    page.find("#detector-fields [name=radius]").clear()
    page.find("#detector-fields [name=radius]").send_keys("7.3\n")
    page.until(lambda: fields(page)["radius"] == 7.3)
    until_exact(page)
    said = page.driver.execute_script("return said")
    assert said[0].startswith("Approximate")
    assert said[-1] == "Exact"


def test_a_line_on_the_map_has_shares_and_patterns_along_it(page, three_grains):
    page.choose("#map-tools", "Line")
    page.drag(*MAP, (1, 2), (10, 11))
    page.until(lambda: len(page.all("#line-result .thumbnail")) == 6)
    assert page.find("#tab-line").get_attribute("aria-selected") == "true"
    length = 9 * 2**0.5 * float(three_grains["scan_x"][1] - three_grains["scan_x"][0])
    assert f"{length:.1f}"[:4] in page.text("#line-result svg title")
    last = page.all("#line-result .thumbnail")[-1]
    assert last.text == "10, 11"
    last.click()
    page.until_shown(y=10, x=11)
    crossed = {int(three_grains.labels.values[n + 1, n + 2]) for n in range(10)}
    named = {int(text) for text in page.texts("#line-result .inline li")}
    assert crossed <= named


def test_a_rectangle_on_the_map_has_a_mean_pattern(page, counts):
    page.choose("#map-tools", "Rectangle")
    page.drag(*MAP, (2, 3), (4, 6))
    page.until_shown(path="./api/region", y0=2, x0=3, y1=4, x1=6)
    page.until(lambda: page.text("#current .title") == "Rows 2–4, columns 3–6 · mean of 12")
    mean = counts[2:5, 3:7].mean((0, 1))
    y, x = np.unravel_index(mean.argmax(), mean.shape)
    page.point(*PATTERN, y, x).perform()
    read = re.match(rf"{y}, {x}: ([\d.]+) electrons", page.text("#pixel-readout"))
    assert float(read[1]) == pytest.approx(mean[y, x], rel=0.005)
    # It stays while the pointer passes, and goes with its rectangle at a click.
    page.point(*MAP, 9, 9).perform()
    page.until_shown(path="./api/region")
    assert "mean pattern of 12 positions" in page.text("#line-result")
    inside = page.colour(*MAP, 2, 4)
    page.point(*MAP, 9, 9).click().perform()
    page.until_shown(path="./api/pattern/raw", y=9, x=9)
    assert page.text("#line-result") == ""
    assert page.colour(*MAP, 2, 4) == inside


def test_a_line_can_be_given_by_numbers_and_keys_alone(page):
    page.click("#tab-line")
    for name, value in (("y0", 0), ("x0", 0), ("y1", 0), ("x1", 5)):
        page.find(f"#line-fields [name={name}]").send_keys(str(value))
    page.find("#line-show").send_keys("\n")
    page.until(lambda: page.texts(".thumbnail") == [f"0, {n}" for n in range(6)])
