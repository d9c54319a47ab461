"""Export orientations, with what the files have to hold beside them; make up others to export."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

import orimap
from orimap.tasks.export.contents import read_contents
from orimap.tasks.export.export import OF_ORIENTATIONS
from orimap.tasks.index.crystals.read_cif import read_crystal
from orimap.tasks.index.crystals.symmetry import laue_class, laue_turns
from orimap.tasks.index.stored import read_orientations, write_orientations
from orimap.tasks.store.variables import ORIENTATIONS
from orimap.tasks.store.whole.results import seal_groups

CRYSTALS = Path(__file__).parents[1] / "tasks" / "index" / "crystals"


def export_orientations(results: Path, place: Path) -> None:
    """Export .ang and .ctf, and in .npz of the same name what they have to hold."""
    for to in OF_ORIENTATIONS:
        orimap.export(results, to, place.with_suffix(f".{to}"), force=True)
    contents = read_contents(results)
    found = contents.tree["orientations"].to_dataset()
    turns = found["crystal_turn"].values
    own = [each[np.isfinite(each).all(axis=(1, 2))] for each in turns]
    arrays = ("indexed", "phase", "quaternion", "reliability")
    np.savez(
        place.with_suffix(".npz"),
        labels=contents.labels,
        step_nm=[axis.step for axis in contents.scan],
        name=list(found.attrs["crystals"]),
        laue=[laue_class(each) for each in own],
        axes=found["crystal_axes"].values,
        cell=np.concatenate([found["crystal_edge"], found["crystal_angle"]], axis=1),
        **{name: found[f"cluster_{name}"].values for name in arrays},
    )


def make_up_orientations(results: Path, files: Sequence[Path]) -> None:
    """Have the clusters of results be of other crystals in turn, in random orientations.

    Of more than one, the last is not indexed.
    """
    analysis = results / "analysis.zarr"
    found = read_orientations(analysis)
    assert found is not None
    crystals = [read_crystal(file) for file in files]
    count = found.sizes["cluster"]
    turns = np.full((len(crystals), 24, 3, 3), np.nan)
    for row, crystal in zip(turns, crystals, strict=True):
        own = laue_turns(crystal)
        row[: len(own)] = own
    indexed = np.arange(count) < max(count - 1, 1)
    random = Rotation.random(count, random_state=1).as_quat()[:, [3, 0, 1, 2]]
    made = {
        "cluster_quaternion": np.where(indexed[:, None], random, np.nan),
        "cluster_phase": (np.arange(count) % len(crystals)).astype(np.int16),
        "cluster_indexed": indexed,
        "crystal_edge": np.stack([crystal.parameters[:3] for crystal in crystals]),
        "crystal_angle": np.stack([crystal.parameters[3:] for crystal in crystals]),
        "crystal_axes": np.stack([crystal.axes for crystal in crystals]),
        "crystal_turn": turns,
    }
    arrays = {
        variable: made[name] if name in made else found[name].values
        for name, variable in ORIENTATIONS.variables.items()
    }
    facts = {
        **{name: value for name, value in found.attrs.items() if name not in ("complete", "seal")},
        "crystals": [crystal.name for crystal in crystals],
        "crystal_formulas": [crystal.formula for crystal in crystals],
        "crystal_space_groups": [crystal.space_group for crystal in crystals],
    }
    write_orientations(analysis, (arrays, facts))
    seal_groups(analysis)
