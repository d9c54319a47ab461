"""Clusters put right by hand on the page: tried at once, undone, and saved as a revision."""

import numpy as np
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

import orimap
from orimap.tasks.store.open_results import revision_names

MAP = ("#map", (12, 14))


def sizes(page):
    return [int(text) for text in page.texts("#clusters .size")]


def tick(page, *numbers):
    for number in numbers:
        page.click(f"#clusters li[data-number='{number}'] .tick")


def test_a_first_time_user_merges_two_clusters_names_one_and_saves(own_page):
    page, folder = own_page
    before = orimap.open(folder).labels.values
    counted = [int((before == n).sum()) for n in (1, 2, 3)]
    assert sizes(page) == counted
    assert not page.find("#merge").is_enabled()
    tick(page, 1, 3)
    page.click("#merge")
    page.until(lambda: sizes(page) == [counted[0] + counted[2], counted[1]])
    assert page.text("#map-badge") == "With your changes, not saved"
    page.find("#clusters li[data-number='1'] .name").send_keys("matrix", Keys.ENTER)
    page.until(lambda: page.text("#map-legend .chip:nth-child(1)") == "1 matrix")
    assert page.texts("#steps li") == [
        "Clusters 1 and 3 merged", "Cluster 1 named “matrix”",
    ]  # fmt: skip
    assert revision_names(folder) == []
    page.find("#save-name").send_keys("by hand")
    page.click("#save button")
    page.until(lambda: "Saved as revision “by-hand”" in page.text("#notices"))
    saved = orimap.open(folder, revision="by-hand")
    np.testing.assert_array_equal(saved.labels.values == 2, before == 2)
    assert (saved.labels.values[before != 2] == 1).all()
    assert saved["clusters"].attrs["cluster_names"] == ["matrix", ""]
    np.testing.assert_array_equal(orimap.open(folder).labels.values, before)
    assert page.find("#revision").get_attribute("value") == "by-hand"
    assert page.text("#headline").startswith("2 distinct patterns")


def test_changes_are_undone_and_done_again(page):
    first = sizes(page)
    tick(page, 2)
    page.click("#background")
    page.until(lambda: len(sizes(page)) == 2)
    changed = sizes(page)
    page.keys(Keys.CONTROL + "z" + Keys.NULL)
    page.until(lambda: sizes(page) == first)
    assert page.all("#steps li") == []
    page.click("#redo")
    page.until(lambda: sizes(page) == changed)
    page.click("#undo")
    page.until(lambda: sizes(page) == first)
    assert not page.find("#undo").is_enabled()


def test_another_colour_is_seen_at_once(page, three_grains):
    page.driver.execute_script(
        """const input = document.querySelector("#clusters li[data-number='2'] .colour");
        input.value = "#123456";
        input.dispatchEvent(new Event("change"));"""
    )
    y, x = np.argwhere(three_grains.labels.values == 2)[0].tolist()
    page.until(lambda: page.colour(*MAP, y, x) == "#123456")
    page.click("#undo")
    page.until(lambda: page.colour(*MAP, y, x) != "#123456")


def test_what_cannot_be_split_is_said_and_changes_nothing(page):
    first = sizes(page)
    tick(page, 1)
    page.click("#split")
    said = page.until(lambda: page.text("#edit-message"))
    assert said.startswith("Needed: several components in cluster 1")
    assert "--" not in said.partition("What to do")[0]
    assert sizes(page) == first
    assert page.all("#steps li") == []
    assert any("/api/preview" in line and "400" in line for line in page.driver.complaints())


def test_a_name_that_is_taken_is_said_and_another_one_is_taken(own_page):
    page, folder = own_page

    def rename_and_save(name):
        page.find("#clusters li[data-number='1'] .name").send_keys("grain", Keys.ENTER)
        page.until(lambda: page.find("#save").is_displayed())
        page.find("#save-name").send_keys(name, Keys.ENTER)

    rename_and_save("first")
    page.until(lambda: "revision “first”" in page.text("#notices"))
    Select(page.find("#revision")).select_by_value("")
    page.until(lambda: page.text("#map-legend .chip") == "1")
    rename_and_save("first")
    page.until(lambda: "choose another name" in page.text("#edit-message"))
    assert any("409" in line for line in page.driver.complaints())
    page.find("#save-name").clear()
    page.find("#save-name").send_keys("second", Keys.ENTER)
    page.until(lambda: "revision “second”" in page.text("#notices"))
    assert revision_names(folder) == ["first", "second"]


def test_results_that_may_not_be_changed_cannot_be(browser, serve, three_grains, make_page):
    with serve(three_grains.folder, writable=False) as server:
        page = make_page(f"http://127.0.0.1:{server.port}/")
        assert "not changed here" in page.text("#edit-hint")
        assert not any(item.is_enabled() for item in page.all("#clusters .tick"))
        browser.get("about:blank")
