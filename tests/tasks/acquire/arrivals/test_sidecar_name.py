from pathlib import Path

import pytest

from orimap.tasks.acquire.arrivals.sidecar_name import sidecar_names


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("a/scan.mib", ("scan.mib.orimap.yaml", "scan.orimap.yaml")),
        ("a/scan.zarr.zip", ("scan.zarr.zip.orimap.yaml", "scan.zarr.orimap.yaml")),
        ("a/images", ("images.orimap.yaml",)),
    ],
)
def test_the_name_with_its_ending_comes_first(path, names):
    assert sidecar_names(Path(path)) == names
