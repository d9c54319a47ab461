import os

import h5py
import numpy as np
import pytest

from orimap.tasks.acquire.formats.recognise import (
    OWN_READERS,
    READER_OF_ENDING,
    reader_by_name,
    recognise,
    rosettasciio_readers,
)
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError


@pytest.mark.parametrize("name", ["text.blo", "text.mib", "text.hspy", "text.npy", "text.h5"])
def test_a_text_file_with_another_name_is_not_read(tmp_path, name):
    (tmp_path / name).write_text("these are not patterns, but some words that fill a file\n" * 40)
    with pytest.raises(InputError, match="begins with b'these ar'"):
        open_acquisition(tmp_path / name)


def test_empty_and_missing_files_are_named(tmp_path):
    (tmp_path / "empty.blo").touch()
    with pytest.raises(InputError, match="0 bytes"):
        open_acquisition(tmp_path / "empty.blo")
    with pytest.raises(InputError, match="no file of that name"):
        open_acquisition(tmp_path / "missing.blo")
    with pytest.raises(InputError, match="holds 1 entries"):
        open_acquisition(tmp_path)


def test_an_unknown_reader_lists_those_there_are(tmp_path, small_scan):
    np.save(tmp_path / "scan.npy", small_scan)
    with pytest.raises(InputError, match="Blockfile"):
        open_acquisition(tmp_path / "scan.npy", reader="nonsense")


@pytest.mark.parametrize(
    ("name", "begins", "reader"),
    [
        ("scan.blo", b"IMGBLO", "Blockfile"),
        ("scan.mib", b"MQ1,000001", "QuantumDetector"),
        ("scan.npy", b"\x93NUMPY", "npy"),
        ("SCAN.BLO", b"IMGBLO", "Blockfile"),
        ("scan.hspy", b"\x89HDF\r\n\x1a\n", "HSPY"),
        ("scan.emd", b"\x89HDF\r\n\x1a\n", "EMD"),
        ("scan.ser", b"II\x97\x01", "TIA"),
        ("scan.dm4", b"\0\0\0\x04", "DigitalMicrograph"),
        # No signature is known of these: their ending decides, between two readers as well.
        ("scan.mrc", b"anything", "MRC"),
        ("scan.xml", b"<root>", "EMPAD"),
        ("scan_000.tvips", b"anything", "TVIPS"),
        ("scan.zip", b"PK", "Zarr"),
    ],
)
def test_content_and_ending_name_the_reader(tmp_path, name, begins, reader):
    (tmp_path / name).write_bytes(begins + bytes(100))
    assert recognise(tmp_path / name) == reader


@pytest.mark.parametrize(
    ("groups", "attributes", "reader"),
    [
        (["Experiments/scan"], {"file_format": "HyperSpy"}, "HSPY"),
        (["Experiments/scan"], {}, "HDF5"),
        (["entry/data/data_000001"], {}, "Arina"),
        (["entry/data/other"], {}, "HDF5"),
        (["a"], {"emd_group_type": "file"}, "EMD"),
        (["a"], {"version_major": 0}, "EMD"),
        (["Data/Image", "Presentation"], {}, "EMD"),
        (["Measurement_000"], {}, "USID"),
        (["Acquisition0"], {}, "Delmic"),
        (["a/deep/group"], {}, "HDF5"),
    ],
)
@pytest.mark.parametrize("name", ["scan.h5", "scan.hdf5", "scan.dat"])
def test_kinds_of_hdf5_are_told_apart_by_what_they_hold(tmp_path, name, groups, attributes, reader):
    with h5py.File(tmp_path / name, "w") as file:
        file.attrs.update(attributes)
        for group in groups:
            file.create_group(group)
    assert recognise(tmp_path / name) == reader


@pytest.mark.parametrize(
    ("folder", "holds", "reader"),
    [
        ("scan.zarr", "zarr.json", "Zarr"),
        ("scan", ".zgroup", "Zarr"),
        ("scan", ".zarray", "Zarr"),
        ("scan.zspy", ".zgroup", "ZSPY"),
        ("images", "p_1.BMP", "images"),
        ("images", "p_1.tiff", "images"),
    ],
)
def test_folders_are_told_apart_by_what_they_hold(tmp_path, folder, holds, reader):
    (tmp_path / folder).mkdir()
    (tmp_path / folder / holds).touch()
    assert recognise(tmp_path / folder) == reader


