import base64
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import zlib
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
import zarr
from PIL import Image

from orimap.tasks.errors import InputError
from orimap.tasks.report import report
from orimap.tasks.report.drawings.catalogue import FIGURES, report_drawings
from orimap.tasks.report.drawings.write import Picture, write_figures
from orimap.tasks.report.page import render
from orimap.tasks.report.results import read_results
from orimap.tasks.report.sections import answer, run
from orimap.tasks.store import variables
from orimap.tasks.store.groups import write_group
from orimap.tasks.store.open_results import Revision, revision_store


def test_page_opens_with_the_answer(written):
    path, page = written
    assert path.name == "report.html"
    assert page.open == []
    assert page.headings[0] == 1
    assert "6 distinct patterns, moderate confidence" in page.text
    assert page.headings.count(1) == 1
    assert max(np.diff(page.headings)) <= 1


def test_every_figure_is_a_file_and_on_the_page(written):
    path, page = written
    files = sorted((path.parent / "figures").glob("*"))
    assert {file.stem for file in files} == set(FIGURES) == set(page.figures)
    assert all(file.suffix == ".png" for file in files)
    assert path.stat().st_size < 6e6


def test_page_loads_nothing_from_elsewhere(written):
    path, page = written
    assert page.loads
    assert all(address.startswith(("data:image/png;base64,", "data:,")) for address in page.loads)
    source = re.sub(r"base64,[^\"]*", "", path.read_text())
    assert not re.search(
        r"https?:|[\"'(]//[a-z]|@import|url\((?!#)|<iframe|<script[^>]* src", source
    )


def test_no_script_runs_but_the_page_s_own(written):
    source = written[0].read_text()
    scripts = re.findall(r"<script>(.*?)</script>", source, re.S)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', source)
    assert "default-src 'none'; img-src data: blob:; " in policy
    assert f"script-src 'sha256-{digest}';" in policy


def test_every_image_says_what_it_shows(written):
    assert all(len(image["alt"]) > 15 for image in written[1].images)


def test_images_are_whole(written):
    for image in written[1].images:
        if "src" not in image:
            continue
        data = base64.b64decode(image["src"].split(",")[1])
        assert min(Image.open(io.BytesIO(data)).size) > 20


def test_page_tells_evidence_repairs_and_steps(written):
    page = written[1]
    assert "The drop in held-out deviance falls by a factor of 90 after 6." in page.text
    assert "The fit used has 8 components; 6 distinct patterns are left after merging" in page.text
    assert "2 hot pixels masked." in page.text
    assert "Pixels that are not analysed are black." in page.text
    assert "9 pixels left out by the given mask." in page.text
    assert "The detector scale was given in cm and was dropped." in page.text
    assert "36 × 48 positions, 2.5 nm apart (90 × 120 nm)" in page.text
    assert "9.6 s" in page.text
    assert "900 MB predicted" in page.text
    assert '"filter": "raw"' in page.text
    assert "memory 8.0 GB" in page.text
    assert "k component loss relative loss held out drop held out drop error in range" in page.text
    assert "/somewhere/else" not in page.text


