import numpy as np
import pytest
import xarray as xr
import zarr

from orimap.tasks.errors import InputError, Notice
from orimap.tasks.store.open_results import (
    NAME,
    delete_revision,
    find_revision,
    name_of_title,
    open_results,
    open_revised,
    revision_names,
    revision_page,
    revision_store,
    title_as_given,
)


def written(store, status="complete", **groups):
    tree = xr.DataTree.from_dict({f"/{name}": ds for name, ds in groups.items()})
    tree.attrs["status"] = status
    tree.to_zarr(store, zarr_format=3, consolidated=False)


def labels(*values):
    return xr.Dataset({"cluster_label": ("scan_x", np.array(values))})


def test_a_revision_stands_in_place_of_the_groups_that_it_has(tmp_path):
    written(tmp_path / "analysis.zarr", clusters=labels(0, 1, 2), overlap=labels(7, 7, 7))
    written(revision_store(tmp_path, "mine"), status="revised", clusters=labels(0, 0, 1))
    plain, revised = open_results(tmp_path), open_results(tmp_path, "mine")
    assert plain["clusters"]["cluster_label"].values.tolist() == [0, 1, 2]
    assert revised["clusters"]["cluster_label"].values.tolist() == [0, 0, 1]
    assert revised["overlap"]["cluster_label"].values.tolist() == [7, 7, 7]
    assert (plain.attrs["status"], revised.attrs["status"]) == ("complete", "revised")
    with pytest.raises(InputError, match="revisions there: mine"):
        open_results(tmp_path, "yours")


def test_older_results_take_the_places_of_pixels_from_their_patterns(tmp_path):
    image = xr.Dataset({"detector_mean": (("detector_y", "detector_x"), np.ones((2, 3)))})
    written(tmp_path / "analysis.zarr", acquisition=image)
    assert "detector_y" not in open_results(tmp_path)["acquisition"].coords
    places = {"detector_y": [-0.5, 0.5], "detector_x": ("detector_x", [-1, 0, 1], {"units": "px"})}
    xr.Dataset(coords=places).to_zarr(
        tmp_path / "patterns.zarr", group="raw", zarr_format=3, consolidated=False
    )
    mean = open_results(tmp_path)["acquisition"]["detector_mean"]
    assert mean["detector_y"].values.tolist() == [-0.5, 0.5]
    assert mean["detector_x"].attrs["units"] == "px"


def test_what_is_not_complete_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no complete analysis\.zarr"):
        open_results(tmp_path)
    written(tmp_path / "analysis.zarr", status="running", clusters=labels(0))
    with pytest.raises(InputError, match=r"no complete analysis\.zarr"):
        open_results(tmp_path)


def test_a_revision_of_other_clusters_is_outdated(tmp_path):
    written(tmp_path / "analysis.zarr", clusters=labels(0, 1, 2).assign_attrs(complete="now"))
    written(revision_store(tmp_path, "mine"), clusters=labels(0, 0, 1))
    attrs = zarr.open_group(revision_store(tmp_path, "mine"), mode="r+").attrs
    attrs.update(of="now", decided_k=2, edits=["Clusters 1 and 2 were merged."])
    found = find_revision(tmp_path, "mine")
    assert (found.patterns, found.outdated, found.standing) == (2, False, "")
    assert open_results(tmp_path, "mine").attrs["revision_outdated"] is False
    attrs["of"] = "before"
    assert "outdated" in find_revision(tmp_path, "mine").standing
    with pytest.warns(Notice, match="outdated"):
        assert open_results(tmp_path, "mine").attrs["revision_outdated"] is True


def test_a_revision_is_removed_with_its_page(tmp_path):
    written(tmp_path / "analysis.zarr", clusters=labels(0, 1))
    for name in ("one", "two"):
        written(revision_store(tmp_path, name), clusters=labels(0, 0))
    page, figures = revision_page(tmp_path, "one")
    page.write_text("page")
    figures.mkdir()
    delete_revision(tmp_path, "one")
    assert revision_names(tmp_path) == ["two"]
    assert not page.exists()
    assert not figures.exists()
    for name in ("one", "../analysis", ""):
        with pytest.raises(InputError, match="revisions there: two"):
            delete_revision(tmp_path, name)
    assert (tmp_path / "analysis.zarr").exists()


def test_a_revision_of_another_scan_is_refused(tmp_path):
    written(tmp_path / "analysis.zarr", acquisition=labels(0, 1, 2))
    root = zarr.open_group(tmp_path / "analysis.zarr", mode="r+")
    root.create_array("scan_x", data=np.arange(3), dimension_names=("scan_x",))
    written(revision_store(tmp_path, "mine"), clusters=labels(0, 0))
    with pytest.raises(InputError, match="another scan"):
        open_results(tmp_path, "mine")


def test_a_single_group_is_that_of_the_revision_where_it_has_it(tmp_path):
    analysis, mine = tmp_path / "analysis.zarr", revision_store(tmp_path, "mine")
    written(analysis, clusters=labels(0, 1, 2), overlap=labels(7, 7, 7))
    written(mine, clusters=labels(0, 0, 1))
    for store, group, expected in (
        (None, "clusters", [0, 1, 2]),
        (mine, "clusters", [0, 0, 1]),
        (mine, "overlap", [7, 7, 7]),
    ):
        found = open_revised(analysis, store, group)
        assert found["cluster_label"].values.tolist() == expected


@pytest.mark.parametrize(
    ("title", "taken", "name"),
    [
        ("checked", (), "checked"),
        ("Merged 4+5 (Anna)", (), "Merged-4-5-Anna"),
        ("Übersicht: früh", (), "Ubersicht-fruh"),
        ("checked", ("Checked", "checked-2"), "checked-3"),
        ("../../etc", (), "etc"),
        ("検査", (), "revision"),
        ("検査", ("revision",), "revision-2"),
        ("x" * 80, ("x" * 64,), "x" * 62 + "-2"),
    ],
)
def test_a_title_gives_a_name_of_files_that_is_free(title, taken, name):
    found = name_of_title(title_as_given(title), taken)
    assert found == name
    assert NAME.fullmatch(found)


def test_a_title_is_any_text_that_can_be_seen():
    assert title_as_given("  by  Anna, 3 ≠ 4 ") == "by Anna, 3 ≠ 4"
    for title in ("", "  ", "x" * 81, "a\nb", "a\tb", "a\u202eb", "a\u2066b", "a\x00", "a\u200b"):
        with pytest.raises(InputError, match="a title of 1 to 80 letters"):
            title_as_given(title)