@pytest.mark.parametrize(
    ("name", "found", "remedy"),
    [
        ("scan.hdr", "only accompanies it", "the .mib file beside it"),
        ("scan.raw", "only accompanies it", "the .xml file beside it"),
        ("scan.txt", "with the ending .txt", "--reader"),
        ("scan", "with the ending (none)", "--dataset"),
        ("scan.csv", "2 claim it: Impulse, Protochips", "--reader"),
    ],
)
def test_a_file_that_names_no_reader_says_what_to_do(tmp_path, name, found, remedy):
    (tmp_path / name).write_text("some words")
    with pytest.raises(InputError) as error:
        recognise(tmp_path / name)
    assert found in error.value.found
    assert remedy in error.value.remedy


def test_a_file_that_may_not_be_read_asks_for_permission(tmp_path, monkeypatch):
    (tmp_path / "scan.npy").write_bytes(b"\x93NUMPY")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InputError) as error:
        recognise(tmp_path / "scan.npy")
    assert error.value.needed == "permission to read scan.npy"
    assert error.value.found == "no permission"


def test_readers_are_named_whatever_the_case():
    for name in (*OWN_READERS, *READER_OF_ENDING.values(), "TVIPS", "USID"):
        for asked in (name, name.lower(), name.upper()):
            assert reader_by_name(asked).lower() == name.lower()
    assert reader_by_name("hdf5") == "HDF5"
    assert reader_by_name("blockfile") == "Blockfile"


def test_readers_of_rosettasciio_have_a_module_and_endings():
    module, endings = rosettasciio_readers()["DigitalMicrograph"]
    assert module == "rsciio.digitalmicrograph"
    assert {".dm3", ".dm4"} <= set(endings)


@pytest.mark.parametrize("name", [b"\xe9chantillon.npy", b"M\xe9ss/scan.npy"])
def test_a_name_that_is_no_text_is_refused_and_other_letters_are_read(tmp_path, small_scan, name):
    path = tmp_path / os.fsdecode(name)
    path.parent.mkdir(exist_ok=True)
    np.save(path, small_scan)
    with pytest.raises(InputError, match=r"a name in UTF-8.*\n.*\\udce9"):
        open_acquisition(path)
    other = tmp_path / "14 ünï çödé [1] #x%20 & <b>"
    other.mkdir()
    np.save(other / "échantillon 试样.npy", small_scan)
    assert open_acquisition(other / "échantillon 试样.npy").scan_shape == (4, 5)


def test_a_link_that_leads_in_circles_is_not_there(tmp_path):
    (tmp_path / "a.npy").symlink_to("b.npy")
    (tmp_path / "b.npy").symlink_to("a.npy")
    with pytest.raises(InputError, match="no file of that name"):
        open_acquisition(tmp_path / "a.npy")


@pytest.mark.parametrize("stacked", [False, True])
def test_a_data_set_where_others_have_a_group_is_read(tmp_path, small_scan, stacked):
    data = small_scan.reshape(20, 6, 7) if stacked else small_scan
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/data"] = data
    assert recognise(tmp_path / "scan.h5") == "HDF5"
    acquisition = open_acquisition(tmp_path / "scan.h5", scan_shape=(4, 5))
    np.testing.assert_array_equal(acquisition.read(slice(None), slice(None)), small_scan)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["entry/data"] = h5py.ExternalLink("scan.h5", "entry/data")
        file["entry/more"] = h5py.ExternalLink("lost.h5", "data")
    assert recognise(tmp_path / "link.h5") == "HDF5"
    with h5py.File(tmp_path / "lost.h5", "w") as file:
        file["entry/data"] = h5py.ExternalLink("nowhere.h5", "data")
    assert recognise(tmp_path / "lost.h5") == "HDF5"


@pytest.mark.parametrize("name", ["data_raw", "data", "data_0001"])
def test_scans_that_are_called_like_parts_of_dectris_are_no_parts(tmp_path, small_scan, name):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file[f"entry/data/{name}"] = small_scan
        file["entry/data/data_sum"] = small_scan.sum(axis=(2, 3))
    acquisition = open_acquisition(tmp_path / "scan.h5")
    assert (acquisition.reader, acquisition.signal) == ("HDF5", f"entry/data/{name}")
    np.testing.assert_array_equal(acquisition.read(slice(None), slice(None)), small_scan)