@pytest.mark.usefixtures("few_pictures")
def test_hostile_text_is_shown_not_run(tmp_path, small_store_of, page_of, run_record):
    evil = "<script>alert('x')</script><img src=http://example.org/x onerror=y>"
    run = run_record | {"request": {"file": evil}, "steps": [{"name": evil, "seconds": 1}]}
    run["versions"] = {evil: evil}
    page = page_of(small_store_of(notes=[evil]), run)
    assert page.text.count("alert('x')") >= 4
    assert page.open == []
    assert all(address.startswith("data:") for address in page.loads)
    assert "<script>alert" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    "content",
    [
        {"scan": (6, 7), "clusters": 1, "k_max": 3},
        {"scan": (2, 3), "clusters": 2, "k_max": 4, "detector": (8, 8)},
        pytest.param(
            {"scan": (60, 9), "clusters": 3, "detector": (12, 20)}, marks=pytest.mark.slow
        ),
        {"scan": (1, 40), "clusters": 3, "calibrated": False},
    ],
    ids=["one cluster", "2x3 scan", "tall scan", "line, not calibrated"],
)
@pytest.mark.usefixtures("small_pictures")
def test_unusual_scans_are_drawn(store_of, page_of, content):
    page = page_of(store_of(**content))
    count = content["clusters"]
    assert f"{count} distinct pattern{'' if count == 1 else 's'}, moderate confidence" in page.text
    assert "nan" not in page.text.lower().split()


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("acquisition", "Neither a virtual bright field nor a mean pattern was stored."),
        pytest.param("sketch", "3 distinct patterns", marks=pytest.mark.slow),
        ("decision", "No loss curve was stored."),
        ("clusters", "No map of clusters was stored."),
        pytest.param("overlap", "No overlap map was stored.", marks=pytest.mark.slow),
        pytest.param("baseline", "No baseline map was made.", marks=pytest.mark.slow),
        ("fits", "3 distinct patterns"),
    ],
)
@pytest.mark.usefixtures("small_pictures")
def test_what_is_not_stored_is_named(tmp_path, small_store, page_of, missing, said):
    store = tmp_path / "analysis.zarr"
    shutil.copytree(small_store, store)
    shutil.rmtree(store / missing)
    assert said in page_of(store).text


def test_registered_reflections_are_shown_and_told(written):
    _, page = written
    assert "What the registered reflections show" in page.text
    assert "have no direct beam that was recognised" in page.text
    assert "1100 times less than the patterns it comes from" in page.text
    assert "on disk: 200 times" in page.text
    maps = next(i["alt"] for i in page.images if i["alt"].startswith("Maps of the scan from"))
    assert maps.endswith("bright field, sum of intensities, sum of prominences, noise.")


def test_a_map_of_one_value_is_told(written):
    _, page = written
    assert "The prominence needed is 3.8 standard deviations of the noise everywhere." in page.text
    assert "The number of reflections is 3 everywhere." in page.text
    assert "The dark field of 1:4,1:4 is 0 electrons everywhere." in page.text


def test_the_beam_s_places_are_shown_and_told(written):
    _, page = written
    assert (
        "the direct beam lies at −2 to 1.89 px along y and 0 to 0 px along x; in 1 pattern (grey) "
        "its position was not measured." in page.text
    )
    assert any("where the direct beam lies" in image["alt"] for image in page.images)


@pytest.mark.usefixtures("few_pictures")
def test_a_beam_that_was_not_measured_is_not_spoken_of(tmp_path, small_store, page_of):
    store = tmp_path / "analysis.zarr"
    shutil.copytree(small_store, store)
    shutil.rmtree(store / "acquisition" / "scan_beam_shift")
    assert "Where the direct beam lies" not in page_of(store).text
    assert not (tmp_path / "figures" / "beam_shift.png").exists()


def test_of_counts_the_camera_is_told_in_a_few_words(written):
    _, page = written
    assert (
        "How the noise grows with brightness Judging by the noise of neighbouring patterns, one "
        "unit of intensity is one electron (gain 1.020 ± 0.013). Each point is a group of pixels"
    ) in page.text
    assert "the factor is the gain" in page.text
    assert any(image["alt"].startswith("Variance of the noise") for image in page.images)


@pytest.mark.usefixtures("few_pictures")
def test_the_camera_is_shown_and_told(small_store_of, page_of):
    page = page_of(small_store_of(held_out=False))
    assert (
        "How the noise grows with brightness Measured from neighbouring patterns, the camera has a "
        "gain of 1.020 ± 0.013 per electron, an offset of 0.0020 ± 0.0011 and" in page.text
    )
    assert "neighbours share 41.0 ± 1.2 % of the noise" in page.text


