"""Clusters put right by hand on the page: tried at once, undone, and saved as a revision."""

import numpy as np
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

import orimap
from orimap.tasks.store.open_results import revision_names

MAP = ("#map", (12, 14))


def sizes(page):
    return [int(text) for text in page.texts("#clusters .size")]


def colours(page):
    return [item.get_attribute("value") for item in page.all("#clusters .colour")]


def tick(page, *numbers):
    for number in numbers:
        page.click(f"#clusters li[data-number='{number}'] .tick")


def test_a_first_time_user_merges_two_clusters_names_one_and_saves(own_page):
    page, folder = own_page
    before = orimap.open(folder).labels.values
    counted = [int((before == n).sum()) for n in (1, 2, 3)]
    assert sizes(page) == counted
    assert not page.find("#merge").is_enabled()
    decided = colours(page)
    tick(page, 1, 3)
    page.click("#merge")
    page.until(lambda: sizes(page) == [counted[0] + counted[2], counted[1]])
    assert page.text("#map-badge") == "With your changes, not saved"
    # The page claims no confidence for what nobody has decided.
    headline = orimap.open(folder).headline
    assert page.text("#headline") == "2 clusters, not saved yet"
    assert page.text("#automatic") == f"(automatic: {headline})"
    assert colours(page) == [decided[0], decided[1]]
    page.find("#clusters li[data-number='1'] .name").send_keys("matrix", Keys.ENTER)
    page.until(lambda: page.text("#map-legend .chip:nth-child(1)") == "1 matrix")
    assert page.texts("#steps li") == [
        "Clusters 1 and 3 merged", "Cluster 1 named “matrix”",
    ]  # fmt: skip
    assert revision_names(folder) == []
    page.find("#save-name").send_keys("by hand (Anna)")
    page.click("#save button")
    page.until(lambda: "Saved as revision “by hand (Anna)”" in page.text("#notices"))
    (name,) = revision_names(folder)
    saved = orimap.open(folder, revision=name)
    np.testing.assert_array_equal(saved.labels.values == 2, before == 2)
    assert (saved.labels.values[before != 2] == 1).all()
    assert saved["clusters"].attrs["cluster_names"] == ["matrix", ""]
    np.testing.assert_array_equal(orimap.open(folder).labels.values, before)
    assert page.find("#revision").get_attribute("value") == name
    shown = saved.headline.removesuffix(" (revision by hand (Anna))")
    assert page.text("#headline") == shown == "2 clusters, edited by hand"
    assert page.find("#headline").get_attribute("data-confidence") == ""
    assert page.text("#automatic") == f"(automatic: {headline})"
    assert page.texts("#edits li") == saved.reasons[:-1]
    assert page.texts("#reasons li") == saved.reasons
    assert colours(page) == [decided[0], decided[1]]
    assert page.text("#numbers li:has(:checked) b") == "This revision: 2 clusters"
    assert page.find("#report").get_attribute("href").endswith(f"/report-{name}.html")
    page.until(lambda: page.driver.current_url.endswith(f"?revision={name}"))
    page.driver.refresh()
    page.until(lambda: page.text("#headline") == shown)


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


def test_a_revision_is_replaced_after_a_question_and_deleted_after_another(own_page):
    page, folder = own_page

    def rename_and_save(text, name):
        page.find("#clusters li[data-number='1'] .name").send_keys(text, Keys.ENTER)
        page.until(lambda: page.find("#save").is_displayed())
        page.find("#save-name").clear()
        page.find("#save-name").send_keys(name, Keys.ENTER)

    def named():
        (name,) = revision_names(folder)
        return orimap.open(folder, revision=name)["clusters"].attrs["cluster_names"][0]

    rename_and_save("grain", "first")
    page.until(lambda: "revision “first”" in page.text("#notices"))
    assert named() == "grain"
    Select(page.find("#revision")).select_by_value("")
    page.until(lambda: page.text("#map-legend .chip") == "1")
    rename_and_save("matrix", "first")
    page.until(lambda: "There is a revision “first” already" in page.text("#edit-message"))
    assert any("409" in line for line in page.driver.complaints())
    assert named() == "grain"
    page.click("#replace")
    page.until(lambda: page.text("#map-legend .chip") == "1 matrix" and not page.all("#steps li"))
    assert named() == "matrix"
    page.click("#remove")
    page.driver.switch_to.alert.dismiss()
    assert named() == "matrix"
    page.click("#remove")
    page.driver.switch_to.alert.accept()
    page.until(lambda: "was deleted" in page.text("#notices"))
    assert revision_names(folder) == []
    assert page.texts("#revision option") == ["Automatic"]


def test_a_revision_is_saved_though_the_page_is_loaded_again(own_page):
    page, folder = own_page
    tick(page, 1, 3)
    page.click("#merge")
    page.until(lambda: page.find("#save").is_displayed())
    page.find("#save-name").send_keys("later", Keys.ENTER)
    page.until(lambda: page.text("#saving-said") == "Saving “later” …")
    page.open()
    page.until(lambda: page.texts("#revision option") == ["Automatic", "later (2)"])
    assert not page.find("#saving").is_displayed()
    assert page.text("#notice-changed") == ""
    assert revision_names(folder) == ["later"]


def test_results_that_may_not_be_changed_cannot_be(browser, serve, three_grains, make_page):
    with serve(three_grains.folder, writable=False) as server:
        page = make_page(f"http://127.0.0.1:{server.port}/")
        assert "not changed here" in page.text("#edit-hint")
        assert not any(item.is_enabled() for item in page.all("#clusters .tick"))
        browser.get("about:blank")
