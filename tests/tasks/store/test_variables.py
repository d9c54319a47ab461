import numpy as np
import pytest
import xarray as xr

from orimap.tasks.store import variables
from orimap.tasks.store.variables import Group, Variable

DECLARED = {name: v for name, v in vars(variables).items() if isinstance(v, Variable)}
GROUPS = [g for name, g in vars(variables).items() if isinstance(g, Group) and name.isupper()]


def test_every_variable_has_its_own_name_and_one_group():
    assert all(name == variable.name for name, variable in DECLARED.items())
    held = [name for group in GROUPS for name in group.variables]
    assert held == list(DECLARED)
    assert len(DECLARED) == 141


def test_metrics_are_declared_for_k_pairs_and_clusters():
    for metric in variables.METRICS:
        assert f"k_{metric}" in variables.DECISION.variables
        assert f"pair_{metric}" in variables.DECISION.variables
        assert f"cluster_{metric}" in variables.CLUSTERS.variables


def test_an_array_is_read_where_its_axes_and_numbers_are_as_declared():
    ds = variables.dataset({variables.overlap_ratio: np.full((2, 3), 0.5)}, source="a")
    found = variables.overlap_ratio.read(ds)
    np.testing.assert_array_equal(found, np.full((2, 3), 0.5))
    assert found.dims == ("scan_y", "scan_x")
    assert found.attrs == {"units": "1", "long_name": "second share over first share"}
    assert ds.attrs == {"source": "a"}


def test_another_unit_can_be_given_to_an_array():
    array = variables.scan_noise.array(np.zeros((2, 3)), units="count")
    assert array.attrs["units"] == "count"
    assert variables.scan_noise.units == "electron"


def test_what_is_not_as_declared_is_refused():
    ratio = variables.overlap_ratio
    with pytest.raises(
        KeyError, match=r"overlap_ratio \(second share over first share\) is needed"
    ):
        ratio.read(xr.Dataset())
    with pytest.raises(ValueError, match="must have axes"):
        ratio.read(xr.Dataset({"overlap_ratio": (("scan_x", "scan_y"), np.zeros((2, 3)))}))
    with pytest.raises(ValueError, match="must be of kind 'f'; it is int64"):
        ratio.read(xr.Dataset({"overlap_ratio": (variables.SCAN, np.zeros((2, 3), np.int64))}))
