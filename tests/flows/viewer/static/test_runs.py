"""The table of all runs and the page that asks for the token, in a real browser."""

import shutil
import subprocess
import sys
import time

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

MOST_SECONDS = 20


@pytest.fixture(scope="module")
def root(tmp_path_factory, make_run, put_outcome):
    root = tmp_path_factory.mktemp("table") / "root"
    make_run(root / "day 1" / "strong.hspy", root={"decided_k": 12})
    doubtful = {"confidence": "low", "reasons": ["Guessed: the shape of the scan"]}
    make_run(root / "day 1" / "<i>weak</i>.hspy".replace("/", "_"), decision=doubtful)
    make_run(root / "day 2" / "more.hspy", root={"decided_k": 5}, seconds=4000)
    put_outcome(root / "day 2" / "failed.hspy", state="failed", reason="no <b>scan</b>")
    return root


@pytest.fixture(scope="module")
def served(root):
    """The command in a process of its own; gives its address and the folder of its token."""
    state = root.with_name("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(state))
        patch.setenv("BROWSER", "true")  # one that does nothing
        process = subprocess.Popen(
            [sys.executable, "-m", "orimap.flows", "view", root], stdout=subprocess.PIPE, text=True
        )
    with process:
        try:
            address = process.stdout.readline().split(": ", 1)[1].split()[0]
            folder = state / "orimap" / "view"
            last = time.monotonic() + MOST_SECONDS
            while not list(folder.glob("open-*.html")):
                assert time.monotonic() < last
                time.sleep(0.05)
            yield address, folder
        finally:
            process.terminate()
            assert process.communicate(timeout=60)[0].endswith("ended\n")


class Table:
    def __init__(self, driver):
        self.driver = driver

    def until(self, true):
        return WebDriverWait(self.driver, MOST_SECONDS, 0.05).until(lambda _: true())

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    @property
    def names(self):
        return [each.text for each in self.driver.find_elements(By.CSS_SELECTOR, "tbody .name")]

    def sorted_by(self, title):
        self.driver.find_element(By.XPATH, f"//th/button[text()='{title}']").click()
        return [name.split("\n")[0].split("/")[-1] for name in self.names]


@pytest.fixture
def table(browser, served):
    """The table as a person sees it whose browser was opened by the command."""
    address, folder = served
    (page,) = folder.glob("open-*.html")
    browser.get(f"{address}enter/known")
    known = "true" in browser.find_element(By.TAG_NAME, "body").text
    if not known:  # nor is any viewer of another test to be
        browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.get(address if known else page.as_uri())
    shown = Table(browser)
    shown.until(lambda: browser.title == "orimap: all runs" and len(shown.names) == 4)
    return shown


def test_the_browser_that_the_command_opens_needs_no_token_and_keeps_no_code(table, served):
    address, folder = served
    assert table.driver.current_url == address
    (cookie,) = [each for each in table.driver.get_cookies() if each["name"].startswith("orimap-")]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert (folder / "token").read_text().strip() not in cookie["value"]
    shown = table.driver.execute_script("return performance.getEntriesByType('navigation')[0].name")
    assert "code" not in shown
    table.driver.back()
    assert "code" not in table.driver.current_url


def test_a_link_asks_for_the_token_once_and_leads_on(browser, served):
    address, folder = served
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.get(f"{address}?state=failed")
    shown = Table(browser)
    token = shown.find("#token")
    assert str(folder) not in shown.find("main").text
    token.send_keys("wrong" + Keys.ENTER)
    shown.until(lambda: "not the token" in shown.find("#said").text)
    # What is pasted now takes its place.
    assert token.get_attribute("value") == ""
    assert browser.switch_to.active_element == token
    token.send_keys((folder / "token").read_text().strip() + Keys.ENTER)
    shown.until(lambda: browser.title == "orimap: all runs" and len(shown.names) == 1)
    # A browser tells of each answer that refuses; there is nothing else.
    assert all("401" in said or "403" in said for said in browser.complaints())
    # From a page of another site the cookie does not come along: our own page looks again.
    browser.get(f"data:text/html,<a href='{address}'>look</a>")
    browser.find_element(By.TAG_NAME, "a").click()
    shown.until(lambda: browser.title == "orimap: all runs" and len(shown.names) == 4)
    assert all("401" in said for said in browser.complaints())


def test_a_link_to_a_place_on_a_page_asks_for_the_token_and_leads_on(browser, served):
    address, folder = served
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.get(f"{address}#x")
    shown = Table(browser)
    shown.find("#token").send_keys((folder / "token").read_text().strip() + Keys.ENTER)
    shown.until(lambda: browser.title == "orimap: all runs" and len(shown.names) == 4)
    assert browser.current_url == f"{address}#x"
    assert all("401" in said for said in browser.complaints())


def test_rows_are_sorted_filtered_and_offered_as_csv(table):
    assert set(table.names) == {
        "day 1/strong.hspy", "day 1/<i>weak<_i>.hspy", "day 2/more.hspy",
        "day 2/failed.hspy\nno <b>scan</b>",
    }  # fmt: skip
    assert table.sorted_by("Patterns") == [
        "strong.hspy",
        "more.hspy",
        "<i>weak<_i>.hspy",
        "failed.hspy",
    ]
    # What has no number stays last, whichever way.
    assert table.sorted_by("Patterns") == [
        "<i>weak<_i>.hspy",
        "more.hspy",
        "strong.hspy",
        "failed.hspy",
    ]
    head = table.find("th[aria-sort='ascending']")
    assert head.text.startswith("Patterns")
    table.find("#text").send_keys("Day 1")
    table.until(lambda: table.find("#count").text == "2 of 4 runs")
    table.find("#confidence").send_keys("low")
    table.until(lambda: table.names == ["day 1/<i>weak<_i>.hspy"])
    assert table.find("#csv").get_attribute("href").endswith("?text=Day+1&confidence=low")
    # The page that is loaded again, or passed on, shows the same.
    table.driver.refresh()
    table.until(lambda: table.names == ["day 1/<i>weak<_i>.hspy"])


def test_what_comes_and_changes_shows_by_itself_and_the_focus_stays(table, root, make_run):
    link = table.driver.find_element(By.LINK_TEXT, "day 2/more.hspy")
    table.driver.execute_script("arguments[0].focus()", link)
    new = make_run(root / "day 3" / "new.hspy")
    table.until(lambda: "day 3/new.hspy" in table.names)
    assert table.driver.switch_to.active_element.text == "day 2/more.hspy"
    assert table.find("#count").text == "5 runs"
    shutil.rmtree(new)


def test_pictures_come_and_a_run_opens_its_page(table, served):
    loaded = "return [...document.images].every(i => i.complete && i.naturalWidth === 192)"
    table.until(lambda: table.driver.execute_script(loaded))
    link = table.driver.find_element(By.LINK_TEXT, "day 1/strong.hspy")
    assert link.get_attribute("href") == f"{served[0]}runs/day%201/strong.hspy/"


def test_flags_have_a_column_where_there_are_some(table):
    assert table.find("tbody .flags .flag").text == "guessed"
    table.driver.execute_script(
        """window.asked = window.fetch;
        window.fetch = async (...what) => {
          const runs = await (await asked(...what)).json();
          for (const run of runs.runs) run.flags = [];
          return new Response(JSON.stringify(runs));
        };
        document.dispatchEvent(new Event("visibilitychange"));"""
    )
    table.until(lambda: not table.find("th.flags").is_displayed())


def test_it_fits_every_screen(table):
    for width in (390, 600, 1000, 1001, 1180, 1440):
        table.driver.screen(width, dark=width % 20 == 0)
        wide = table.driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, width
        assert (table.find("thead").size["height"] > 1) == (width > 1000)
        assert table.find("#order").is_displayed() == (width <= 1000)


def test_it_is_used_by_keys_alone(table):
    keys = table.driver.switch_to.active_element
    reached = []
    for _ in range(14):
        keys.send_keys(Keys.TAB)
        keys = table.driver.switch_to.active_element
        reached.append(keys.get_attribute("id") or keys.text)
    wanted = ["text", "confidence", "state", "csv", "Run", "Patterns", "Confidence", "Flags"]
    assert [each for each in reached if each in wanted] == wanted
    assert any(each.endswith(".hspy") for each in reached)
