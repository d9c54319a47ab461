"""The report as a person uses it: in Chromium, from its file, with nothing beside it."""

import base64
import io
import re
import shutil
import time
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import zarr
from PIL import Image
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By

from orimap.tasks.report.report import write_report
from orimap.tasks.report.results import read_results
from orimap.tasks.store.open_results import Revision, revision_store

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def opened(browser, written):
    """The page in the browser, and the results that it shows."""
    open_page(browser, written[0])
    return browser, read_results(written[0].parent / "analysis.zarr")


def open_page(browser, path):
    browser.get(path.as_uri())
    wait_for(lambda: browser.find_elements(By.CSS_SELECTOR, "html[data-explore=ready]"))


def wait_for(what):
    until = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < until, "waited 20 s"
        time.sleep(0.05)
    return found


def place_of(browser, figure, row, column, shape):
    """Bring a figure into view; return where a position of its first map is in the window."""
    return browser.execute_script(
        """
        const map = document.querySelector(`main [data-name="${arguments[0]}"] .scan`);
        map.closest("figure").scrollIntoView({ block: "center", behavior: "instant" });
        const box = map.getBoundingClientRect();
        return [box.left + (arguments[2] + .5) * box.width / arguments[4],
                box.top + (arguments[1] + .5) * box.height / arguments[3]];
        """,
        figure, row, column, *shape,
    )  # fmt: skip


def point_at(browser, x, y):
    # Away first: a pointer that does not move tells nothing.
    actions = ActionChains(browser, duration=0)
    actions.w3c_actions.pointer_action.move_to_location(2, 2)
    actions.w3c_actions.pointer_action.move_to_location(round(x), round(y))
    actions.perform()


def told(browser):
    """What the note beside the pointer says, by what it is."""
    (note,) = browser.find_elements(By.CLASS_NAME, "told")
    if not note.is_displayed():
        return {}
    rows = note.find_elements(By.CSS_SELECTOR, "dl > div")
    return {
        row.find_element(By.TAG_NAME, "dt").text: row.find_element(By.TAG_NAME, "dd").text
        for row in rows
    }


@pytest.mark.parametrize("figure", ["cluster_map", "overlap", "reflection_maps"])
def test_a_pointer_over_a_map_tells_what_the_store_holds(opened, figure):
    browser, results = opened
    labels = results.values("clusters", "cluster_label")
    shares = results.values("clusters", "cluster_share")
    ratio = results.values("overlap", "overlap_ratio")
    second = results.values("overlap", "second_label")
    for row, column in ((0, 0), (9, 11), (35, 47), (20, 30)):
        point_at(browser, *place_of(browser, figure, row, column, labels.shape))
        found = told(browser)
        label = labels[row, column]
        assert found["row, column"] == f"{row}, {column}"
        assert found["y, x"] == f"{2.5 * row:g}, {2.5 * column:g} nm"
        assert found["cluster"] == str(label + 1)
        for cluster, share in enumerate(shares[row, column]):
            if share >= 0.005 and cluster in np.argsort(-shares[row, column])[:4]:
                said = float(found[f"share of {cluster + 1}"])
                assert said == pytest.approx(share, abs=0.0051)
        if ratio[row, column] >= 0.005:
            value, other = found["overlap"].split(" with ")
            assert float(value) == pytest.approx(ratio[row, column], abs=0.0051)
            assert other == str(second[row, column] + 1)
        # Its pattern lights up; the map that is looked at is not covered.
        (lit,) = browser.find_elements(By.CSS_SELECTOR, ".tile.lit")
        assert lit.get_attribute("data-cluster") == str(label)
        assert not browser.find_elements(By.CSS_SELECTOR, ".veil")
    point_at(browser, 2, 2)
    assert told(browser) == {}


def test_arrow_keys_move_over_a_map(opened):
    browser, results = opened
    labels = results.values("clusters", "cluster_label")
    paper = browser.find_element(By.CSS_SELECTOR, "main [data-name=cluster_map] .paper")
    paper.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    assert told(browser)["row, column"] == "2, 1"
    paper.send_keys(Keys.SHIFT, Keys.ARROW_RIGHT)
    found = told(browser)
    assert found["row, column"] == "2, 11"
    assert found["cluster"] == str(labels[2, 11] + 1)


