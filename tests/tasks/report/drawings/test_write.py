from matplotlib.figure import Figure

from orimap.tasks.report.drawings import write


def test_a_figure_becomes_png():
    assert write.png_of(Figure(figsize=(1, 1))).startswith(b"\x89PNG")


def test_figures_are_written_by_name_and_those_no_longer_drawn_go(tmp_path):
    folder = tmp_path / "figures"
    folder.mkdir()
    for name in ("map.png", "loss.png", "mine.png"):
        (folder / name).write_bytes(b"of an earlier run")
    drawings = [write.Drawing("map", "A map of the scan.", lambda: Figure(figsize=(1, 1)))]
    images = write.write_figures(folder, drawings, ("map", "loss"))
    assert sorted(file.name for file in folder.iterdir()) == ["map.png", "mine.png"]
    assert (folder / "map.png").read_bytes().startswith(b"\x89PNG")
    assert images["map"].alt == "A map of the scan."
    assert images["map"].box == (72, 72)
    assert (folder / "mine.png").read_bytes() == b"of an earlier run"
