"""Write tables for spreadsheets and scripts (CSV), and all arrays for NumPy (NPZ)."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from orimap.tasks.export.contents import LABELS_SAY, Contents

SCORES = {"ssim": "SSIM", "gmsd": "GMSD", "mdsi": "MDSI", "psnr": "PSNR in dB"}


def write_csv(contents: Contents, folder: Path) -> dict[str, str]:
    """Write a table of clusters, one of positions, and one that explains their columns."""
    clusters, positions = _of_clusters(contents), _of_positions(contents)
    _write(
        folder / "clusters.csv",
        [column for column, _, _ in clusters],
        zip(*(_cells(values) for _, values, _ in clusters), strict=True),
    )
    _write(folder / "positions.csv", [column for column, _, _ in positions], _rows_of(positions))
    _write(
        folder / "columns.csv",
        ("table", "column", "meaning"),
        [
            (table, column, meaning)
            for table, columns in (("clusters.csv", clusters), ("positions.csv", positions))
            for column, _, meaning in columns
        ],
    )
    return {
        "clusters.csv": "a row for each cluster",
        "positions.csv": "a row for each position of the scan",
        "columns.csv": "what the columns of both mean",
    }


def write_npz(contents: Contents, path: Path) -> None:
    """Write all layers, the values along their axes, and ``about``: what is in it, as JSON."""
    ky, kx = contents.detector
    y, x = contents.scan
    about = {
        "source": str(contents.facts.get("source_file", "")),
        "orimap_version": contents.version,
        "revision": contents.revision,
        "beam_energy_kev": contents.beam_energy_kev,
        "remarks": contents.remarks,
        "arrays": {
            layer.name: {
                "meaning": layer.title,
                "units": layer.units,
                "axes": [
                    *([layer.stacked] if layer.stacked else []),
                    *(("detector_y", "detector_x") if layer.of_detector else ("scan_y", "scan_x")),
                ],
            }
            for layer in contents.layers
        },
        "axes": {"scan_y": y.units, "scan_x": x.units, "detector_y": ky.units,
                 "detector_x": kx.units},
    }  # fmt: skip
    arrays = {layer.name: layer.values() for layer in contents.layers}
    with path.open("wb") as file:  # savez would add an ending to a name without one
        np.savez_compressed(
            file,
            **arrays,
            component_cluster=contents.component_cluster,
            scan_measured=contents.measured,
            detector_masked=contents.left_out,
            scan_y=y.values,
            scan_x=x.values,
            detector_y=ky.values,
            detector_x=kx.values,
            about=np.array(json.dumps(about, ensure_ascii=False)),
        )


Column = tuple[str, np.ndarray | Sequence[Any], str]


def _of_clusters(contents: Contents) -> list[Column]:
    """Return name, values and meaning of the columns about clusters."""
    stored, count = contents.tree["clusters"], contents.count
    size = np.bincount(contents.labels.ravel(), minlength=count + 1)[1:]
    numbers = range(1, count + 1)
    unit = contents.intensity_units
    columns: list[Column] = [
        ("cluster", numbers, "number of the cluster, as in labels"),
        ("name", contents.names, "what somebody called it"),
        ("positions", size, "positions that belong to it"),
        ("scan_share", size / contents.labels.size, "positions over all positions of the scan"),
        (
            "components",
            [" ".join(map(str, contents.components_of(n))) for n in numbers],
            "components that it is made of, counted from 1",
        ),
        ("colour", contents.colours, "in the report and in cluster_map.tif"),
        (
            "mean_intensity",
            stored["cluster_mean_pattern"].values.mean(axis=(1, 2), dtype=float),
            f"mean of a pixel of its mean pattern, in units of {unit}",
        ),
    ]
    columns += [
        (name, stored[f"cluster_{name}"].values, f"{title} of mean pattern and representative")
        for name, title in SCORES.items()
        if f"cluster_{name}" in stored
    ]
    columns += [
        (
            f"noise_{kind}",
            stored[f"cluster_nsd_{kind}"].values,
            f"{stored[f'cluster_nsd_{kind}'].attrs['long_name']}, in units of {unit}",
        )
        for kind in ("whole", "corner", "robust")
        if f"cluster_nsd_{kind}" in stored
    ]
    return columns


def _of_positions(contents: Contents) -> list[Column]:
    """Return name, maps and meaning of the columns about positions."""
    shape = contents.labels.shape
    row, column = np.indices(shape)
    y, x = contents.scan
    shares = contents.tree["clusters"]["cluster_share"].values
    errors = contents.tree["clusters"].get("cluster_share_error")
    overlap = contents.tree["overlap"]
    columns: list[Column] = [
        ("row", row, "row of the scan, the first one is 0"),
        ("column", column, "column of the scan, the first one is 0"),
        (f"y_{y.units}", np.broadcast_to(y.values[:, None], shape), f"of the row, in {y.units}"),
        (f"x_{x.units}", np.broadcast_to(x.values, shape), f"of the column, in {x.units}"),
        ("measured", contents.measured.astype(int), "1, or 0 where there is no pattern"),
        ("cluster", contents.labels, f"its cluster. {LABELS_SAY}"),
        ("second_cluster", contents.layer("second_labels").values(),
         "the cluster with the second largest share, 0 where there is none"),
        ("overlap_ratio", overlap["overlap_ratio"].values, "second share over the largest one"),
    ]  # fmt: skip
    if "overlap_ratio_error" in overlap:
        columns.append(
            (
                "overlap_ratio_error",
                overlap["overlap_ratio_error"].values,
                "standard error of overlap_ratio, empty where noise is not known",
            )
        )
    for cluster in range(contents.count):
        meaning = f"share of cluster {cluster + 1}, 1 where it fills a position alone"
        columns.append((f"share_{cluster + 1}", shares[..., cluster], meaning))
        if errors is not None:
            columns.append(
                (
                    f"share_{cluster + 1}_error",
                    errors.values[..., cluster],
                    "standard error of that, empty where noise is not known",
                )
            )
    return columns


def _rows_of(columns: Sequence[Column]) -> Iterator[tuple[Any, ...]]:
    """Give the rows of a table of maps, made for one row of the scan after the other."""
    for at in range(len(columns[0][1])):
        yield from zip(*(_cells(values[at]) for _, values, _ in columns), strict=True)


def _cells(values: np.ndarray | Sequence[Any]) -> list[Any]:
    """Return values as a table shows them: seven digits, which single precision has at most."""
    if not isinstance(values, np.ndarray) or values.dtype.kind != "f":
        return values.tolist() if isinstance(values, np.ndarray) else list(values)
    return ["" if np.isnan(value) else f"{value:.7g}" for value in values.tolist()]


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
