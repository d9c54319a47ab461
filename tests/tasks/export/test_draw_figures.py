import numpy as np
import pytest
from PIL import Image

from orimap.tasks.export.contents import read_contents
from orimap.tasks.export.draw_figures import write_folder
from orimap.tasks.report.drawings import catalogue


@pytest.fixture
def only(monkeypatch):
    """Draw only some figures: all of them take seconds."""

    def only(*names):
        kept = {name: catalogue.FIGURES[name] for name in names}
        monkeypatch.setattr(catalogue, "FIGURES", kept)

    return only


def test_svg_keeps_its_words_and_what_cannot_be_drawn_is_left_out(finished, tmp_path, only):
    only("shares", "loss")
    said = write_folder(read_contents(finished), tmp_path, finished / "analysis.zarr", "svg", 100)
    assert said == {"shares.svg": "Maps of the share of each cluster at every position."}
    drawn = (tmp_path / "shares.svg").read_text()
    assert "<svg" in drawn
    assert "<text" in drawn


def test_pdf(finished, tmp_path, only):
    only("cluster_map")
    write_folder(read_contents(finished), tmp_path, finished / "analysis.zarr", "pdf", 100)
    assert (tmp_path / "cluster_map.pdf").read_bytes().startswith(b"%PDF")


def test_png_of_a_revision_has_as_many_dots_as_were_asked_for(finished, tmp_path, only):
    only("cluster_map")
    sizes = {}
    for revision, dpi in ((None, 50), ("mine", 50), ("mine", 100)):
        folder = tmp_path / f"{revision}-{dpi}"
        folder.mkdir()
        contents = read_contents(finished, revision)
        write_folder(contents, folder, finished / "analysis.zarr", "png", dpi)
        with Image.open(folder / "cluster_map.png") as image:
            sizes[revision, dpi] = np.array(image.size), image.convert("RGB").tobytes()
    np.testing.assert_allclose(sizes["mine", 100][0], 2 * sizes["mine", 50][0], atol=1)
    assert sizes[None, 50][1] != sizes["mine", 50][1]
