import base64
import io
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from orimap.tasks.errors import InputError
from orimap.tasks.maps.reflection_maps import reflection_maps
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.reflection_list import Reflections
from orimap.tasks.patterns.reflections.stored_list import ListSize
from orimap.tasks.report import report, words
from orimap.tasks.report import sentences as text
from orimap.tasks.report.results import analysed_mask, mean_patterns, read_results
from orimap.tasks.store import variables
from orimap.tasks.store.groups import write_group

RUN = {
    "request": {"file": "scan.hspy", "k": "1:12", "filter": "raw"},
    "versions": {"orimap": "0.1.0", "numpy": "2.4.0"},
    "machine": {"cores": 2, "memory_bytes": 8_000_000_000, "python": "3.11.2"},
    "steps": [
        {"name": "ingest", "seconds": 4.2, "peak_bytes": 310e6, "reused": True},
        {"name": "sketch", "seconds": 9.6, "peak_bytes": 640e6, "reused": False},
        {"name": "fits", "seconds": 31.0, "peak_bytes": 720e6, "reused": False},
    ],
    "seconds": 44.8,
    "peak_bytes": 720e6,
    "predicted_peak_bytes": 900e6,
}


def disc_pattern(rng, shape, spots):
    """A direct beam, discs on a random lattice, and a smooth background."""
    y, x = np.indices(shape)
    middle = np.array(shape) / 2
    pattern = 3 * np.exp(-np.hypot(y - middle[0], x - middle[1]) / (0.15 * shape[0]))
    radius = max(1.0, 0.03 * shape[0])
    angle, length = rng.uniform(0, np.pi), rng.uniform(0.13, 0.2) * shape[0]
    a = length * np.array([np.cos(angle), np.sin(angle)])
    b = length * rng.uniform(0.8, 1.3) * np.array([-np.sin(angle), np.cos(angle)])
    for i in range(-spots, spots + 1):
        for j in range(-spots, spots + 1):
            at = middle + i * a + j * b
            bright = 400 if i == j == 0 else 25 * rng.uniform(0.05, 1) ** 2
            pattern += bright * (np.hypot(y - at[0], x - at[1]) < radius)
    return pattern


def registered_scan(rng, label, detector):
    """A direct beam in most patterns and two reflections that each cluster has at its own place."""
    n, clusters = label.size, int(label.max()) + 1
    places = rng.uniform(1, np.array(detector) - 2, (clusters, 2, 2))
    middle = (np.array(detector) - 1) / 2
    at = np.concatenate([np.broadcast_to(middle, (n, 1, 2)), places[label.ravel()]], axis=1)
    y, x = (at + rng.normal(0, 0.1, at.shape)).reshape(-1, 2).T.astype(np.float32)
    intensity = rng.poisson(np.broadcast_to([90, 30, 12], (n, 3))).astype(np.float32).ravel()
    direct = np.where(np.arange(n) % 17 == 5, -1, 0).astype(np.int32)
    noise = rng.uniform(0.5, 0.9, n).astype(np.float32)
    threshold = np.full(n, 3.8, np.float32)
    offsets = 3 * np.arange(n + 1)
    return Reflections(offsets, y, x, intensity, 0.8 * intensity, direct, noise, threshold)