def veiled(browser, figure):
    """Which positions of a map are covered, (scan_y, scan_x)."""
    (veil,) = browser.find_elements(By.CSS_SELECTOR, f"main [data-name={figure}] .veil")
    data = base64.b64decode(veil.get_attribute("href").split(",")[1])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))[..., 3] > 0


@pytest.mark.parametrize("place", [".tile.c2", ".card.c2", "tr[data-cluster='2']"])
def test_a_cluster_lights_up_in_maps_and_patterns(opened, place):
    browser, results = opened
    labels = results.values("clusters", "cluster_label")
    part = browser.find_element(By.CSS_SELECTOR, place)
    browser.execute_script(
        "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", part
    )
    left, top = browser.execute_script(
        "const box = arguments[0].getBoundingClientRect(); return [box.left, box.top]", part
    )
    point_at(browser, left + 12, top + 12)
    np.testing.assert_array_equal(veiled(browser, "cluster_map"), labels != 2)
    dimmed = browser.find_elements(By.CSS_SELECTOR, ".tile.dim, .card.dim")
    assert {int(one.get_attribute("data-cluster")) for one in dimmed} == {0, 1, 3, 4, 5}
    assert len(dimmed) == 10
    patterns = browser.find_elements(By.CSS_SELECTOR, "[data-name=clusters] .dim > .pattern")
    assert {int(one.get_attribute("data-cluster")) for one in patterns} == {0, 1, 3, 4, 5}
    point_at(browser, 2, 2)
    assert not browser.find_elements(By.CSS_SELECTOR, ".veil, .dim, .lit")


def test_a_figure_is_enlarged_and_explored_and_closed_by_keys(opened):
    browser, results = opened
    shape = results.values("clusters", "cluster_label").shape
    button = browser.find_element(By.CSS_SELECTOR, "main [data-name=cluster_map] button")
    assert button.text == "Enlarge"
    small = browser.find_element(By.CSS_SELECTOR, "main [data-name=cluster_map] svg").rect
    button.send_keys(Keys.ENTER)
    dialog = browser.find_element(By.CSS_SELECTOR, "dialog[open]")
    large = dialog.find_element(By.TAG_NAME, "svg").rect
    assert large["width"] > 1.3 * small["width"]
    assert large["y"] + large["height"] <= 900
    box = browser.execute_script(
        "const b = arguments[0].querySelector('.scan').getBoundingClientRect();"
        "return [b.left, b.top, b.width, b.height]",
        dialog,
    )
    point_at(browser, box[0] + box[2] * 11.5 / shape[1], box[1] + box[3] * 9.5 / shape[0])
    assert told(browser)["row, column"] == "9, 11"
    dialog.send_keys(Keys.ARROW_RIGHT)
    assert dialog.find_element(By.CSS_SELECTOR, ".figure").get_attribute("data-name") == "clusters"
    dialog.send_keys(Keys.ESCAPE)
    assert not browser.find_elements(By.CSS_SELECTOR, "dialog[open]")
    assert browser.switch_to.active_element == button


def test_a_cluster_is_enlarged_from_its_tile(opened):
    browser, _ = opened
    browser.find_element(By.CSS_SELECTOR, ".tile.c1").click()
    card = browser.find_element(By.CSS_SELECTOR, "dialog[open] .card")
    assert "c1" in card.get_attribute("class")
    images = card.find_elements(By.TAG_NAME, "img")
    assert [image.get_attribute("alt") for image in images] == [
        "Positions of cluster 2", "Mean raw pattern of cluster 2", "Representative of cluster 2",
    ]  # fmt: skip
    assert min(image.rect["width"] for image in images) > 200
    assert "SSIM" in card.text
    assert "40 Å⁻¹" not in card.text
    assert "0.2 Å⁻¹" in card.text
    card.find_element(By.XPATH, "//dialog//button[text()='Close']").click()
    assert not browser.find_elements(By.CSS_SELECTOR, "dialog[open]")


