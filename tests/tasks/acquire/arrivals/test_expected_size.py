import struct
import zipfile

import h5py
import numpy as np
import pytest

from orimap.tasks.acquire.arrivals.expected_size import (
    UNKNOWN,
    ends_in_zeros,
    merlin_frame_bytes,
    told_by_header,
)
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

EMPAD_XML = (
    '<root><raw_file filename="C:\\data\\scan_x3_y2.raw"/><pix_x>3</pix_x><pix_y>2</pix_y></root>'
)


def write_blo(path):
    write_scan(ScanRecipe(scan=(4, 5), detector=(24, 24), grains=2), path)


def write_npy(path):
    np.save(path, np.ones((4, 5, 6, 7), np.uint16))


def write_hdf5(path):
    with h5py.File(path, "w") as file:
        file["patterns"] = np.ones((4, 5, 60, 70), np.uint16)


def write_newest_hdf5(path):
    with h5py.File(path, "w", libver="latest") as file:
        file["patterns"] = np.ones((4, 5, 60, 70), np.uint16)


def write_mib(path):
    path.with_suffix(".hdr").write_text("HDR,\nFrames in Acquisition (Number):\t6\nEnd\t\n")
    head = b"MQ1,000001,00384,01,0008,0004,U16,   1x1,01,".ljust(384)
    path.write_bytes(6 * (head + bytes(range(64))))


def write_mrc(path):
    head = bytearray(1024)
    struct.pack_into("<4i", head, 0, 8, 4, 6, 1)
    struct.pack_into("<i", head, 92, 128)
    path.write_bytes(bytes(head) + bytes(128) + b"\1" * (6 * 4 * 8 * 2))


def write_dm4(path):
    path.write_bytes(struct.pack(">IQI", 4, 1000, 1) + b"\1" * 1000 + bytes(8))


def write_zspy(path):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("zarr.json", "{}" * 500)


def write_ser(path, valid=3):
    head = struct.pack("<2sHHIIII", b"II", 0x197, 0x220, 0x4122, 0x4152, 3, valid)
    head += struct.pack("<QI", 400, 0)
    elements = 512 + 200 * np.arange(3)
    body = head.ljust(400, b"\0") + struct.pack("<3Q", *elements)
    path.write_bytes(body.ljust(512, b"\0") + b"\1" * 600)


