"""Open every export in the program it is for, in an environment of its own.

    python tests/exports/open_elsewhere.py                     of a scan that is simulated
    python tests/exports/open_elsewhere.py --results DIR       of the results of a run, indexed
    python tests/exports/open_elsewhere.py --programs pyxem    in some of the programs
    python tests/exports/open_elsewhere.py --imagej ij.jar     in ImageJ as well, which needs Java

These programs cannot be installed beside orimap: pyxem needs Zarr 2, py4DSTEM an older NumPy. The
environments are made once, in ``--environments`` (build/exports). Each script in_PROGRAM.py gets
the folder of the exports, prints what it saw, and fails where that is not what was exported.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from orientation_files import CRYSTALS, export_orientations, make_up_orientations

import orimap
from orimap.tasks.export.export import OF_ORIENTATIONS
from orimap.tasks.export.formats import FORMATS
from orimap.tasks.index.stored import read_orientations
from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.write_scan import write_scan

HERE = Path(__file__).parent
SPINEL, OBLIQUE = "lnmo_disordered", ("quartz", "monoclinic_zirconia")
NEEDS = {
    "pyxem": ("pyxem==0.21.0", "hyperspy==2.5.0", "rosettasciio[blockfile,tiff,zspy]==0.15.0"),
    "py4dstem": ("py4DSTEM==0.14.18", "numpy<2"),
    "napari": ("napari==0.9.2",),
    "orix": ("orix==0.15.0",),
}


def environment(program: str, folder: Path) -> Path:
    """Return the Python of an environment that has a program; make it where it is not there."""
    python = folder / program / "bin" / "python"
    ready = folder / program / "ready"
    if not ready.exists():
        print(f"installing {', '.join(NEEDS[program])}", flush=True)
        venv.create(folder / program, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *NEEDS[program]], check=True)
        ready.touch()
    return python


def succeeds(*command: str | Path) -> bool:
    """Run a command; return whether it ended well."""
    return subprocess.run(list(map(str, command)), check=False).returncode == 0


def export_all(results: Path, folder: Path) -> None:
    """Export results in every format, hspy also as one file, and orientations made up as well."""
    for to, form in FORMATS.items():
        if to in OF_ORIENTATIONS:
            continue
        orimap.export(results, to, folder / f"{to}{form.file or ''}", force=True)
    orimap.export(results, "hspy", folder / "all.hspy", force=True)
    if read_orientations(results / "analysis.zarr") is None:
        return
    export_orientations(results, folder / "indexed")
    oblique = folder.parent / "oblique"
    shutil.copytree(results, oblique)
    make_up_orientations(oblique, [CRYSTALS / f"{name}.cif" for name in OBLIQUE])
    export_orientations(oblique, folder / "oblique")


def small_results(folder: Path) -> Path:
    """Simulate a calibrated scan, analyse it and index its clusters."""
    recipe = ScanRecipe(scan=(16, 20), detector=(96, 96), grains=3, dose=4000)
    write_scan(recipe, folder / "scan.npy")
    step = f"{recipe.detector_step_inv_angstrom}/Å"
    given = {"scan_step": "2nm", "detector_step": step, "beam_energy": "200kV"}
    results = folder / "results"
    orimap.run(folder / "scan.npy", results, k="1:6", quiet=True, orchestrate="never", **given)
    orimap.index(results, crystals=[CRYSTALS / f"{SPINEL}.cif"])
    return results


def main() -> None:
    """Export, and open the exports in each program; end with 1 where one cannot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, help="folder of a run")
    parser.add_argument("--programs", nargs="+", choices=NEEDS, default=list(NEEDS))
    parser.add_argument("--environments", type=Path, default=HERE.parents[1] / "build" / "exports")
    parser.add_argument("--imagej", type=Path, metavar="JAR", help="ImageJ, as Debian's libij-java")
    asked = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        exports = Path(scratch) / "exports"
        exports.mkdir()
        export_all(asked.results or small_results(Path(scratch)), exports)
        for program in asked.programs:
            print(f"== {program}", flush=True)
            if program == "orix" and not (exports / "indexed.ang").exists():
                print("the results were not indexed: nothing to open")
                continue
            python = environment(program, asked.environments.resolve())
            if not succeeds(python, "-W", "ignore", HERE / f"in_{program}.py", exports):
                failed.append(program)
        if asked.imagej is not None:
            print("== imagej", flush=True)
            if not succeeds("java", "-cp", asked.imagej, HERE / "InImageJ.java", exports):
                failed.append("imagej")
    if failed:
        sys.exit(f"failed in {', '.join(failed)}")
    print("every program opened what is for it")


if __name__ == "__main__":
    main()
