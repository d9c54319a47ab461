import json
import os
from pathlib import Path

import numpy as np
import pytest

from orimap.tasks.errors import InputError
from orimap.tasks.export.export import OF_ORIENTATIONS, export_results
from orimap.tasks.export.formats import FORMATS


@pytest.fixture
def folder(finished, tmp_path):
    """Results to write beside, with the same content."""
    for store in ("analysis.zarr", "revisions"):
        (tmp_path / "results").mkdir(exist_ok=True)
        (tmp_path / "results" / store).symlink_to(finished / store)
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("to", "revision"),
    [
        *((to, None) for to in sorted(set(FORMATS) - {"figures"})),
        *((to, "mine") for to in sorted(set(FORMATS) - {"figures"} - set(OF_ORIENTATIONS))),
    ],
)
def test_every_format_is_written_beside_the_results(folder, to, revision):
    written = export_results(folder, to, revision=revision)
    form = FORMATS[to]
    assert written == folder / "exports" / (revision or "") / (
        f"gold{form.file}" if form.file else to
    )
    assert written.is_file() == (form.file is not None)
    assert [path.name for path in written.parent.iterdir()] == [written.name]
    if form.file is None:
        record = json.loads((written / f"export_{to}.json").read_text())
        assert set(record["files"]) == {path.name for path in written.iterdir()}
        assert record["source"] == "gold.blo"
        assert "0 is where a position belongs to no cluster" in record["remarks"][0]


def test_figures_are_drawn_in_the_format_that_is_asked_for(folder, monkeypatch):
    from orimap.tasks.report.drawings import catalogue

    monkeypatch.setattr(catalogue, "FIGURES", {"shares": catalogue.FIGURES["shares"]})
    written = export_results(folder, "figures", folder / "drawn", picture="svg")
    assert {path.name for path in written.iterdir()} == {"shares.svg", "export_figures.json"}


def test_a_revision_is_exported_apart(folder):
    automatic, revised = (
        export_results(folder, "npz"),
        export_results(folder, "npz", revision="mine"),
    )
    assert revised == folder / "exports" / "mine" / "gold.npz"
    assert np.load(automatic)["labels"].max() == 2
    assert set(np.load(revised)["labels"].ravel()) == {0, 2}


def test_a_place_may_be_named(folder, tmp_path):
    assert export_results(folder, "emd", tmp_path / "x.H5").name == "x.H5"
    assert export_results(folder, "npz", tmp_path) == tmp_path / "gold.npz"
    assert export_results(folder, "hspy", tmp_path / "all.hspy").is_file()
    both = tmp_path / "both"
    assert export_results(folder, "hspy", both) == export_results(folder, "csv", both) == both
    assert {"labels.hspy", "clusters.csv"} <= {path.name for path in both.iterdir()}


@pytest.mark.parametrize("to", ["npz", "csv"])
def test_what_is_there_is_only_replaced_by_force(folder, to):
    place = export_results(folder, to)
    file = place if place.is_file() else place / "clusters.csv"
    file.write_text("mine")
    found = "gold.npz" if to == "npz" else "an earlier export in .*csv"
    with pytest.raises(InputError, match=rf"{found}[\s\S]*--force"):
        export_results(folder, to)
    assert file.read_text() == "mine"
    export_results(folder, to, force=True)
    assert file.read_bytes() != b"mine"
    assert not list(folder.rglob(".unfinished*"))


def test_files_of_others_are_in_the_way_and_stay(folder, tmp_path):
    (tmp_path / "clusters.csv").write_text("mine")
    with pytest.raises(InputError, match=r"clusters\.csv"):
        export_results(folder, "csv", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"results", "clusters.csv"}


def test_force_removes_what_an_earlier_export_left_and_nothing_else(folder, tmp_path):
    place = export_results(folder, "blo", tmp_path / "astar")
    record = place / "export_blo.json"
    listed = json.loads(record.read_text())
    (tmp_path / "precious").write_text("")
    for name in ("mean_pattern_9.bmp", "notes.txt"):
        (place / name).write_text("")
    listed["files"] |= {"mean_pattern_9.bmp": "", "../precious": "", str(tmp_path / "precious"): ""}
    record.write_text(json.dumps(listed))
    export_results(folder, "blo", place, force=True)
    left = {path.name for path in place.iterdir()}
    assert "mean_pattern_9.bmp" not in left
    assert {"notes.txt", "mean_pattern_2.bmp"} <= left
    assert (tmp_path / "precious").exists()


