import os

import pytest

from orimap.tasks.acquire.arrivals.find_arrivals import find_arrivals

XML = '<root><raw_file filename="scan_x3_y2.raw"/></root>'


@pytest.fixture
def put(tmp_path):
    """Write files of given names; return what is found, with the names of the files of each."""
    root = tmp_path / "watched"
    root.mkdir()
    complaints = []

    def write(*names, include=(), leave_out=()):
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.fsencode(XML if name.endswith(".xml") else name))
        found = find_arrivals(
            root,
            include=include,
            leave_out=leave_out,
            complain=lambda path, why: complaints.append((path.name, why)),
        )
        return {
            each.main.relative_to(root).as_posix(): sorted(f.path.name for f in each.files)
            for each in found
        }

    write.root, write.complaints = root, complaints
    return write


def test_files_that_belong_together_are_one_acquisition(put):
    found = put(
        "a.blo", "day/b.mib", "day/b.hdr", "c.emi", "c_1.ser", "c_2.ser", "d_master.h5",
        "d_data_000001.h5", "d_data_000002.h5", "d.h5", "e.xml", "scan_x3_y2.raw",
        "f_000.tvips", "f_001.tvips",
    )  # fmt: skip
    assert found == {
        "a.blo": ["a.blo"],
        "day/b.mib": ["b.hdr", "b.mib"],
        "c.emi": ["c.emi", "c_1.ser", "c_2.ser"],
        "d_master.h5": ["d.h5", "d_data_000001.h5", "d_data_000002.h5", "d_master.h5"],
        "e.xml": ["e.xml", "scan_x3_y2.raw"],
        "f_000.tvips": ["f_000.tvips", "f_001.tvips"],
    }


def test_a_main_file_that_has_not_come_is_missed(put):
    put("c_1.ser", "d_data_000001.h5", "f_001.tvips")
    found = find_arrivals(put.root, complain=print)
    assert [each.missing for each in found] == ["c.emi", "d_master.h5", "f_000.tvips"]


def test_what_is_no_acquisition_is_passed_over_quietly(put):
    found = put(
        "notes.txt", "overview.png", "picture.tif", ".hidden.blo", "a.blo.part", "b.npy.tmp",
        "c.mib.filepart", "d.blo~", "truth.npz", "other.xml.bak", ".trash/x.blo", "lone.hdr",
    )  # fmt: skip
    assert found == {}
    assert put.complaints == []


def test_folders_of_zarr_and_of_images_are_acquisitions(put):
    images = [f"day/series/pattern_{number}.bmp" for number in range(16)]
    found = put("s.zarr/zarr.json", "s.zarr/0/c/0", *images, "few/1.png", "few/2.png")
    assert set(found) == {"s.zarr", "day/series"}
    assert len(found["day/series"]) == 16


def test_images_beside_an_acquisition_are_pictures_of_it(put):
    found = put("day/a.blo", *(f"day/overview_{number}.png" for number in range(20)))
    assert set(found) == {"day/a.blo"}


def test_results_are_not_looked_into(put):
    found = put("done/analysis.zarr/zarr.json", "done/patterns.zarr/zarr.json", "done/x.blo")
    assert found == {}
    assert put("out/y.blo", "a.blo", leave_out=[put.root / "out"]) == {"a.blo": ["a.blo"]}


def test_names_can_be_chosen(put):
    names = ("a.blo", "day1/b.blo", "day2/c.blo", "pattern.tif")
    assert set(put(*names, include=["day1/*"])) == {"day1/b.blo"}
    assert set(put(include=["*.tif"])) == {"pattern.tif"}


def test_links_that_lead_out_are_refused_and_others_found_once(put, tmp_path):
    outside = tmp_path / "secret.blo"
    outside.write_text("x")
    put("a.blo")
    (put.root / "out.blo").symlink_to(outside)
    (put.root / "dir").symlink_to(tmp_path)
    (put.root / "again.blo").symlink_to(put.root / "a.blo")
    (put.root / "circle").symlink_to(put.root / "circle")
    assert set(put()) == {"a.blo"}
    complained = dict(put.complaints)
    assert set(complained) == {"out.blo", "dir"}
    assert "leads out" in complained["dir"]


def test_a_folder_that_cannot_be_listed_is_told_and_the_rest_found(put, monkeypatch):
    put("a.blo", "closed/b.blo")
    real = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read everything
    assert set(put()) == {"a.blo"}
    assert put.complaints == [("closed", "cannot be opened: Permission denied")]


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        find_arrivals(tmp_path / "gone", complain=print)


def test_identity_follows_name_and_content_and_not_time(put):
    def arrival():
        return find_arrivals(put.root, complain=print)[0]

    put("a.blo")
    first, identity = arrival(), arrival().identity(put.root)
    os.utime(first.main, (1, 1))
    assert arrival().identity(put.root) == identity
    assert arrival().signature != first.signature
    first.main.write_text("A.blo")
    assert arrival().identity(put.root) != identity
    (put.root / "a.blo").rename(put.root / "b.blo")
    (put.root / "b.blo").write_text("a.blo")
    assert arrival().identity(put.root) != identity


def test_a_sidecar_changes_the_signature_and_not_the_identity(put):
    put("a.blo")
    first = find_arrivals(put.root, complain=print)[0]
    for name in ("a.blo.orimap.yaml", "a.orimap.yaml"):
        (put.root / name).write_text("k: 1:4")
        second = find_arrivals(put.root, complain=print)[0]
        assert second.signature != first.signature
        assert second.identity(put.root) == first.identity(put.root)
        (put.root / name).unlink()


def test_names_that_are_no_text_are_told_and_passed_over(put):
    bad = os.fsdecode(b"\xe9.npy")
    assert put("a.blo", bad, os.fsdecode(b"M\xe9ss/b.blo")) == {"a.blo": ["a.blo"]}
    assert {name for name, _ in put.complaints} == {os.fsdecode(b"M\xe9ss"), bad}
    assert {why for _, why in put.complaints} == {"has a name that is not valid UTF-8: rename it"}


FRAME = b"MQ1,000001,00384,01,0004,0004,U08,   1x1".ljust(384) + bytes(16)


def test_single_merlin_frames_in_a_folder_are_one_acquisition(put):
    for number in range(16):
        path = put.root / "frames" / f"frame_{number:04d}.mib"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(FRAME)
    found = put("b.npy")
    assert list(found) == ["b.npy", "frames"]
    assert len(found["frames"]) == 16
    assert put.complaints == []


def test_single_merlin_frames_beside_others_are_passed_over_with_a_word(put):
    for number in range(16):
        (put.root / f"frame_{number:04d}.mib").write_bytes(FRAME)
    assert list(put("b.npy")) == ["b.npy"]
    ((name, why),) = put.complaints
    assert name == "watched"
    assert why.startswith("holds 16 .mib files of one pattern each")


@pytest.mark.parametrize("contents", [FRAME * 20, b"MQ1,", b""])
def test_merlin_files_of_one_size_may_be_scans(put, contents):
    for number in range(16):
        (put.root / f"scan_{number:02d}.mib").write_bytes(contents)
    assert len(put()) == 16
