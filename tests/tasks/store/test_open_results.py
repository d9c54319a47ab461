import numpy as np
import pytest
import xarray as xr

from orimap.tasks.errors import InputError
from orimap.tasks.store.open_results import open_results, revision_store


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


def test_what_is_not_complete_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no complete analysis\.zarr"):
        open_results(tmp_path)
    written(tmp_path / "analysis.zarr", status="running", clusters=labels(0))
    with pytest.raises(InputError, match=r"no complete analysis\.zarr"):
        open_results(tmp_path)
