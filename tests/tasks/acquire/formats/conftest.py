"""What the tests of formats share."""

import pytest


@pytest.fixture(scope="session")
def signal_of():
    """Return what describes patterns as rosettasciio's writers take them."""

    def describe(data, *, scan_units="nm", detector_units="1/nm"):
        steps = [(2.0, scan_units), (2.0, scan_units), (0.1, detector_units), (0.1, detector_units)]
        names = ("y", "x", "ky", "kx")
        axes = [
            {
                "name": name, "size": size, "scale": scale, "offset": 0.0, "units": units,
                "navigate": number < 2, "index_in_array": number,
            }
            for number, (name, size, (scale, units)) in enumerate(
                zip(names, data.shape, steps, strict=True)
            )
        ]  # fmt: skip
        return {
            "data": data, "axes": axes, "original_metadata": {}, "learning_results": {},
            "models": {},
            "metadata": {
                "General": {"title": "scan"}, "Signal": {"signal_type": ""},
                "Acquisition_instrument": {"TEM": {"beam_energy": 200.0}},
            },
            "attributes": {"_lazy": False}, "tmp_parameters": {},
            "package_info": {"package": "test", "package_version": "1"},
        }  # fmt: skip

    return describe
