"""What a person sees of crystals and orientations, and that nothing is there without them."""

import shutil

import numpy as np
import pytest

MAP, PATTERN = ("#map", (12, 14)), ("#pattern", (48, 46))


@pytest.fixture(scope="module")
def indexed(three_grains, index_by_hand, serve, tmp_path_factory):
    """The address of the page of three grains, of which two are indexed."""
    folder = tmp_path_factory.mktemp("indexed") / "results"
    shutil.copytree(three_grains.folder, folder)
    index_by_hand(folder)
    with serve(folder) as server:
        yield f"http://127.0.0.1:{server.port}/"


@pytest.fixture
def own(make_page, indexed):
    page = make_page(indexed)
    page.until(lambda: page.find("#orientation").is_displayed())
    return page


@pytest.fixture
def places(three_grains):
    """The first position of each cluster."""
    labels = three_grains.labels.values
    return {n: tuple(np.argwhere(labels == n)[0].tolist()) for n in (1, 2, 3)}


def test_the_map_of_directions_has_its_colours_and_their_key(own, places):
    own.layer("direction-z")
    # Cluster 1 has 001 along z, and cluster 3 is not indexed.
    assert own.colour(*MAP, *places[1]) == "#ff0000"
    assert own.colour(*MAP, *places[3]) == "#ececec"
    assert not own.find("#map-bar").is_displayed()
    assert own.texts("#map-key .sector span")[:3] == ["[0 0 1]", "[1 0 1]", "[1 1 1]"]
    image = own.find("#map-key img")
    assert own.driver.execute_script("return arguments[0].naturalWidth", image) == 160
    assert own.texts("#layer optgroup[label=Orientations] option") == [
        "Along z", "Along x", "Along y", "Crystals", "Misorientation",
    ]  # fmt: skip
    own.layer("crystals")
    assert own.texts("#map-key li") == ["silicon", "gold", "none of these"]
    assert own.colour(*MAP, *places[1]) == "#2f6fd0"
    assert own.colour(*MAP, *places[3]) == "#f28e1c"
    own.layer("clusters")
    assert not own.find("#map-key").is_displayed()


def test_at_a_position_it_is_said_which_crystal_is_there_and_how_it_lies(own, places):
    own.point(*MAP, *places[1]).click().perform()
    own.until(lambda: "silicon · zone axis [0 0 1]" in own.text("#orientation"))
    said = own.texts("#orientation p")
    assert said[0] == "silicon · zone axis [0 0 1] · reliability 0.45 · before other crystals 0.31"
    assert said[1] == "Misorientation to 2: 60.0° about [1 1 1], Σ3, 0.0° off"
    own.keys("3")
    own.until(lambda: own.text("#orientation p").startswith("Not indexed: two candidates, gold"))
    assert own.text("#orientation p").endswith("reliability 0.02")


def test_reflections_are_drawn_where_they_are_predicted(own):
    own.keys("1")
    own.until_shown(path="./api/cluster/1/mean")
    own.choose("#scales", "Linear")
    # On the rim of the circle around row 34, column 20: the brightest, of 9 pixels.
    at = """const [canvas, right, down] = arguments;
        const [x, y] = [canvas.width / 2 + right, canvas.height / 2 + down];
        const { data } = canvas.getContext("2d").getImageData(x - 12, y - 12, 24, 24);
        let blue = 0;
        for (let n = 0; n < data.length; n += 4)
          blue += data[n] < 120 && data[n + 1] > 170 && data[n + 2] > 200;
        return blue;"""

    def marked():
        place = own.place(*PATTERN, 34, 20)
        return own.driver.execute_script(at, own.find("#pattern"), *place)

    assert marked() == 0
    own.click("#reflections")
    own.until(lambda: marked() > 20)
    own.click("#reflections")
    own.until(lambda: marked() == 0)


def test_without_orientations_the_page_is_as_before(page):
    assert not page.find("#orientation").is_displayed()
    assert not page.find("#reflections").is_displayed()
    assert not page.find("#map-key").is_displayed()
    assert not page.all("#layer optgroup[label=Orientations]")
