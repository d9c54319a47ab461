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
    assert images == {"map": page.Picture(page.data_address(written), "A map of the scan.")}
    assert (folder / "mine.png").read_bytes() == b"of an earlier run"


def test_the_fields_of_a_page_are_what_its_template_shows():
    shown = page.Page("5 <patterns>", "scan.hspy", "9 × 12 positions", [], {}, "2026-01-02 03:04")
    text = page.render("page.html", shown).decode()
    assert "<h1>5 &lt;patterns&gt;</h1>" in text
    assert "<title>5 &lt;patterns&gt; · scan.hspy</title>" in text
    assert '<p class="measured">9 × 12 positions</p>' in text
    assert "Written 2026-01-02 03:04 by orimap." in text