def test_what_fails_half_way_leaves_nothing(folder, monkeypatch):
    def stop(*_):
        raise OSError(28, os.strerror(28))

    export_results(folder, "csv")
    before = (folder / "exports" / "csv" / "clusters.csv").read_bytes()
    monkeypatch.setattr("orimap.tasks.export.write_tables._of_positions", stop)
    with pytest.raises(OSError, match="No space left"):
        export_results(folder, "csv", force=True)
    assert (folder / "exports" / "csv" / "clusters.csv").read_bytes() == before
    assert [path.name for path in (folder / "exports").iterdir()] == ["csv"]


@pytest.mark.parametrize(
    ("to", "options", "words"),
    [
        ("hdf5", {}, "choose one of hspy, emd, tiff, csv, npz, blo, ang, ctf, figures"),
        ("zspy", {}, r"orimap needs Zarr 3[\s\S]*export hspy.*\.save\('mean_patterns\.zspy'\)"),
        ("hspy", {"dpi": 100}, "--dpi for figures only"),
        ("csv", {"picture": "svg", "dpi": 100}, "--format and --dpi for figures only"),
        ("figures", {"picture": "gif"}, "choose one of png, svg, pdf"),
        ("figures", {"dpi": 0}, "10 to 2400 dots per inch"),
        ("figures", {"dpi": "x"}, "10 to 2400 dots per inch\nfound: 'x'"),
        ("figures", {"dpi": 99.5}, "10 to 2400 dots per inch"),
        (["hspy"], {}, r"\['hspy'\], which is not one name"),
        ("npz", {"revision": "yours"}, "revisions there: mine"),
        ("ang", {"revision": "mine"}, "not of revision mine[\\s\\S]*export the automatic result"),
        ("npz", {"output": "x.zip"}, r"write --output .*x\.npz"),
        ("tiff", {"output": "x.tif"}, r"a folder, as tiff is several[\s\S]*write --output .*x$"),
        ("tiff", {"output": "nowhere/x"}, "nowhere is not there"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(folder, tmp_path, to, options, words):
    if "output" in options:
        options = {**options, "output": tmp_path / options["output"]}
    with pytest.raises(InputError, match=words):
        export_results(folder, to, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert {path.name for path in folder.iterdir()} == {"analysis.zarr", "revisions"}


@pytest.mark.parametrize(
    ("to", "place"),
    [
        ("csv", "analysis.zarr"),
        ("npz", "analysis.zarr"),
        ("csv", "analysis.zarr/new"),
        ("npz", "revisions/mine.zarr/clusters/x.npz"),
        ("hspy", "revisions/mine.zarr/clusters"),
    ],
)
def test_nothing_is_written_into_a_store_by_force_either(folder, finished, to, place):
    before = sorted(finished.rglob("*"))
    with pytest.raises(InputError, match="not inside a data set"):
        export_results(folder, to, folder / place, force=True)
    assert sorted(finished.rglob("*")) == before


@pytest.mark.parametrize("place", [".", "../here"])
def test_the_folder_one_is_in_can_be_written_to(folder, tmp_path, monkeypatch, place):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    export_results(folder, "csv", Path(place))
    export_results(folder, "npz", Path(place))
    written = {"clusters.csv", "columns.csv", "export_csv.json", "gold.npz", "positions.csv"}
    assert {path.name for path in (tmp_path / "here").iterdir()} == written


def test_a_folder_that_takes_no_files_is_told(folder):
    for to, place in (("npz", "/proc/a.npz"), ("csv", "/proc")):
        with pytest.raises(InputError, match="a folder that can be written\nfound: /proc"):
            export_results(folder, to, Path(place))


@pytest.mark.parametrize("to", sorted(set(FORMATS) - {"figures", "blo"} - set(OF_ORIENTATIONS)))
def test_what_there_is_is_written_where_there_are_no_clusters(without_clusters, tmp_path, to):
    place = tmp_path / f"{to}{FORMATS[to].file or ''}"
    written = export_results(without_clusters, to, place, revision="none")
    assert written.exists()
    if to in ("hspy", "tiff"):
        names = {path.stem for path in written.iterdir()}
        assert {"labels", "component_patterns", "overlap_ratio"} <= names
        assert not {"mean_patterns", "representatives", "shares"} & names
        assert "There are no clusters." in (written / f"export_{to}.json").read_text()


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no complete analysis\.zarr"):
        export_results(tmp_path / "nothing", "csv")
    assert not list(tmp_path.iterdir())
