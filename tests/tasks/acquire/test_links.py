"""Ways in which an acquisition leads out of a folder; each is refused before anything is read."""

import os

import h5py
import numpy as np
import pytest
import zarr
from PIL import Image

from orimap.tasks.acquire.links import require_inside
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.errors import InputError

SHAPE = (4, 5, 16, 17)


class Place:
    """A folder that may be read, and one beside it that may not."""

    def __init__(self, root):
        self.inside, self.outside = root / "watched", root / "private"
        self.inside.mkdir()
        self.outside.mkdir(mode=0o700)
        self.patterns = np.random.default_rng(0).poisson(3, SHAPE).astype("u2")
        self.stack = self.patterns.reshape(20, 16, 17)
        with h5py.File(self.outside / "secret.h5", "w") as file:
            file["x"], file["stack"] = self.patterns, self.stack
        (self.outside / "secret.raw").write_bytes(self.patterns.tobytes())
        for path in self.outside.iterdir():
            path.chmod(0o600)

    def moved_out(self, path):
        """Move something out, and leave a link in its place."""
        target = self.outside / f"moved_{path.name}"
        os.rename(path, target)
        path.symlink_to(target)


def external_storage(place):
    path, secret = place.inside / "scan.h5", place.outside / "secret.raw"
    with h5py.File(path, "w") as file:
        outside = [(str(secret), 0, place.patterns.nbytes)]
        file.create_dataset("x", SHAPE, "u2", external=outside)
    return path


def external_link(place):
    path = place.inside / "scan.h5"
    with h5py.File(path, "w") as file:
        file["x"] = h5py.ExternalLink("../private/secret.h5", "/x")
    return path


def chained_links(place):
    path = place.inside / "scan.h5"
    with h5py.File(place.inside / "between.h5", "w") as file:
        file["g/x"] = h5py.ExternalLink(str(place.outside / "secret.h5"), "/x")
    with h5py.File(path, "w") as file:
        file["x"], file["linked"] = (
            h5py.SoftLink("/linked/x"),
            h5py.ExternalLink("between.h5", "/g"),
        )
    return path


def _virtual(place, source):
    path = place.inside / "scan.h5"
    layout = h5py.VirtualLayout(SHAPE, "u2")
    layout[...] = h5py.VirtualSource(source, "x", SHAPE)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("x", layout)
    return path


def virtual_above(place):
    return _virtual(place, "../private/secret.h5")


def virtual_absolute(place):
    return _virtual(place, str(place.outside / "secret.h5"))


def virtual_behind_a_link(place):
    (place.inside / "part.h5").symlink_to(place.outside / "secret.h5")
    return _virtual(place, "part.h5")


def dectris_master(place):
    path = place.inside / "scan_master.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data_000001"] = h5py.ExternalLink("../private/secret.h5", "/stack")
    return path


def hyperspy(place):
    path = place.inside / "scan.hspy"
    with h5py.File(path, "w") as file:
        file.attrs.update(file_format="HyperSpy", file_format_version="3.1")
        group = file.create_group("Experiments/scan")
        group["data"] = h5py.ExternalLink("../private/secret.h5", "/x")
        group.create_group("metadata")
        for number, size in enumerate(SHAPE):
            facts = {"navigate": number < 2, "scale": 1.0, "size": size}
            group.create_group(f"axis-{number}").attrs.update(facts)
    return path


def zarr_chunk(place):
    path = place.inside / "scan.zarr"
    zarr.create_array(path, data=place.patterns, chunks=(2, 5, 16, 17))
    place.moved_out(path / "c/0/0/0/0")
    return path


def zarr_folder(place):
    path = place.inside / "scan.zarr"
    zarr.create_array(path, data=place.patterns, chunks=(2, 5, 16, 17))
    place.moved_out(path / "c/1")
    return path


def image_in_a_folder(place):
    path = place.inside / "images"
    path.mkdir()
    for number, pattern in enumerate(place.stack):
        Image.fromarray(pattern.astype("u1")).save(path / f"p_{number:03d}.png")
    place.moved_out(path / "p_007.png")
    return path