def make_analysis(
    store,
    *,
    scan=(36, 48),
    detector=(40, 44),
    clusters=6,
    k_max=12,
    calibrated=True,
    held_out=True,
    without=(),
    notes=("2 hot pixels masked", "The detector scale was given in cm and was dropped."),
):
    """Write results as a run leaves them, with Voronoi grains and patterns of discs."""
    rng = np.random.default_rng(7)
    y, x = np.indices(scan)
    seeds = np.stack([rng.uniform(0, n, clusters) for n in scan], 1)
    distance = np.sqrt((y[..., None] - seeds[:, 0]) ** 2 + (x[..., None] - seeds[:, 1]) ** 2)
    share = np.exp(-distance / 1.2 + distance.min(2, keepdims=True) / 1.2)
    share = np.where(share > 0.05, share, 0).astype(np.float32)
    label = share.argmax(2)
    ordered = np.sort(share, 2)
    ratio = (ordered[..., -2] / ordered[..., -1]) if clusters > 1 else np.zeros(scan)
    second = np.argsort(share, 2)[..., -2] if clusters > 1 else np.full(scan, -1)
    second = np.where(ratio > 0, second, -1)
    level = np.select([ratio * 100 >= at for at in (95, 90, 85, 80, 75)], (95, 90, 85, 80, 75), 0)
    pure = np.stack([disc_pattern(rng, detector, 3) for _ in range(clusters)])
    mean = rng.poisson(pure * 40) / 40.0
    mask = np.zeros(detector, np.uint8)
    mask[3, 5] = mask[detector[0] // 2, detector[1] - 3] = 1
    mask[-4:-1, 2:5] = 4
    mean[:, 3, 5] = 900
    moved = np.where(np.indices(detector).min(0) < 2, 16, mask).astype(np.uint8)
    shift = np.stack([(y - scan[0] / 2) / scan[0] * 4, np.zeros(scan)], axis=2)
    shift[0, 0] = np.nan
    length = "nm" if calibrated else "px"
    fitted = clusters + 2
    owners = np.array([*range(clusters), 0, -1])
    ks = np.arange(1, max(k_max, fitted) + 1)
    loss = 0.08 + 0.3 * np.exp(-ks / max(clusters / 2.5, 1))
    drop = np.where(ks <= clusters, 40 * 0.75**ks, 0.02 * rng.normal(0.5, 1, len(ks)))
    drop[0] = np.nan
    if not held_out:
        drop[:] = np.nan
    components = len(ks)
    pairs = np.full((len(ks), components, components), np.nan)
    for i, k in enumerate(ks):
        values = rng.uniform(0.2, 0.5, (k, k))
        pairs[i, :k, :k] = (values + values.T) / 2
        if k > clusters:
            pairs[i, 0, clusters] = pairs[i, clusters, 0] = 0.93
    v, data = variables, variables.dataset
    groups = {
        "acquisition": data(
            {
                v.scan_virtual_bright_field: 400 - 60 * ratio + label * 9.0,
                v.scan_beam_shift: shift,
                v.detector_mean: mean.mean(0),
                v.detector_mask: mask,
            },
            source="/somewhere/else/scan_042.hspy",
            reader="HSPY",
            signal="",
            notes=list(notes),
            n_saturated=0,
            n_negative=0,
            n_not_finite=0,
            n_hot=2,
            n_dead=0,
            counts_like=held_out,
            fano=1.02 if held_out else 7.5,
            zero_fraction=0.93,
            mean_intensity=0.31,
            scan_step=[2.5, 2.5] if calibrated else [1.0, 1.0],
            scan_units=length,
            detector_step=[0.02, 0.02] if calibrated else [1.0, 1.0],
            detector_units="1/Å" if calibrated else "px",
            beam_energy_kev=200.0,
        ),
        "analysed": data({v.detector_mean: pure.mean(0), v.detector_mask: moved}),
        "sketch": data({v.singular_value: 30 * np.exp(-np.arange(1, 25) / 3) + 1}),
        "decision": data(
            {
                v.k_component_loss: loss,
                v.k_relative_loss: loss / 0.31,
                v.k_held_out_drop: drop,
                v.k_held_out_drop_error: np.where(np.isnan(drop), np.nan, 0.03),
                v.k_distinct: np.minimum(ks, clusters),
                v.k_background: (ks > clusters + 1).astype(int),
                v.k_in_range: abs(ks - clusters) < 4,
                v.k_ssim: 0.3 + 0.01 * ks,
                v.pair_ssim: pairs,
                v.pair_gmsd: 1 - pairs,
                v.pair_mdsi: 1 - pairs,
                v.pair_psnr: 40 * pairs,
                v.pair_cosine: pairs,
            },
            strategy="default",
            decided_k=clusters,
            fitted_k=fitted,
            knee=max(clusters - 1, 1),
            range_low=max(1, clusters - 4),
            range_high=min(len(ks), clusters + 4),
            drop_threshold=0.5,
            reasons=[f"The drop in held-out deviance falls by a factor of 90 after {clusters}."],
            criteria=[
                {"name": "held-out drop", "vote": clusters, "margin": 90.0, "used": True,
                 "why": "last k whose drop exceeds a tenth of the largest"},
                {"name": "knee", "vote": clusters - 1, "margin": 0.2, "used": False,
                 "why": "depends on the range of k"},
            ],
            confidence="moderate",
            runner_up=clusters + 1,
            failed_fits=[],
        ).assign_coords(k=ks),
        "clusters": data(
            {
                v.cluster_label: label.astype(np.int16),
                v.component_cluster: owners.astype(np.int16),
                v.cluster_parent: np.arange(clusters),
                v.cluster_share: share,
                v.cluster_share_error: np.full_like(share, 0.02),
                v.cluster_size: np.bincount(label.ravel(), minlength=clusters),
                v.cluster_mean_pattern: mean,
                v.cluster_representative: pure,
                v.cluster_ssim: rng.uniform(0.97, 1, clusters),
                v.cluster_gmsd: rng.uniform(0, 0.03, clusters),
                v.cluster_mdsi: rng.uniform(0.1, 0.2, clusters),
                v.cluster_psnr: rng.uniform(37, 57, clusters),
                v.cluster_nsd_whole: np.arange(clusters) + 6.61,
                v.cluster_nsd_corner: np.full(clusters, np.nan),
                v.cluster_nsd_robust: np.full(clusters, 0.25),
            },
            positions_moved=12,
        ),
        "overlap": data(
            {
                v.overlap_ratio: ratio.astype(np.float32),
                v.overlap_ratio_error: np.full(scan, 0.03, np.float32),
                v.second_label: second.astype(np.int16),
                v.overlap_level: level.astype(np.int16),
            },
            positions_within_error=1234,
            standard_errors_needed=3.0,
        ),
        "decomposition": data(
            {
                v.decomposed_pattern: pure.mean(0),
                v.decomposed_contribution: pure * np.linspace(1, 0, clusters + 1)[:-1, None, None],
                v.decomposed_background: pure[0] / 10,
                v.decomposed_residual: mean[0] - pure[0],
                v.decomposed_share: np.linspace(1, 0, clusters + 1)[:-1],
                v.decomposed_share_error: np.full(clusters, 0.02),
                v.decomposed_intensity: pure.sum(axis=(1, 2)),
            },
            position=[9, 11], overlap_ratio=0.97, overlap_ratio_error=0.04,
        ),
        "line": data(
            {
                v.line_position: np.stack([np.arange(2, 11)] * 2, axis=1).clip(0, min(scan) - 1),
                v.line_distance: np.arange(9) * np.sqrt(2),
                v.line_pattern: np.stack([pure[0]] * 9),
                v.line_share: np.full((9, clusters), 0.5),
                v.line_share_error: np.full((9, clusters), np.nan),
            }
        ),
        "baseline": data(
            {
                v.kmeans_label: ((label + 1) % clusters).astype(np.int16),
                v.scree_value: 20 * np.exp(-np.arange(1, 21) / 3) + 2,
            },
            agreement=0.87,
        ),
        "reflection_maps": reflection_maps(
            registered_scan(rng, label, detector), label, None, Lengths.of_disc(1.5), detector,
            (1, 4, 1, 4), threshold_units="1",
            size=ListSize(40_000, 44_000_000, 30_000, 6_000_000),
        ),
    }  # fmt: skip
    root = xr.Dataset(
        coords={"scan_y": np.arange(scan[0]) * 2.5, "scan_x": np.arange(scan[1]) * 2.5},
        attrs={
            "schema_version": 1,
            "orimap_version": "0.1.0",
            "status": "complete",
            "request": json.dumps(RUN["request"]),
            "decided_k": clusters,
            "fitted_k": fitted,
        },
    )
    root.to_zarr(store, mode="w", consolidated=False, zarr_format=3)
    for name, ds in groups.items():
        if name not in without:
            write_group(store, name, ds, None)
    for k in ks if "fits" not in without else ():
        fit = xr.Dataset(attrs={"loss": float(loss[k - 1]), "loss_error": 0.004, "converged": True})
        write_group(store, f"fits/k{k:02d}", fit, None)
    return store


class Page(HTMLParser):
    """What a browser would load, and whether every element is closed."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, source):
        super().__init__()
        self.open, self.loads, self.images, self.headings, self.words = [], [], [], [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.loads += [attrs[name] for name in ("src", "srcset", "data") if name in attrs]
        if tag == "link":
            self.loads.append(attrs["href"])
        if tag == "img":
            self.images.append(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    make_analysis(folder / "analysis.zarr")
    path = report.write_report(folder / "analysis.zarr", folder, run=RUN)
    return path, Page(path.read_text())


@pytest.fixture
def small_pictures(monkeypatch):
    """Draw fast where only the words of the page matter."""
    monkeypatch.setattr("orimap.tasks.report.page.DOTS_PER_INCH", 30)


@pytest.fixture(scope="module")
def small_store(tmp_path_factory):
    return make_analysis(
        tmp_path_factory.mktemp("store") / "analysis.zarr",
        scan=(6, 7),
        detector=(12, 12),
        clusters=3,
        k_max=4,
    )


def page_of(folder, run=RUN, **content):
    make_analysis(folder / "analysis.zarr", **content)
    return Page(report.write_report(folder / "analysis.zarr", folder, run=run).read_text())


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
    assert {file.stem for file in files} == set(report.FIGURES)
    assert all(file.suffix == ".png" for file in files)
    sources = {image["src"] for image in page.images}
    for file in files:
        address = "data:image/png;base64," + base64.b64encode(file.read_bytes()).decode()
        assert address in sources
    assert path.stat().st_size < 6e6


def test_page_loads_nothing_from_elsewhere(written):
    path, page = written
    assert page.loads
    assert all(address.startswith("data:image/png;base64,") for address in page.loads)
    source = re.sub(r"base64,[^\"]*", "", path.read_text())
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<script|<iframe", source)


def test_every_image_says_what_it_shows(written):
    assert all(len(image["alt"]) > 15 for image in written[1].images)


def test_images_are_whole(written):
    for image in written[1].images:
        data = base64.b64decode(image["src"].split(",")[1])
        assert min(Image.open(io.BytesIO(data)).size) > 30


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
    assert "900 MB foreseen" in page.text
    assert '"filter": "raw"' in page.text
    assert "memory 8.0 GB" in page.text
    assert "k component loss relative loss held out drop held out drop error in range" in page.text
    assert "/somewhere/else" not in page.text


@pytest.mark.usefixtures("small_pictures")
def test_hostile_text_is_shown_not_run(tmp_path):
    evil = "<script>alert('x')</script><img src=http://example.org/x onerror=y>"
    run = {**RUN, "request": {"file": evil}, "steps": [{"name": evil, "seconds": 1}]}
    run["versions"] = {evil: evil}
    page = page_of(tmp_path, run, notes=[evil], scan=(6, 7), detector=(12, 12), clusters=3, k_max=4)
    assert page.text.count("alert('x')") >= 4
    assert page.open == []
    assert all(address.startswith("data:") for address in page.loads)
    assert "<script" not in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    "content",
    [
        {"clusters": 1, "k_max": 3},
        {"scan": (2, 3), "clusters": 2, "k_max": 4, "detector": (8, 8)},
        {"scan": (60, 9), "clusters": 3, "detector": (12, 20)},
        {"scan": (1, 40), "clusters": 3, "calibrated": False},
    ],
    ids=["one cluster", "2x3 scan", "tall scan", "line, not calibrated"],
)
def test_unusual_scans_are_drawn(tmp_path, content):
    page = page_of(tmp_path, **content)
    count = content["clusters"]
    assert f"{count} distinct pattern{'' if count == 1 else 's'}, moderate confidence" in page.text
    assert "nan" not in page.text.lower().split()


def test_twenty_clusters_stay_below_six_megabytes(tmp_path):
    page_of(tmp_path, clusters=20, k_max=4, scan=(64, 64), detector=(128, 128))
    assert (tmp_path / "report.html").stat().st_size < 6e6


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("acquisition", "Neither a virtual bright field nor a mean pattern was stored."),
        ("sketch", "3 distinct patterns"),
        ("decision", "No loss curve was stored."),
        ("clusters", "No map of clusters was stored."),
        ("overlap", "No overlap map was stored."),
        ("baseline", "No baseline map was made."),
        ("fits", "3 distinct patterns"),
    ],
)
@pytest.mark.usefixtures("small_pictures")
def test_what_is_not_stored_is_named(tmp_path, small_store, missing, said):
    store = tmp_path / "analysis.zarr"
    shutil.copytree(small_store, store)
    shutil.rmtree(store / missing)
    page = Page(report.write_report(store, tmp_path, run=RUN).read_text())
    assert said in page.text


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
    assert "The dark field of 1:4,1:4 is 0 electron everywhere." in page.text


def test_the_beam_s_places_are_shown_and_told(written):
    _, page = written
    assert (
        "the direct beam lies at −2 to 1.89 px along y and 0 to 0 px along x; in 1 pattern (grey) "
        "its place was not measured." in page.text
    )
    assert any("where the direct beam lies" in image["alt"] for image in page.images)


@pytest.mark.usefixtures("small_pictures")
def test_a_beam_that_was_not_measured_is_not_spoken_of(tmp_path, small_store):
    store = tmp_path / "analysis.zarr"
    shutil.copytree(small_store, store)
    shutil.rmtree(store / "acquisition" / "scan_beam_shift")
    page = Page(report.write_report(store, tmp_path, run=RUN).read_text())
    assert "Where the direct beam lies" not in page.text
    assert not (tmp_path / "figures" / "beam_shift.png").exists()


def test_the_mean_pattern_is_shown_as_analysed_where_that_is_another(small_store):
    results = read_results(small_store)
    means = mean_patterns(results)
    assert list(means) == ["mean pattern as acquired", "mean pattern as analysed"]
    np.testing.assert_array_equal(means["mean pattern as analysed"][1], analysed_mask(results))
    same = {**results.groups, "analysed": results.groups["acquisition"]}
    assert list(mean_patterns(replace(results, groups=same))) == ["mean pattern"]
    absent = {**results.groups, "analysed": xr.Dataset()}
    unknown = replace(results, groups=absent)
    assert list(mean_patterns(unknown)) == ["mean pattern"]
    np.testing.assert_array_equal(
        analysed_mask(unknown), results.values("acquisition", "detector_mask")
    )
    assert mean_patterns(replace(results, groups={**absent, "acquisition": xr.Dataset()})) == {}


def test_noise_is_tabled_for_every_cluster_with_its_unit(written):
    _, page = written
    # All corners are masked here: a kind that could not be measured has no column.
    assert "Noise standard deviation (electron) cluster whole robust 0 6.6 0.25 1" in page.text


def test_notes_become_sentences():
    facts = {"notes": ["3 dead pixels masked", "values are saturated at 255; kept"]}
    mask = np.zeros((4, 5), np.uint8)
    mask[0, :2] = 4
    analysed = np.zeros((4, 5), np.uint8)
    analysed[:, :2] = 16
    assert text.repairs(facts, mask, analysed, ["ePattern took its time."]) == [
        "3 dead pixels masked.",
        "Values are saturated at 255; kept.",
        "2 pixels left out by the given mask.",
        "ePattern took its time.",
        "In all 40 % of the detector's pixels are not analysed.",
    ]


@pytest.mark.usefixtures("small_pictures")
def test_without_registered_reflections_the_page_does_not_speak_of_them(tmp_path):
    page = page_of(
        tmp_path, without=["reflection_maps"], scan=(6, 7), detector=(12, 12), clusters=3, k_max=4
    )
    assert "egistered reflections" not in page.text
    assert not (tmp_path / "figures" / "reflection_maps.png").exists()


@pytest.mark.usefixtures("small_pictures")
def test_a_scan_without_any_cluster_is_told(tmp_path):
    labels = np.full((4, 5), -1, np.int16)
    ds = variables.dataset({variables.cluster_label: labels})
    xr.Dataset().to_zarr(tmp_path / "a.zarr", consolidated=False, zarr_format=3)
    write_group(tmp_path / "a.zarr", "clusters", ds, None)
    page = Page(report.write_report(tmp_path / "a.zarr", tmp_path, run={}).read_text())
    assert "The number of distinct patterns is not decided" in page.text
    assert "No position has a cluster." in page.text


@pytest.mark.usefixtures("small_pictures")
def test_without_held_out_counts_the_page_says_why(tmp_path):
    page = page_of(tmp_path, held_out=False, scan=(6, 7), detector=(12, 12), clusters=3, k_max=4)
    assert "the intensities do not behave as electron counts" in page.text
    assert not (tmp_path / "figures" / "held_out.png").exists()


@pytest.mark.usefixtures("small_pictures")
def test_nothing_repaired_is_said(tmp_path):
    assert text.repairs({"notes": []}, *np.zeros((2, 3, 3), np.uint8)) == []
    page = page_of(
        tmp_path,
        without=["acquisition", "analysed"],
        scan=(6, 7),
        detector=(12, 12),
        clusters=3,
        k_max=4,
    )
    assert "Not recorded." in page.text


@pytest.mark.usefixtures("small_pictures")
def test_an_empty_run_record_is_enough(tmp_path):
    page = page_of(tmp_path, {}, scan=(6, 7), detector=(12, 12), clusters=3, k_max=4)
    assert "Times and memory were not recorded." in page.text


@pytest.mark.usefixtures("small_pictures")
def test_other_files_stay_and_stale_figures_go(tmp_path):
    make_analysis(
        tmp_path / "analysis.zarr",
        scan=(6, 7),
        detector=(12, 12),
        clusters=3,
        k_max=4,
        held_out=False,
    )
    figures = tmp_path / "figures"
    figures.mkdir()
    (figures / "mine.png").write_bytes(b"mine")
    (figures / "held_out.png").write_bytes(b"of an earlier run")
    report.write_report(tmp_path / "analysis.zarr", tmp_path, run={})
    assert (figures / "mine.png").read_bytes() == b"mine"
    assert not (figures / "held_out.png").exists()
    assert not [file for file in tmp_path.rglob(".*") if ".report" in file.name]


def test_results_that_are_not_there_are_reported(tmp_path):
    with pytest.raises(InputError, match="is not there"):
        report.write_report(tmp_path / "analysis.zarr", tmp_path, run={})


def test_importing_the_report_does_not_import_matplotlib():
    import subprocess
    import sys

    code = "import sys, orimap.tasks.report.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.42, "0.42 s"), (8.31, "8.3 s"), (42, "42 s"), (74.2, "1 min 14 s"), (7500, "2 h 5 min")],
)
def test_times_read_naturally(seconds, said):
    assert words.seconds_text(seconds) == said


@pytest.mark.parametrize(
    ("size", "said"), [(512, "512 B"), (740e3, "740 kB"), (1.24e9, "1.2 GB"), (None, "–")]
)
def test_memory_reads_naturally(size, said):
    assert words.bytes_text(size) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.5, "0.5"), (-2.25e-5, "−2.25 × 10⁻⁵"), (float("nan"), "–"), (12345.6, "12346"), (0, "0")],
)
def test_numbers_read_naturally(value, said):
    assert words.figure_text(value) == said


@pytest.mark.parametrize(
    ("share", "said"), [(0, "0 %"), (0.0004, "< 0.1 %"), (0.032, "3.2 %"), (0.41, "41 %")]
)
def test_shares_read_naturally(share, said):
    assert words.percent_text(share) == said


def test_overlap_counts_are_those_worked_by_hand():
    labels = np.array([[0, 1, 1], [0, 2, -1]])
    second = np.array([[1, 0, -1], [1, 0, -1]])
    ratio = np.array([[0.8, 0.96, 0.0], [0.5, 0.3, 0.0]])
    level = np.array([[80, 95, 0], [0, 0, 0]])
    rows = text.overlap_rows(labels, ratio, level)
    assert [row["positions"] for row in rows] == [3, 2, 2, 1, 1, 1]
    assert rows[0]["share"] == "60 %"
    assert text.overlap_pairs(labels, second, ratio) == [{"first": 0, "second": 1, "positions": 3}]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ([2.5, 2.5], "512 × 400 positions, 2.5 nm apart (1280 × 1000 nm)"),
        ([0.25, 2.0], "512 × 400 positions, 0.25 × 2 nm apart (128 × 800 nm)"),
    ],
)
def test_the_size_of_a_scan_is_told_in_plain_figures(step, said):
    facts = {"scan_step": step, "scan_units": "nm"}
    assert text.acquisition_sentence((512, 400), None, facts) == said


def test_the_page_says_which_second_patterns_were_within_their_error(written):
    _, page = written
    words = " ".join(" ".join(page.words).split())
    assert "at least 3 times its standard error from counting noise; 1 234 positions" in words
    assert "Row 9, column 11 (counted from 0)" in words
    assert "0.97 ± 0.04 of the first" in words


def test_regularity_and_splitting_are_put_into_words():
    facts = {"positions_moved": 1}
    assert text.map_sentences(facts, {"regularity": 0.0}, np.arange(3)) == []
    (moved,) = text.map_sentences(facts, {"regularity": 0.5}, np.arange(3))
    assert moved.startswith("With a regularity of 0.5, 1 position went over")
    asked = {"split_unconnected": True}
    (split,) = text.map_sentences(facts, asked, np.array([0, 1, 2, 1, 0, 1]))
    assert split == (
        "3 distinct patterns were split into 6 clusters that are each connected in the scan: "
        "0, 4 have the same pattern; 1, 3, 5 have the same pattern."
    )
    (none,) = text.map_sentences(facts, asked, np.arange(2))
    assert none.startswith("No cluster has unconnected parts")


def test_overlaps_that_are_all_certain_are_said_to_be_so():
    facts = {"positions_within_error": 0, "standard_errors_needed": 3.0}
    assert text.overlap_sentence(facts).endswith("; here that left none out.")
    assert "; 1 position was not called overlap" in text.overlap_sentence(
        facts | {"positions_within_error": 1}
    )
    assert text.overlap_sentence({}) == ""


def test_split_clusters_are_named_beside_the_distinct_patterns():
    assert words.headline(6, "high", 6) == "6 distinct patterns, high confidence"
    assert words.headline(6, None, 8) == "6 distinct patterns in 8 connected clusters"