@pytest.mark.usefixtures("few_pictures")
def test_a_stretched_contrast_is_told_below_its_curve(small_store):
    found = read_results(small_store)
    acquired = found.groups["acquisition"].assign_attrs(counts_like=False, camera_gamma=0.55)
    stretched = replace(found, groups={**found.groups, "acquisition": acquired})
    page = report.page_of(stretched, {})
    picture = Picture("<g></g>", "Variance of the noise", (72, 36), 96, 0)
    text = render("report.html", replace(page, images={"camera": picture})).decode()
    assert "it does not grow in proportion, so that no gain describes it" in text
    assert "the factor is the gain" not in text


@pytest.mark.usefixtures("few_pictures")
def test_a_camera_without_a_curve_has_words_and_no_figure(tmp_path, small_store, page_of):
    store = tmp_path / "analysis.zarr"
    shutil.copytree(small_store, store)
    for array in (store / "acquisition").glob("brightness_*"):
        shutil.rmtree(array)
    assert "(gain 1.020 ± 0.013). Where the direct beam lies" in page_of(store).text
    assert not (tmp_path / "figures" / "camera.png").exists()


def test_noise_is_tabled_for_every_cluster_with_its_unit(written):
    _, page = written
    # All corners are masked here: a kind that could not be measured has no column.
    assert "Noise standard deviation (electrons) cluster whole robust 1 6.6 0.25 2" in page.text


@pytest.mark.usefixtures("few_pictures")
def test_without_registered_reflections_the_page_does_not_speak_of_them(
    tmp_path, small_store_of, page_of
):
    page = page_of(small_store_of(without=["reflection_maps"]))
    assert "egistered reflections" not in page.text
    assert not (tmp_path / "figures" / "reflection_maps.png").exists()


@pytest.mark.usefixtures("small_pictures")
def test_a_scan_without_any_cluster_is_told(tmp_path, page_of):
    labels = np.full((4, 5), -1, np.int16)
    ds = variables.dataset({variables.cluster_label: labels})
    xr.Dataset().to_zarr(tmp_path / "a.zarr", consolidated=False, zarr_format=3)
    write_group(tmp_path / "a.zarr", "clusters", ds, None)
    page = page_of(tmp_path / "a.zarr", {})
    assert "The number of distinct patterns is not decided" in page.text
    assert "No position has a cluster." in page.text


@pytest.mark.usefixtures("few_pictures")
def test_without_held_out_counts_the_page_says_why(tmp_path, small_store_of, page_of):
    page = page_of(small_store_of(held_out=False))
    assert "the intensities do not behave as electron counts" in page.text
    assert not (tmp_path / "figures" / "held_out.png").exists()


@pytest.mark.usefixtures("no_pictures")
def test_nothing_repaired_is_said(small_store_of, page_of):
    assert run.repairs({"notes": []}, *np.zeros((2, 3, 3), np.uint8)) == []
    page = page_of(small_store_of(without=["acquisition", "analysed"]))
    assert "Not recorded." in page.text


@pytest.mark.usefixtures("no_pictures")
def test_an_empty_run_record_is_enough(small_store, page_of):
    assert "Times and memory were not recorded." in page_of(small_store, {}).text


@pytest.mark.usefixtures("few_pictures")
def test_other_files_stay_and_stale_figures_go(tmp_path, small_store_of):
    store = small_store_of(held_out=False)
    figures = tmp_path / "figures"
    figures.mkdir()
    (figures / "mine.png").write_bytes(b"mine")
    (figures / "held_out.png").write_bytes(b"of an earlier run")
    report.write_report(store, tmp_path, run={})
    assert (figures / "mine.png").read_bytes() == b"mine"
    assert not (figures / "held_out.png").exists()
    assert not [file for file in tmp_path.rglob(".*") if ".report" in file.name]


def test_results_that_are_not_there_are_reported(tmp_path):
    with pytest.raises(InputError, match="is not there"):
        report.write_report(tmp_path / "analysis.zarr", tmp_path, run={})