def test_figures_are_saved_as_png_and_svg_that_open(opened, tmp_path):
    browser, _ = opened
    browser.screen(dark=True)
    for name in ("overlap", "loss"):
        figure = browser.find_element(By.CSS_SELECTOR, f"main [data-name={name}]")
        box = figure.find_element(By.TAG_NAME, "svg").get_dom_attribute("viewBox")
        width, height = map(float, box.split()[2:])
        for button in figure.find_elements(By.CSS_SELECTOR, ".tools button")[1:]:
            browser.execute_script("arguments[0].click()", button)
        svg = wait_for(lambda name=name: whole(tmp_path / f"{name}.svg"))
        root = ElementTree.fromstring(svg)
        assert root.tag == f"{SVG}svg"
        assert root.get("width") == f"{width:g}pt"
        assert b"var(" not in svg
        assert root.findall(f".//{SVG}text")
        assert bool(root.findall(f".//{SVG}image")) == (name == "overlap")
        png = wait_for(lambda name=name: whole(tmp_path / f"{name}.png"))
        with Image.open(io.BytesIO(png)) as image:
            image.load()
            assert image.size[0] / image.size[1] == pytest.approx(width / height, rel=0.01)
            assert image.size[0] > 1500
            # On white, whatever the page is.
            assert image.convert("RGB").getpixel((image.size[0] - 1, 0)) == (255, 255, 255)
            assert len(image.convert("RGB").getcolors(1 << 24)) > 20


def test_a_cluster_is_saved_with_its_images_and_numbers(opened, tmp_path):
    browser, _ = opened
    browser.find_element(By.CSS_SELECTOR, ".tile.c1").click()
    for button in browser.find_elements(By.CSS_SELECTOR, "dialog .tools button"):
        if button.text in ("PNG", "SVG"):
            button.click()
    root = ElementTree.fromstring(wait_for(lambda: whole(tmp_path / "cluster-2.svg")))
    card = browser.find_element(By.CSS_SELECTOR, "dialog .card")
    images = [image.get_dom_attribute("src") for image in card.find_elements(By.TAG_NAME, "img")]
    assert [image.get("href") for image in root.findall(f".//{SVG}image")] == images
    texts = {text.text for text in root.findall(f".//{SVG}text")}
    lines = card.find_elements(By.CSS_SELECTOR, ".scores > div")
    assert len(lines) == 8
    assert {line.text.replace("\n", " ") for line in lines} <= texts
    assert {"2", "component 2", "mean raw", "0.2\u00a0Å⁻¹"} <= texts
    with Image.open(io.BytesIO(wait_for(lambda: whole(tmp_path / "cluster-2.png")))) as image:
        image.load()
        assert image.size[0] > 2000
        assert len(image.convert("L").getcolors()) > 50
    browser.find_element(By.XPATH, "//dialog//button[text()='Close']").click()


def whole(path):
    """Return what was downloaded once it is there."""
    return path.read_bytes() if path.exists() and path.stat().st_size else b""


def shown(browser):
    """What a person sees without touching anything: all text, all images."""
    return browser.execute_script(
        """
        const buttons = new Set(document.querySelectorAll("button, button *, dialog, .told"));
        const seen = (one) => !buttons.has(one) && one.getClientRects().length > 0;
        const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
        const words = [], images = [];
        while (walker.nextNode()) {
          const parent = walker.currentNode.parentElement;
          if (!parent.closest("script, style") && seen(parent)) words.push(walker.currentNode.data.trim());
        }
        for (const one of document.querySelectorAll("img, image")) {
          if (seen(one)) images.push(one.getAttribute("src") || one.getAttribute("href"));
        }
        return [words.filter(Boolean), images];
        """  # noqa: E501
    )


def test_without_javascript_everything_is_there(browser, written):
    open_page(browser, written[0])
    assert browser.find_elements(By.TAG_NAME, "button")
    words, images = shown(browser)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(written[0].as_uri())
        # The driver's own scripts still run.
        assert not browser.find_elements(By.TAG_NAME, "button")
        plain_words, plain_images = shown(browser)
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert plain_words == words
    assert plain_images == images
    assert len(images) > 30


