"""What clusters are indexed with: crystals, microscope and camera; and the same as it was stored.

The text of a CIF is stored with the orientations, so that they can follow another decision when the
file is no longer there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orimap.tasks.errors import InputError
from orimap.tasks.index.crystals.read_cif import Crystal, as_text, parse_crystal, read_content
from orimap.tasks.index.index_results import Setup
from orimap.tasks.store.fingerprint import fingerprint

# A CIF has some kilobytes; with the reflections that were measured, more than an attribute should.
LARGEST_STORED_BYTES = 200_000


@dataclass(frozen=True)
class CrystalFile:
    """A crystal, and the file that describes it.

    Parameters
    ----------
    name : str
        Of the file, without its folder.
    digest : str
        Of its bytes.
    text : str
        What is in it; empty where that is too long to be stored.
    crystal : Crystal
    """

    name: str
    digest: str
    text: str
    crystal: Crystal = field(compare=False)

    @classmethod
    def read(cls, path: Path) -> CrystalFile:
        """Read the file of a crystal.

        Raises
        ------
        InputError
            If it is missing or no CIF, or lacks the cell, the symmetry or the atoms.
        """
        content = read_content(path)
        text = as_text(content) if len(content) <= LARGEST_STORED_BYTES else ""
        digest = hashlib.sha256(content).hexdigest()[:16]
        return cls(path.name, digest, text, parse_crystal(content, path))


@dataclass(frozen=True)
class Indexing:
    """What clusters are indexed with.

    Parameters
    ----------
    crystals : tuple of CrystalFile
    setup : Setup
    """

    crystals: tuple[CrystalFile, ...]
    setup: Setup

    @classmethod
    def read(cls, paths: Sequence[Path], setup: Setup) -> Indexing:
        """Read the crystals from CIF files.

        Raises
        ------
        InputError
            If there is none, a file is at fault, or two cannot be told apart.
        """
        if not paths:
            raise InputError("a crystal to index with", "none", "give --crystal FILE.cif")
        files = [CrystalFile.read(path) for path in paths]
        for number, (path, file) in enumerate(zip(paths, files, strict=True)):
            for before, other in zip(paths[:number], files, strict=False):
                if file.digest == other.digest:
                    raise InputError(
                        "different crystals", f"the same in {before} and {path}", "give it once"
                    )
                if file.crystal.name == other.crystal.name:
                    raise InputError(
                        "names that tell crystals apart, which are those of their files",
                        f"{before} and {path}",
                        "rename one of the files",
                    )
        return cls(tuple(files), setup)

    @property
    def mark(self) -> str:
        """The fingerprint: of the bytes of the files, wherever they lie, and of all that is told.

        Names are part of it, since crystals go by them.
        """
        files = [(each.name, each.digest) for each in self.crystals]
        return fingerprint(crystals=files, setup=asdict(self.setup))

    def mark_of(self, clusters: str | None) -> str:
        """Return the fingerprint of the orientations of clusters that have a fingerprint."""
        return fingerprint(clusters=clusters, asked=self.mark)

    @property
    def attributes(self) -> dict[str, Any]:
        """What is stored of it, for `stored_indexing`: plain, as other formats take it."""
        setup = self.setup
        return {
            "crystal_files": [each.name for each in self.crystals],
            "crystal_digests": [each.digest for each in self.crystals],
            "crystal_texts": [each.text for each in self.crystals],
            "precession_deg": setup.precession_deg,
            "detector_rotation_deg": setup.rotation_deg,
            "detector_flip": setup.flip,
            "beam_energy_told_kev": setup.beam_energy_kev or 0.0,
            "camera_fitted": setup.fit_camera,
        }


def stored_indexing(attrs: Mapping[str, Any]) -> Indexing | None:
    """Return what orientations with these attributes were indexed with.

    None where the text of a crystal was not stored: it was too long, or the version an earlier one.
    """
    files = [attrs.get(f"crystal_{name}", ()) for name in ("files", "digests", "texts")]
    if not files[0] or len({len(each) for each in files}) > 1 or not all(files[2]):
        return None
    crystals = [
        CrystalFile(name, digest, text, parse_crystal(text.encode(), Path(name)))
        for name, digest, text in zip(*files, strict=True)
    ]
    setup = Setup(
        precession_deg=attrs["precession_deg"],
        rotation_deg=attrs["detector_rotation_deg"],
        flip=attrs["detector_flip"],
        fit_camera=attrs["camera_fitted"],
        beam_energy_kev=attrs["beam_energy_told_kev"] or None,
    )
    return Indexing(tuple(crystals), setup)
