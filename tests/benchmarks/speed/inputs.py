"""Make what all contestants start from, once: the scan, its store, the weighted matrix as files."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orimap_sweep as ours
import scipy.sparse as sp
from sizes import Size

from orimap.cluster.local import available_cores, process_client
from orimap.tasks.simulate.truth import read_truth
from orimap.tasks.simulate.write_scan import write_scan


@dataclass(frozen=True)
class Inputs:
    """Where the files of one size are.

    Parameters
    ----------
    size : Size
    folder : Path
    """

    size: Size
    folder: Path

    @property
    def scan(self) -> Path:
        """The acquisition, its truth beside it."""
        return self.folder / "scan.zarr"

    @property
    def ingested(self) -> Path:
        """The folder that orimap ingested it into."""
        return self.folder / "ingested"

    @property
    def labels(self) -> np.ndarray:
        """The true grain of every position."""
        return read_truth(self.scan.with_suffix(".npz"), self.size.recipe.scan).labels.ravel()

    def rows(self, form: str) -> Path:
        """The weighted matrix: "dense", "sparse" or "training"."""
        return self.folder / (f"{form}.npz" if form == "sparse" else f"{form}.npy")


def make_inputs(size: Size, folder: Path, forms: set[str]) -> tuple[Inputs, ours.Prepared]:
    """Simulate and ingest a scan and write the forms of its matrix that are asked for.

    What is there from an earlier call is used again.
    """
    inputs = Inputs(size, folder)
    folder.mkdir(parents=True, exist_ok=True)
    if not inputs.scan.with_suffix(".npz").exists():
        write_scan(size.recipe, inputs.scan, force=True)
    with process_client(available_cores()) as client:
        prepared = ours.prepare(client, inputs.scan, inputs.ingested, size.ks)
    for form in forms:
        if not inputs.rows(form).exists():
            _write_rows(prepared, inputs.rows(form), form)
    return inputs, prepared


def _write_rows(prepared: ours.Prepared, path: Path, form: str) -> None:
    """Write the matrix in single precision, whole or not at all; rows are in order of position."""
    unfinished = path.with_name(f"unfinished-{path.name}")
    blocks = ours.weighted_rows(prepared, half=form == "training")
    if form == "sparse":
        order, parts = [], []
        for positions, rows in blocks:
            order.append(positions)
            parts.append(sp.csr_matrix(rows, dtype=np.float32))
        rows = sp.vstack(parts, format="csr")[np.argsort(np.concatenate(order))]
        rows.sort_indices()
        sp.save_npz(unfinished, rows, compressed=False)
    else:
        shape = prepared.patterns.positions, int(np.count_nonzero(prepared.weighting.fitted))
        stored = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.float32, shape=shape)
        for positions, rows in blocks:
            stored[positions] = rows if isinstance(rows, np.ndarray) else rows.toarray()
        stored.flush()
        del stored
    shutil.move(unfinished, path)
