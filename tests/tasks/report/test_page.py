import base64

from matplotlib.figure import Figure

from orimap.tasks.report import page


def test_an_image_is_its_own_address():
    address = page.data_address(b"\x89PNG and more")
    head, code = address.split(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(code) == b"\x89PNG and more"


def test_a_figure_becomes_png():
    assert page.png_of(Figure(figsize=(1, 1))).startswith(b"\x89PNG")


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