@pytest.mark.parametrize("width", [390, 768, 1440])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_in_figures_can_be_read_and_nothing_is_wider_than_the_window(
    browser, written, width, dark
):
    browser.screen(width, dark=dark)
    open_page(browser, written[0])
    sizes, least = browser.execute_script(
        """
        document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
        const sizes = [...document.querySelectorAll("main svg text")].map((text) => {
          const svg = text.ownerSVGElement;
          const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
          return scale * parseFloat(getComputedStyle(text).fontSize);
        });
        return [sizes, Math.min(...[...document.querySelectorAll("main *")].filter(
          (one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
            && !one.closest("svg")).map((one) => parseFloat(getComputedStyle(one).fontSize)))];
        """
    )
    assert len(sizes) > 300
    assert min(sizes) >= 9
    assert least >= 9
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def luminance(colour):
    red, green, blue = (int(part) / 255 for part in re.findall(r"\d+", colour)[:3])
    light = [
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (red, green, blue)
    ]
    return float(np.dot(light, [0.2126, 0.7152, 0.0722]))


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axes_are_written_in_the_colours_of_the_page_and_patterns_are_not_inverted(
    browser, written, dark
):
    browser.screen(dark=dark)
    open_page(browser, written[0])
    inks, sheet, fits = browser.execute_script(
        """
        const sheet = getComputedStyle(document.querySelector("section")).backgroundColor;
        const inks = [...document.querySelectorAll("[data-name=loss] svg text")].map(
          (text) => getComputedStyle(text).fill);
        const patterns = document.querySelectorAll(".tile img, [data-name=fidelity] image");
        return [inks, sheet, [...patterns].map((one) => getComputedStyle(one).filter)];
        """
    )
    assert (luminance(sheet) < 0.05) == dark
    assert min(contrast(ink, sheet) for ink in inks) > 4.5
    assert set(fits) == {"none"}


def test_print_keeps_colours_and_cuts_no_figure(browser, written, tmp_path):
    browser.screen(dark=True)
    open_page(browser, written[0])
    browser.screen(794, 1123, dark=True, media="print")
    colours = browser.execute_script(
        """
        const sheet = getComputedStyle(document.body).backgroundColor;
        const chip = getComputedStyle(document.querySelector(".number"));
        return [sheet, chip.backgroundColor, chip.printColorAdjust];
        """
    )
    assert luminance(colours[0]) == pytest.approx(1)
    assert colours[2] == "exact"
    broken = browser.execute_script(
        """
        return [...document.querySelectorAll("main .figure, main .card, main tr")].filter(
          (one) => getComputedStyle(one).breakInside !== "avoid").length;
        """
    )
    assert broken == 0
    paper = {"printBackground": False, "paperWidth": 8.27, "paperHeight": 11.69}
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", paper)["data"])
    assert pdf.startswith(b"%PDF")
    # Each figure is lower than a page, so that a break can be kept out of it.
    room = (11.69 - 2 * 0.4) * 96
    tall = browser.execute_script(
        "return [...document.querySelectorAll('main .figure')].map("
        "(one) => one.getBoundingClientRect().height)"
    )
    assert max(tall) < room
    browser.execute_script(
        "document.querySelectorAll('details').forEach((fold) => { fold.open = true; })"
    )
    browser.screen(round((8.27 - 2 * 0.4) * 96), 1000, media="print")
    wide = browser.execute_script(
        "return [...document.querySelectorAll('main table, main svg')].map("
        "(one) => one.getBoundingClientRect().right)"
    )
    assert max(wide) <= round((8.27 - 2 * 0.4) * 96)


@pytest.mark.usefixtures("few_pictures")
def test_names_and_colours_of_a_revision_are_on_its_map(browser, small_store, tmp_path):
    shutil.copytree(small_store, tmp_path / "analysis.zarr")
    target = revision_store(tmp_path, "mine")
    clusters = read_results(tmp_path / "analysis.zarr").groups["clusters"].load()
    names = ["", "matrix $a$", "<b>twin</b>"]
    clusters.attrs |= {"cluster_names": names, "cluster_colours": ["", "#123456", "red"]}
    clusters.to_zarr(target, group="clusters", mode="a", consolidated=False, zarr_format=3)
    zarr.open_group(target, mode="r+").attrs.update(decided_k=3)
    revision = Revision("mine", 3, ["Cluster 2 was named."], [], "now", False)
    path = write_report(tmp_path / "analysis.zarr", tmp_path, run={}, revision=revision)
    open_page(browser, path)
    figure = browser.find_element(By.CSS_SELECTOR, "[data-name=cluster_map] svg")
    written = browser.execute_script("return arguments[0].textContent", figure)
    assert "2 matrix $a$" in written
    assert "3 <b>twin</b>" in written
    labels = clusters["cluster_label"].values
    row, column = np.argwhere(labels == 1)[0]
    point_at(browser, *place_of(browser, "cluster_map", int(row), int(column), labels.shape))
    assert told(browser)["cluster"] == "2 matrix $a$"
    chip = browser.find_element(By.CSS_SELECTOR, ".told i")
    assert chip.value_of_css_property("background-color") in (
        "rgba(18, 52, 86, 1)", "rgb(18, 52, 86)",
    )  # fmt: skip
