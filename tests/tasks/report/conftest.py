import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr

from orimap.tasks.maps.reflection_maps import reflection_maps
from orimap.tasks.patterns.reflections.lengths import Lengths
from orimap.tasks.patterns.reflections.reflection_list import Reflections
from orimap.tasks.patterns.reflections.stored_list import ListSize
from orimap.tasks.report.drawings import catalogue
from orimap.tasks.report.report import write_report
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
SMALL = {"scan": (6, 7), "detector": (12, 12), "clusters": 3, "k_max": 4}


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


def orientations_of(clusters, detector):
    """Cubic crystals of two kinds, turned by 60 degrees about 111 from cluster to cluster.

    The last cluster is not reliable, and of more than three the third is of the second crystal.
    """
    from scipy.spatial.transform import Rotation

    v = variables
    turns = Rotation.create_group("O").as_matrix()
    twin = Rotation.from_rotvec(np.radians(60) * np.ones(3) / np.sqrt(3))
    tilt = Rotation.from_rotvec([0.1, 0.0, 0.0])
    each = [tilt * twin.inv() if n % 2 else tilt for n in range(clusters)]
    quaternion = np.array([one.as_quat()[[3, 0, 1, 2]] for one in each])
    other = np.array([
        (Rotation.from_rotvec([0, 0, np.pi]) * one).as_quat()[[3, 0, 1, 2]] for one in each
    ])  # fmt: skip
    phase = np.zeros(clusters, np.int16)
    phase[2:3] = clusters > 3
    indexed = np.arange(clusters) < max(clusters - 1, 1)
    sure = np.where(indexed[:, None], quaternion, np.nan)
    zone = np.array([one.inv().apply([0, 0, 1]) for one in each])
    pairs = np.array([(n, n + 1) for n in range(clusters - 1)], int).reshape(-1, 2)
    same = indexed[pairs].all(axis=1) & (phase[pairs[:, 0]] == phase[pairs[:, 1]])
    spots = np.repeat(np.arange(clusters), 3)
    middle = (np.array(detector) - 1) / 2
    places = middle + np.tile([[3, 2], [-3, -2], [2, -4]], (clusters, 1))
    # The first cluster has two components, the other end of which is the last but one.
    turn = np.full((clusters + 2, 3), np.nan)
    turn[0], turn[clusters] = [0.3, 0, 0], [-0.2, 0, 0]
    return v.dataset(
        {
            v.cluster_quaternion: sure,
            v.cluster_phase: phase,
            v.cluster_zone_axis: np.where(indexed[:, None], zone, np.nan),
            v.cluster_score: np.linspace(0.99, 0.9, clusters),
            v.cluster_reliability: np.where(indexed, 0.45, 0.02),
            v.cluster_phase_margin: np.full(clusters, 0.31),
            v.cluster_indexed: indexed,
            v.cluster_ambiguous: ~indexed,
            v.cluster_candidate_quaternion: np.stack([quaternion, other], axis=1),
            v.cluster_candidate_phase: np.stack([phase, phase], axis=1),
            v.cluster_candidate_score: np.full((clusters, 2), 0.9),
            v.crystal_edge: np.array([[5.43] * 3, [4.08] * 3]),
            v.crystal_angle: np.full((2, 3), 90.0),
            v.crystal_axes: np.array([5.43 * np.eye(3), 4.08 * np.eye(3)]),
            v.crystal_turn: np.stack([turns, turns]),
            v.predicted_cluster: spots,
            v.predicted_indices: np.tile([[2, 2, 0], [-2, -2, 0], [4, 0, 0]], (clusters, 1)),
            v.predicted_position: places,
            v.predicted_amplitude: np.tile([1.0, 0.8, 0.3], clusters),
            v.boundary_cluster: pairs,
            v.boundary_length: np.full(len(pairs), 12),
            v.boundary_angle: np.where(same, 60.0, np.nan),
            v.boundary_axis: np.where(same[:, None], np.ones((len(pairs), 3)), np.nan),
            v.boundary_from_sigma3: np.where(same, 0.2, np.nan),
            v.component_turn: turn,
        },
        crystals=["silicon", "gold"],
        crystal_files=["silicon.cif", "gold.cif"],
        crystal_formulas=["Si", ""],
        crystal_space_groups=["F d -3 m", "F m -3 m"],
        frame="quaternions turn the crystal's frame into the sample's",
        detector_step_factor=1.013,
        camera_length_factor=1 / 1.013,
        detector_step=0.02026,
        rocking_width=0.0081,
        precession_deg=0.7,
        detector_rotation_deg=0.0,
        detector_flip=False,
        beam_energy_kev=200.0,
        beam_energy_assumed=True,
        reliable_from=0.06,
    )


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
    bright = np.geomspace(0.05, 40, 12)
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
                v.brightness_mean: bright,
                v.brightness_variance: 0.6 * bright,
                v.brightness_variance_error: 0.02 * bright,
                v.brightness_whole_variance: bright,
                v.brightness_whole_variance_error: 0.1 * bright,
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
            camera_gain=1.02,
            camera_gain_error=0.013,
            camera_offset=0.002,
            camera_offset_error=0.0011,
            camera_read_noise=0.04,
            camera_read_noise_error=0.021,
            camera_shift=-0.0005,
            camera_shift_error=0.0007,
            camera_spread=0.41,
            camera_spread_error=0.012,
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
        "orientations": orientations_of(clusters, detector),
        "grains": data({v.scan_weight: np.ones((*scan, fitted), np.float32)}),
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
    """What a browser would load, and whether every element is closed.

    ``images`` are the attributes of each; a figure is one, too, with its name and with all that is
    written in it.
    """

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, source):
        super().__init__()
        self.open, self.loads, self.images, self.headings, self.words = [], [], [], [], []
        self.figure = None
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.loads += [attrs[name] for name in ("src", "srcset", "data") if name in attrs]
        if tag in ("link", "image"):
            self.loads.append(attrs["href"])
        if tag == "figure":
            self.figure = attrs.get("data-name")
        if tag == "img":
            self.images.append(attrs)
        if tag == "svg":
            self.images.append(
                {**attrs, "alt": attrs["aria-label"], "name": self.figure, "words": []}
            )
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if "svg" in self.open:
            self.images[-1]["words"].append(data)
        elif not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def figures(self):
        """All that is written in each figure, by its name."""
        return {i["name"]: " ".join(i["words"]) for i in self.images if "name" in i}

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """The report of a whole run: its path and what a browser would make of it."""
    folder = tmp_path_factory.mktemp("report")
    make_analysis(folder / "analysis.zarr")
    path = write_report(folder / "analysis.zarr", folder, run=RUN)
    return path, Page(path.read_text())