def test_importing_the_report_does_not_import_matplotlib():
    code = "import sys, orimap.tasks.report.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_page_says_which_second_patterns_were_within_their_error(written):
    _, page = written
    words = " ".join(" ".join(page.words).split())
    assert "at least 3 times its standard error from counting noise; 1 234 positions" in words
    assert "Row 9, column 11 (counted from 0)" in words
    assert "0.97 ± 0.04 of the first" in words


@pytest.mark.usefixtures("no_pictures")
def test_a_name_that_the_page_does_not_have_is_an_error(monkeypatch, small_store, tmp_path):
    from jinja2 import UndefinedError

    monkeypatch.setattr(report, "overlap_section", lambda _: object())
    with pytest.raises(UndefinedError, match="levels"):
        report.write_report(small_store, tmp_path, run={})


def test_pieces_of_one_pattern_are_not_further_patterns(small_store):
    found = read_results(small_store)
    assert answer.answer_of(found) == answer.Answer(decided=3, fitted=5, runner_up=4)
    pieces = variables.dataset({variables.cluster_parent: np.array([0, 1, 1])})
    clusters = found.groups["clusters"].drop_vars("cluster_parent").merge(pieces)
    split = replace(found, groups={**found.groups, "clusters": clusters})
    assert answer.answer_of(split).decided == 2
    assert [card.origin for card in answer.cluster_cards(found)] == [
        "components 1, 4",
        "component 2",
        "component 3",
    ]
    assert [card.origin for card in answer.cluster_cards(split)][1:] == ["component 2"] * 2


@pytest.mark.usefixtures("no_pictures")
def test_guesses_have_a_heading_of_their_own(small_store_of, page_of, run_record):
    plain = small_store_of()
    assert "What was guessed" not in page_of(plain, run_record).text
    attrs = zarr.open_group(plain, path="acquisition", mode="r+").attrs
    attrs["guesses"] = ["the file does not say its shape; read as 4×5"]
    text = page_of(plain, run_record).text
    assert "What was guessed" in text
    assert "The file does not say its shape; read as 4×5." in text


@pytest.mark.usefixtures("no_pictures")
def test_a_scan_that_cannot_be_counted_has_no_number_on_its_page(
    small_store_of, page_of, run_record
):
    store = small_store_of()
    zarr.open_group(store, path="decision", mode="r+").attrs["countable"] = False
    text = page_of(store, run_record).text
    assert "too few positions to count, moderate confidence" in text
    assert "Why no number" in text
    assert "3 distinct patterns, moderate" not in text


@pytest.mark.usefixtures("few_pictures")
def test_the_page_of_a_revision_names_its_edits_and_its_clusters(small_store_of, page_of, tmp_path):
    store = small_store_of()
    target = revision_store(tmp_path, "mine")
    clusters = read_results(store).groups["clusters"].load()
    clusters.attrs["cluster_names"] = ["", "matrix", "twin"]
    clusters.to_zarr(target, group="clusters", mode="a", consolidated=False, zarr_format=3)
    zarr.open_group(target, mode="r+").attrs.update(decided_k=3)
    (tmp_path / "report.html").write_text("the automatic one")
    edits = ["Cluster 2 was named “matrix”."]
    for outdated in (False, True):
        revision = Revision("mine", 3, edits, [], "now", outdated)
        page = page_of(store, revision=revision)
        assert (tmp_path / "report-mine.html").is_file()
        assert "3 clusters, edited by hand" in page.text
        assert "What was changed by hand" in page.text
        assert "Cluster 2 was named “matrix”." in page.text
        assert "What the automatic result went by" in page.text
        assert "2 matrix" in page.text
        assert "3 twin" in page.text
        assert ("Revision mine is outdated" in page.text) is outdated
    assert (tmp_path / "figures-mine" / "cluster_map.png").is_file()
    assert not (tmp_path / "figures").exists()
    assert (tmp_path / "report.html").read_text() == "the automatic one"
    assert "cluster_names" not in read_results(store).attr("clusters")