def merlin_header(place):
    path = place.inside / "scan.mib"
    head = "MQ1,000001,00384,01,0017,0016,U16,   1x1,01,2024-03-01 10:00:00.000000,0.001"
    frames = [head.encode().ljust(384) + each.astype(">u2").tobytes() for each in place.stack]
    path.write_bytes(b"".join(frames))
    path.with_suffix(".hdr").write_text("HDR,\nFrames in Acquisition (Number):\t20\nEnd\n")
    place.moved_out(path.with_suffix(".hdr"))
    return path


def empad_raw(place):
    path, raw = place.inside / "acquired.xml", place.inside / "scan_x5_y4.raw"
    np.ones((20, 130, 128), "<f4").tofile(raw)
    place.moved_out(raw)
    path.write_text(
        f'<root><raw_file filename="{raw.name}"/><pix_x>5</pix_x><pix_y>4</pix_y></root>'
    )
    return path


def tia_series(place):
    path = place.inside / "scan.emi"
    path.write_bytes(b"JK" + bytes(500))
    (place.inside / "scan_1.ser").symlink_to(place.outside / "secret.raw")
    return path


def the_file_itself(place):
    np.save(place.outside / "secret.npy", place.patterns)
    (place.inside / "scan.npy").symlink_to(place.outside / "secret.npy")
    return place.inside / "scan.npy"


KINDS = [
    external_storage, external_link, chained_links, virtual_above, virtual_absolute,
    virtual_behind_a_link, dectris_master, hyperspy, zarr_chunk, zarr_folder, image_in_a_folder,
    merlin_header, empad_raw, tia_series, the_file_itself,
]  # fmt: skip
# Opened as they are by a person's own command; the others have nothing to be opened, or need more.
READ = {each: {} for each in KINDS if each not in (merlin_header, tia_series, the_file_itself)}
READ |= {each: {"scan_shape": (4, 5)} for each in (dectris_master, image_in_a_folder)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_what_leads_out_of_the_allowed_folders_is_refused(tmp_path, kind):
    place = Place(tmp_path)
    path = kind(place)
    with pytest.raises(InputError, match="lies elsewhere") as refused:
        open_acquisition(path, roots=[place.inside], scan_shape=(4, 5))
    assert str(place.outside) in refused.value.found
    assert "ORIMAP_ROOTS" in refused.value.remedy
    # With the other folder allowed as well nothing stands against it.
    require_inside(path, [place.inside, place.outside])


@pytest.mark.parametrize("kind", READ, ids=lambda kind: kind.__name__)
def test_a_person_may_follow_links_and_is_told_where_they_lead(tmp_path, kind):
    place = Place(tmp_path)
    found = open_acquisition(kind(place), **READ[kind])
    assert found.elsewhere
    assert all(each.is_relative_to(place.outside) for each in found.elsewhere)
    assert found.read(slice(0, 4), slice(0, 5)).any()


@pytest.mark.parametrize("kind", READ, ids=lambda kind: kind.__name__)
def test_what_lies_behind_a_link_belongs_to_the_identity(tmp_path, kind):
    place = Place(tmp_path)
    path = kind(place)
    before = open_acquisition(path, **READ[kind])
    (behind,) = before.elsewhere
    status = behind.stat()
    os.utime(behind, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))
    after = open_acquisition(path, **READ[kind])
    assert after.identity != before.identity
    with pytest.raises(InputError, match="stay as they are"):
        before.require_unchanged()
    after.require_unchanged()


def test_what_lies_within_is_read_whatever_leads_to_it(tmp_path):
    place = Place(tmp_path)
    inner = place.inside / "day 1"
    inner.mkdir()
    with h5py.File(inner / "data.h5", "w") as file:
        file["x"] = place.patterns
    with h5py.File(place.inside / "scan.h5", "w") as file:
        file["x"] = h5py.ExternalLink("day 1/data.h5", "/x")
    found = open_acquisition(place.inside / "scan.h5", roots=[place.inside])
    np.testing.assert_array_equal(found.read(slice(0, 4), slice(0, 5)), place.patterns)
    assert found.elsewhere == ()


def test_a_link_to_a_link_in_circles_ends(tmp_path):
    place = Place(tmp_path)
    path = zarr_chunk(place)
    (path / "c" / "again").symlink_to(path)
    require_inside(path, [place.inside, place.outside])
    with pytest.raises(InputError):
        require_inside(path, [place.inside])
