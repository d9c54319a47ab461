"""The page on narrow and wide screens, in light and dark, by touch, and without its server."""

import pytest

# The smallest contrast of text that people with weak eyes can read (WCAG 2, AA).
LEAST_CONTRAST = 4.5

TEXTS = """
const out = [];
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
  .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((c) => c.nodeType === 3 && c.textContent.trim());
  // What is on a picture has a ground of its own.
  const apart = ":disabled, .badge, .unseen, .skip, dialog, option, noscript";
  if (!own || !node.checkVisibility() || node.closest(apart)) continue;
  const style = getComputedStyle(node);
  let behind = node, colour = [0, 0, 0, 0];
  for (; behind; behind = behind.parentElement) {
    colour = parse(getComputedStyle(behind).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) break;
  }
  const [one, other] = [light(parse(style.color || style.fill)), light(colour)];
  const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  out.push([node.textContent.trim().slice(0, 30), parseFloat(style.fontSize), contrast]);
}
return out;
"""
UNNAMED = """
return [...document.querySelectorAll("button, input, select, canvas, a")]
  .filter((node) => node.checkVisibility() && !node.closest("[aria-hidden=true]"))
  .filter((node) => !(node.getAttribute("aria-label") || node.labels?.[0]?.textContent.trim()
    || node.textContent.trim() || node.getAttribute("aria-hidden")))
  .filter((node) => !(node.matches("canvas") && node.closest("button")))
  .map((node) => node.outerHTML);
"""


def overhang(browser):
    """Return how many pixels the page is wider than its window, less the place for a scroll bar."""
    wider = browser.execute_script(
        "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
    )
    return max(wider, 0)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 768, 1440])
def test_nothing_is_cut_off_small_or_pale_at_any_width(browser, make_page, served, width, dark):
    browser.screen(width, dark=dark)
    page = make_page(served)
    for tab in ("clusters", "detector", "line", "numbers"):
        page.click(f"#tab-{tab}")
        assert overhang(browser) == 0
        texts = browser.execute_script(TEXTS)
        assert len(texts) > 20
        assert [text for text in texts if text[1] < 12] == []
        assert [text for text in texts if text[2] < LEAST_CONTRAST] == []
        assert browser.execute_script(UNNAMED) == []
    page.click("#why-button")
    assert overhang(browser) == 0


def test_a_tap_holds_a_position(browser, make_page, served):
    browser.screen(390, touch=True)
    page = make_page(served)
    page.point("#map", (12, 14), 3, 4)
    box = page.find("#map").rect
    offset = browser.execute_script("return [scrollX, scrollY]")
    right, down = page.place("#map", (12, 14), 3, 4)
    at = {
        "x": box["x"] - offset[0] + box["width"] / 2 + right,
        "y": box["y"] - offset[1] + box["height"] / 2 + down,
    }
    for kind, points in (("touchStart", [at]), ("touchEnd", [])):
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    page.until_shown(y=3, x=4)
    assert page.find("#release").is_displayed()


def test_pixels_stay_sharp_on_a_screen_of_high_resolution(browser, make_page, served):
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 1280, "height": 900, "deviceScaleFactor": 2, "mobile": False},
    )
    make_page(served)
    code = "const c = document.querySelector(arguments[0]); return [c.width, c.clientWidth]"
    for canvas in ("#map", "#pattern"):
        pixels, wide = browser.execute_script(code, canvas)
        assert pixels == 2 * wide


def test_a_server_that_has_gone_is_said_until_it_is_back(browser, serve, three_grains, make_page):
    with serve(three_grains.folder) as server:
        page = make_page(f"http://127.0.0.1:{server.port}/")
        port = server.port
    page.point("#map", (12, 14), 3, 4).click().perform()
    page.until(lambda: "The server does not answer" in page.text("#notices"))
    assert all("ERR_CONNECTION" in line for line in browser.complaints())
    with serve(three_grains.folder, port=port):
        page.until(lambda: "The server does not answer" not in page.text("#notices"))
        browser.complaints()
        browser.get("about:blank")