def test_the_page_of_a_revision_keeps_the_number_of_the_automatic_result_on_its_curves(
    small_store, tmp_path
):
    store = tmp_path / "analysis.zarr"
    shutil.copytree(small_store, store)
    decision = zarr.open_group(store, path="decision", mode="r+").attrs
    del decision["decided_k"]  # runs store it at the root
    target = revision_store(tmp_path, "mine")
    zarr.open_group(target, mode="w").attrs.update(decided_k=2)
    edited = read_results(store, target)
    assert edited.attrs["decided_k"] == 2
    (loss,) = report_drawings(edited, ["loss"])
    labels = {line.get_label() for line in loss.draw().axes[0].lines}
    assert "decided: 3" in labels
    revision = Revision("mine", 2, [], [], "now", False)
    assert report.page_of(edited, {}, revision).evidence.decided == 3


def test_values_that_are_no_counts_have_no_deviance(small_store):
    found = read_results(small_store)
    for counts, word in ((True, "deviance"), (False, "error")):
        acquired = found.groups["acquisition"].assign_attrs(counts_like=counts)
        page = report.page_of(replace(found, groups={**found.groups, "acquisition": acquired}), {})
        (drop,) = (c for c in page.evidence.k_table.columns if c.name == "held out drop")
        assert drop.meaning == f"best held-out {word} below k, less that of k"


@pytest.mark.slow
def test_a_page_of_100_000_positions_and_20_clusters_can_be_mailed(tmp_path, store_of, run_record):
    found = read_results(store_of(clusters=20, k_max=4, scan=(250, 400), detector=(256, 256)))
    # Shares that come from counts have noise, which does not compress.
    clusters = found.groups["clusters"].load().copy()
    noise = np.random.default_rng(1).normal(0, 0.03, clusters["cluster_share"].shape)
    inside = clusters["cluster_share"].values > 0
    clusters["cluster_share"] += np.where(inside, noise, 0).astype(np.float32)
    found = replace(found, groups={**found.groups, "clusters": clusters})
    images = write_figures(tmp_path / "figures", report_drawings(found, FIGURES), FIGURES)
    page = replace(report.page_of(found, run_record), images=images)
    content = render("report.html", page)
    assert set(images) == set(FIGURES)
    assert len(content) < 10e6
    told = json.loads(re.search(rb'id="explored">(.*?)</script>', content)[1])
    assert told["every"] == 1
    shares = np.frombuffer(zlib.decompress(base64.b64decode(told["shares"])), np.uint8)
    kept = np.clip(np.moveaxis(clusters["cluster_share"].values, 2, 0), 0, 2.54)
    np.testing.assert_allclose(shares.reshape(20, 250, 400) / 100, kept, atol=0.0051)


@pytest.mark.usefixtures("no_pictures")
def test_only_the_metrics_that_were_stored_are_explained(small_store, tmp_path, page_of):
    store = tmp_path / "analysis.zarr"
    shutil.copytree(small_store, store)
    assert "SSIM is 1 for identical images. GMSD is 0" in page_of(store).text
    for name in ("gmsd", "mdsi", "psnr"):
        shutil.rmtree(store / "clusters" / f"cluster_{name}")
    text = page_of(store).text
    assert "SSIM is 1 for identical images." in text
    assert "GMSD is 0" not in text
    assert "at most 80 dB" not in text


@pytest.mark.usefixtures("few_pictures")
def test_pixels_are_only_called_black_where_some_are_left_out(small_store, tmp_path, page_of):
    store = tmp_path / "analysis.zarr"
    shutil.copytree(small_store, store)
    for group in ("acquisition", "analysed"):
        shutil.rmtree(store / group / "detector_mask")
    text = page_of(store).text
    assert "Pixels that are not analysed are black." not in text
    assert "have no cluster" not in text
    assert "light grey" not in text


@pytest.mark.usefixtures("few_pictures")
def test_centring_is_not_referred_to_where_it_is_not_told(small_store, page_of, run_record):
    assert "is stated below" not in page_of(small_store, run_record).text
    told = run_record | {"notes": ["Patterns were not centred: the direct beam wanders little."]}
    assert "is stated below" in page_of(small_store, told).text