def laid_out(figure):
    """Lay a figure out, as drawing it as a file does, for the drawing of it on the page."""
    if figure.get_layout_engine() is not None:
        figure.get_layout_engine().execute(figure)
    return b""


@pytest.fixture
def small_pictures(monkeypatch):
    """Draw fast where only the words of the page matter: coarsely, and each figure once."""
    monkeypatch.setattr("orimap.tasks.report.drawings.write.DOTS_PER_INCH", 30)
    monkeypatch.setattr("orimap.tasks.report.drawings.write.png_of", laid_out)


@pytest.fixture
def few_pictures(monkeypatch, small_pictures):
    """Draw only what tests of words look for; all others are drawn in tests that look at them."""
    kept = ("cluster_map", "held_out", "camera", "beam_shift", "reflection_maps")
    monkeypatch.setattr(catalogue, "FIGURES", {name: catalogue.FIGURES[name] for name in kept})


@pytest.fixture
def no_pictures(monkeypatch):
    """Draw nothing where only words beside the figures are looked at."""
    monkeypatch.setattr(catalogue, "FIGURES", {})


@pytest.fixture(scope="session")
def small_store(tmp_path_factory):
    """Results of a small run: 6 x 7 positions, three clusters, 1 to 5 components."""
    return make_analysis(tmp_path_factory.mktemp("store") / "analysis.zarr", **SMALL)


@pytest.fixture
def store_of(tmp_path):
    """Return what writes results of a given content and returns their store."""

    def make(**content):
        return make_analysis(tmp_path / "analysis.zarr", **content)

    return make


@pytest.fixture
def small_store_of(store_of):
    """Return what writes results of a small run that differ from it as given."""
    return lambda **content: store_of(**{**SMALL, **content})


@pytest.fixture
def page_of(tmp_path):
    """Return what writes the report of a store into ``tmp_path`` and reads the page."""

    def write(store, run=RUN, revision=None):
        return Page(write_report(store, tmp_path, run=run, revision=revision).read_text())

    return write


@pytest.fixture
def run_record():
    """What ``run.json`` holds."""
    return dict(RUN)
