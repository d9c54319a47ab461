import pytest

from orimap.flows.request.sidecar import read_sidecar
from orimap.tasks.errors import InputError


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.mib"
    path.touch()
    return path


def test_options_beside_an_acquisition_are_typed(scan):
    scan.with_name("scan.mib.orimap.yaml").write_text(
        "k: 1:12\nscan-shape: 40x48\nsplit-bent: true\nregularity: 0.2\nfilter: mean\n"
    )
    assert read_sidecar(scan) == {
        "k": (1, 12),
        "scan_shape": (40, 48),
        "split_bent": True,
        "regularity": 0.2,
        "filter": "mean",
    }


def test_a_calibration_can_stand_beside_an_acquisition(scan):
    scan.with_name("scan.mib.orimap.yaml").write_text(
        "scan-step: 2nm\ndetector-step: 0.01 1/Å\nbeam-energy: 200kV\n"
    )
    assert read_sidecar(scan) == {
        "scan_step": "2nm",
        "detector_step": "0.01 1/Å",
        "beam_energy": "200kV",
    }
    scan.with_name("scan.mib.orimap.yaml").write_text("scan-step: 2\n")
    with pytest.raises(InputError, match="--scan-step 2: must be a number with its unit"):
        read_sidecar(scan)


def test_the_suffix_of_the_acquisition_may_be_left_out(scan):
    scan.with_name("scan.orimap.yaml").write_text("seed: 3\n")
    assert read_sidecar(scan) == {"seed": 3}


def test_none_is_none(scan):
    assert read_sidecar(scan) == {}


@pytest.mark.parametrize(
    "name",
    ["output", "file", "cluster", "workers", "worker_memory", "profile", "restart", "orchestrate"],
)
def test_a_side_car_does_not_say_where_or_by_whom(scan, name):
    scan.with_name("scan.orimap.yaml").write_text(f"{name}: /etc\n")
    with pytest.raises(InputError, match=rf"{name} in scan\.orimap\.yaml"):
        read_sidecar(scan)


@pytest.mark.parametrize("line", ["k: 12:1", "grains: 3", "regularity: .inf", "bin: 0"])
def test_what_is_wrong_in_it_names_the_side_car(scan, line):
    scan.with_name("scan.orimap.yaml").write_text(line)
    with pytest.raises(InputError, match=r"scan\.orimap\.yaml, line 1: (--|grains)"):
        read_sidecar(scan)


def test_a_mask_lies_beside_the_acquisition(scan, tmp_path):
    scan.with_name("scan.orimap.yaml").write_text("mask: mask.npy\n")
    assert read_sidecar(scan) == {"mask": tmp_path / "mask.npy"}


def test_a_mask_elsewhere_is_refused(scan):
    scan.with_name("scan.orimap.yaml").write_text("mask: ../mask.npy\n")
    with pytest.raises(InputError, match="under"):
        read_sidecar(scan)


def test_crystals_lie_beside_the_acquisition(scan, tmp_path):
    sidecar = scan.with_name("scan.mib.orimap.yaml")
    sidecar.write_text("crystal: a.cif\nprecession: 0.7\ndetector-flip: true\n")
    assert read_sidecar(scan) == {
        "crystals": (tmp_path / "a.cif",),
        "precession": 0.7,
        "detector_flip": True,
    }
    sidecar.write_text("crystals: [a.cif, sub/b.cif]\n")
    assert read_sidecar(scan) == {"crystals": (tmp_path / "a.cif", tmp_path / "sub" / "b.cif")}


@pytest.mark.parametrize("line", ["crystal: ../a.cif", "crystals: [a.cif, /etc/a.cif]"])
def test_crystals_elsewhere_are_refused(scan, line):
    scan.with_name("scan.orimap.yaml").write_text(line)
    with pytest.raises(InputError, match="an absolute path under"):
        read_sidecar(scan)
    scan.with_name("scan.orimap.yaml").write_text("crystal: link.cif\n")
    scan.with_name("link.cif").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="which leads to"):
        read_sidecar(scan)


def test_a_side_car_that_is_a_link_out_is_refused(tmp_path):
    inside = tmp_path / "watched"
    inside.mkdir()
    (tmp_path / "elsewhere.yaml").write_text("seed: 1\n")
    (inside / "scan.orimap.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(InputError, match="which leads to"):
        read_sidecar(inside / "scan.mib")