WRITERS = {
    "a.blo": write_blo, "a.npy": write_npy, "a.h5": write_hdf5, "a.hspy": write_newest_hdf5,
    "a.mib": write_mib, "a.mrc": write_mrc, "a.dm4": write_dm4, "a.zspy": write_zspy,
    "a_1.ser": write_ser,
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_is_whole_at_its_last_byte_and_not_before(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    assert told_by_header(path).whole is True
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    told = told_by_header(path)
    assert told.whole is False
    assert told.words


@pytest.mark.parametrize("name", WRITERS)
def test_a_header_that_is_cut_short_says_nothing(tmp_path, name):
    path = tmp_path / name
    WRITERS[name](path)
    path.write_bytes(path.read_bytes()[:11])
    assert told_by_header(path).whole is not True


def test_bytes_are_counted_in_words(tmp_path):
    write_npy(tmp_path / "a.npy")
    with (tmp_path / "a.npy").open("r+b") as file:
        file.truncate(1000)
    assert (
        told_by_header(tmp_path / "a.npy").words
        == "1,000 of the 1,808 bytes that its header announces (4×5×6×7)"
    )


def test_a_file_whose_size_is_reserved_before_it_is_filled_is_not_whole(tmp_path):
    for name, writer in (("a.blo", write_blo), ("a.mib", write_mib)):
        path = tmp_path / name
        writer(path)
        whole = path.read_bytes()
        half = len(whole) // 2
        path.write_bytes(whole[:half] + bytes(len(whole) - half))
        assert told_by_header(path).whole is False


def test_an_end_of_zeros_is_noticed(tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(b"1" * 5000)
    assert not ends_in_zeros(path)
    path.write_bytes(b"1" * 5000 + bytes(4096))
    assert ends_in_zeros(path)


def test_companions_that_are_not_there_are_named(tmp_path):
    write_mib(tmp_path / "a.mib")
    (tmp_path / "a.hdr").unlink()
    assert told_by_header(tmp_path / "a.mib").missing == "a.hdr"
    (tmp_path / "b [1].emi").write_bytes(b"x")
    assert told_by_header(tmp_path / "b [1].emi").missing == "b [1]_1.ser"
    write_ser(tmp_path / "b [1]_1.ser", valid=2)
    assert told_by_header(tmp_path / "b [1].emi").words == "b [1]_1.ser: 2 of 3 elements"
    write_ser(tmp_path / "b [1]_1.ser")
    assert told_by_header(tmp_path / "b [1].emi").whole is True
    (tmp_path / "c.zarr").mkdir()
    assert told_by_header(tmp_path / "c.zarr").missing == "zarr.json"


def test_the_raw_file_of_an_empad_detector_is_found_by_its_description(tmp_path):
    xml, raw = tmp_path / "a.xml", tmp_path / "scan_x3_y2.raw"
    xml.write_text(EMPAD_XML)
    assert told_by_header(xml).missing == raw.name
    raw.write_bytes(bytes(6 * 130 * 128 * 4 - 1))
    assert (
        told_by_header(xml).words
        == "399,359 of the 399,360 bytes that its header announces (6 patterns)"
    )
    raw.write_bytes(bytes(6 * 130 * 128 * 4))
    assert told_by_header(xml).whole is True


def test_an_empad_file_is_whole_where_it_has_the_patterns_of_one_of_its_modes(tmp_path):
    xml, raw = tmp_path / "a.xml", tmp_path / "scan_x3_y2.raw"
    xml.write_text(EMPAD_XML.replace("<pix_x>3", "<pix_x>4"))
    raw.write_bytes(bytes(6 * 130 * 128 * 4))
    assert told_by_header(xml).whole is True
    raw.write_bytes(bytes(5 * 130 * 128 * 4))
    assert (
        told_by_header(xml).words
        == "332,800 of the 532,480 bytes that its header announces (8 patterns)"
    )


def test_the_length_of_a_merlin_frame_stands_in_its_header(tmp_path):
    (tmp_path / "a.mib").write_bytes(b"MQ1,000001,00384,01,0064,0048,U16,   1x1".ljust(384))
    assert merlin_frame_bytes(tmp_path / "a.mib") == 384 + 64 * 48 * 2
    (tmp_path / "b.mib").write_bytes(b"MQ1,000001")
    with pytest.raises(IndexError):
        merlin_frame_bytes(tmp_path / "b.mib")


def test_hdf5_that_a_program_has_open_for_writing_is_not_whole(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="v110") as file:
        file["patterns"] = np.ones((3, 4))
        file.flush()
        assert told_by_header(tmp_path / "a.h5").whole is False
    assert told_by_header(tmp_path / "a.h5").whole is True


def test_what_a_format_does_not_say_is_not_known(tmp_path):
    (tmp_path / "a_000.tvips").write_bytes(b"1" * 999)
    assert told_by_header(tmp_path / "a_000.tvips") == UNKNOWN
    (tmp_path / "a.h5").write_text("no HDF5 at all, but long enough for a header of one " * 3)
    assert told_by_header(tmp_path / "a.h5") == UNKNOWN


def test_files_as_microscopes_write_them_are_whole(shared_data):
    endings = (".mib", ".emi", ".ser", ".emd", ".blo", ".hspy", ".h5")
    files = [p for p in (shared_data / "formats").iterdir() if p.suffix in endings]
    assert len(files) >= 9
    assert {path.name: told_by_header(path).whole for path in files} == {
        path.name: True for path in files
    }
