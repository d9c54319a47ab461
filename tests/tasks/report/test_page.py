import base64

import pytest
from matplotlib.figure import Figure

from orimap.tasks.report import page


def test_an_image_is_its_own_address():
    address = page.data_address(b"\x89PNG and more")
    head, code = address.split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(code) == b"\x89PNG and more"


def test_a_figure_becomes_png():
    assert page.png_of(Figure(figsize=(1, 1))).startswith(b"\x89PNG")


def test_a_file_is_replaced_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "file"
    page.write_whole(path, b"old")
    page.write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o644

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        page.write_whole(path, b"newer")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"new"


def test_figures_are_written_by_name_and_those_no_longer_drawn_go(tmp_path):
    folder = tmp_path / "figures"
    folder.mkdir()
    for name in ("map.png", "loss.png", "mine.png"):
        (folder / name).write_bytes(b"of an earlier run")
    drawings = [page.Drawing("map", "A map of the scan.", lambda: Figure(figsize=(1, 1)))]
    images = page.write_figures(folder, drawings, ("map", "loss"))
    assert sorted(file.name for file in folder.iterdir()) == ["map.png", "mine.png"]
    written = (folder / "map.png").read_bytes()
    assert images == {"map": {"address": page.data_address(written), "alt": "A map of the scan."}}
    assert (folder / "mine.png").read_bytes() == b"of an earlier run"
