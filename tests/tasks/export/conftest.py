import numpy as np
import pytest
import xarray as xr
import zarr
from scipy.spatial.transform import Rotation

from orimap.tasks.store import variables as v

SCAN, DETECTOR = (3, 4), (5, 7)
# The direct beam is brighter than the reflection at its right by a factor of 10.
BEAM, REFLECTION = (2, 3), (2, 6)
LABEL = np.array([[0, 0, 1, 1], [0, -1, 1, 1], [0, 0, 0, 1]])


def patterns(*strengths):
    """Patterns that differ in how bright all is."""
    one = np.zeros(DETECTOR)
    one[BEAM], one[REFLECTION] = 100, 10
    return np.stack([strength * one for strength in strengths])


def share_of(label):
    return np.stack([label == 0, 0.5 * (label == 1)], axis=2)


def groups(label=LABEL, **facts):
    """What a run leaves of two clusters, the first of which has components 1 and 3."""
    known = {
        "source_file": "gold.blo",
        "scan_step": [2.0, 5.0],
        "scan_units": "nm",
        "detector_step": [0.02, 0.02],
        "detector_units": "1/Å",
        "beam_energy_kev": 200.0,
        "beam_centre": [2.0, 3.25],
        "beam_radius_px": 0.5,
        "intensity_units": "grey level",
        **facts,
    }
    measured = np.ones(SCAN, np.uint8)
    measured[1, 1] = 0
    mask = np.zeros(DETECTOR, np.uint8)
    mask[0, 0] = 1
    ratio = np.zeros(SCAN)
    ratio[0, 2] = 0.25
    second = np.full(SCAN, -1)
    second[0, 2] = 0
    size = np.bincount(label[label >= 0], minlength=2)
    return {
        "acquisition": v.dataset(
            {v.scan_measured: measured, v.detector_mask: mask, v.detector_mean: patterns(1)[0]},
            **known,
        ),
        "clusters": v.dataset(
            {
                v.cluster_label: label.astype(np.int16),
                v.component_cluster: np.array([0, 1, 0, -1], np.int16),
                v.cluster_parent: np.array([0, 1], np.int16),
                v.cluster_share: share_of(label).astype(np.float32),
                v.cluster_size: size,
                v.cluster_mean_pattern: patterns(1, 2).astype(np.float32),
                v.cluster_representative: patterns(3, 4).astype(np.float32),
                v.cluster_ssim: np.array([0.875, np.nan]),
                v.cluster_nsd_whole: np.array([1.5, 2.5]),
            }
        ),
        "grains": v.dataset(
            {
                v.component_pattern: patterns(0.01, 0.02, 0.03, 0.04).astype(np.float32),
                v.scan_weight: np.arange(48, dtype=np.float32).reshape(*SCAN, 4),
            }
        ),
        "overlap": v.dataset(
            {
                v.overlap_ratio: ratio.astype(np.float32),
                v.second_label: second.astype(np.int16),
                v.overlap_level: np.zeros(SCAN, np.int16),
            }
        ),
    }


def orientations():
    """Silicon turned by 90, 45 and 0 degrees, and magnesium by 120, 90 and 30 (Bunge)."""
    half = np.radians([45, 22.5])
    (c, s), (d, e) = np.stack([np.cos(half), np.sin(half)], axis=1)
    # About z by 90 degrees after about x by 45; about z by 120, x by 90 and z by 30.
    magnesium = Rotation.from_euler("ZXZ", [120, 90, 30], degrees=True).as_quat()[[3, 0, 1, 2]]
    quaternion = np.array([[c * d, c * e, s * e, s * d], magnesium])
    turns = np.full((2, 24, 3, 3), np.nan)
    turns[0] = Rotation.create_group("O").as_matrix()
    turns[1, :12] = Rotation.create_group("D6").as_matrix()
    hexagon = np.array([[3.2, -1.6, 0], [0, 1.6 * np.sqrt(3), 0], [0, 0, 5.2]])
    return v.dataset(
        {
            v.cluster_quaternion: quaternion,
            v.cluster_phase: np.array([0, 1], np.int16),
            v.cluster_score: np.array([0.9, 0.8]),
            v.cluster_reliability: np.array([0.4, 0.2]),
            v.cluster_indexed: np.array([True, True]),
            v.crystal_edge: np.array([[5.43] * 3, [3.2, 3.2, 5.2]]),
            v.crystal_angle: np.array([[90.0] * 3, [90, 90, 120]]),
            v.crystal_axes: np.stack([5.43 * np.eye(3), hexagon]),
            v.crystal_turn: turns,
            v.predicted_cluster: np.array([0, 0, 0, 1, 1], np.int16),
        },
        crystals=["silicon", "magnesium\tphase"],
        crystal_formulas=["Si", "Mg 0.9 Al"],
        crystal_space_groups=["F d -3 m:1", "P 63/m m c"],
        of="automatic",
    )


def write_tree(store, content, **attrs):
    root = xr.Dataset(coords={"scan_y": 2.0 * np.arange(3) + 10, "scan_x": 5.0 * np.arange(4)})
    tree = xr.DataTree.from_dict({"/": root, **content})
    tree.attrs.update(attrs)
    tree.to_zarr(store, zarr_format=3, consolidated=False)


def write_results(folder, **facts):
    """Write the results of a run into a folder."""
    content = {**groups(**facts), "orientations": orientations()}
    content["clusters"].attrs["complete"] = "automatic"
    write_tree(
        folder / "analysis.zarr", content, status="complete", orimap_version="9.9", decided_k=2
    )
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """Results of a calibrated scan, with a revision "mine": every label is 2, which has a name."""
    folder = write_results(tmp_path_factory.mktemp("finished"))
    revised = {"clusters": groups(np.where(LABEL < 0, -1, 1))["clusters"]}
    revised["clusters"].attrs["complete"] = "by hand"
    revised["clusters"].attrs["cluster_names"] = ["", "β phase"]
    write_tree(folder / "revisions" / "mine.zarr", revised, of="an earlier decision")
    beam = zarr.open_group(folder / "patterns.zarr", mode="w").create_group("beam")
    beam.attrs.update(found=True, reference_y=2.0, reference_x=3.0)
    return folder


@pytest.fixture(scope="session")
def uncalibrated(tmp_path_factory):
    """Results of which nothing is known in units, without patterns."""
    return write_results(
        tmp_path_factory.mktemp("uncalibrated"),
        scan_step=[1.0, 1.0],
        scan_units="px",
        detector_step=[1.0, 1.0],
        detector_units="px",
        beam_energy_kev=None,
        intensity_exponent=-40,
    )


@pytest.fixture(scope="session")
def without_clusters(tmp_path_factory):
    """Results with a revision "none", in which no position belongs to a cluster."""
    folder = write_results(tmp_path_factory.mktemp("without"))
    clusters = groups(np.full(SCAN, -1))["clusters"].isel(cluster=slice(0))
    clusters["component_cluster"][:] = -1
    overlap = groups()["overlap"]
    overlap["second_label"][:] = -1
    revised = {"clusters": clusters, "overlap": overlap}
    write_tree(folder / "revisions" / "none.zarr", revised, decided_k=0)
    return folder
