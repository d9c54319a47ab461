"""Commands about scans whose truth is known: simulate one, or simulate and analyse one.

Tested in tests/flows/cli/test_main.py.
"""

from pathlib import Path
from typing import Annotated

import typer

from orimap.flows.cli.answers import Debug, Quiet, analyse, answers, print_result
from orimap.flows.cli.options import completing
from orimap.flows.request.request import Request
from orimap.tasks.lines import say


@answers
def demo(
    output: Annotated[Path, typer.Option(help="Folder for the scan and the results")] = Path(
        "demo"
    ),
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another scan")] = 0,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Simulate a scan with known grains, analyse it, and compare."""
    from orimap.flows.pipeline.runtime.runner import PlainRunner, choose_display
    from orimap.flows.pipeline.runtime.workers import prepare_processes
    from orimap.tasks.simulate.recipe import ScanRecipe
    from orimap.tasks.simulate.write_scan import write_scan
    from orimap.tasks.store.run_folder import only_writer

    recipe = ScanRecipe(seed=seed)
    scan, results = output / "scan.zarr", output / "results"
    display = choose_display(quiet=quiet)
    with only_writer(output):
        prepare_processes()
        PlainRunner(display).step(
            "simulate a scan", lambda progress: write_scan(recipe, scan, progress, force=True)
        )
        # Anew: what an earlier demo left is of another scan.
        request = Request.read(file=scan, output=results, seed=seed, restart=True)
        analyse(request, display, debug=debug)
        print_result(results)
        _print_truth(results, scan.with_suffix(".npz"))


@answers
def simulate(
    out: Annotated[Path, typer.Argument(help="File to write: .zarr, .hspy, .blo or .npy")],
    scan: Annotated[str, typer.Option(metavar="ROWSxCOLUMNS", help="Scan positions")] = "64x64",
    detector: Annotated[
        str, typer.Option(metavar="ROWSxCOLUMNS", help="Detector pixels")
    ] = "128x128",
    grains: Annotated[int, typer.Option(help="Number of grains")] = 8,
    dose: Annotated[float, typer.Option(help="Electrons per pattern")] = 5000,
    overlap: Annotated[float, typer.Option(help="Width of grain boundaries in positions")] = 2,
    bend: Annotated[float, typer.Option(help="Degrees that each grain bends")] = 0,
    descan: Annotated[float, typer.Option(help="Pixels that patterns drift over the scan")] = 0,
    hot: Annotated[int, typer.Option(help="Hot detector pixels")] = 0,
    dead: Annotated[int, typer.Option(help="Dead detector pixels")] = 0,
    material: Annotated[
        str,
        typer.Option(
            help="LiNi0.5Mn1.5O4, Si or Au", autocompletion=completing("LiNi0.5Mn1.5O4", "Si", "Au")
        ),
    ] = "LiNi0.5Mn1.5O4",
    precession: Annotated[float, typer.Option(help="Half-angle of the precession, degrees")] = 0,
    background: Annotated[
        float, typer.Option(help="Share of the electrons that are inelastic background")
    ] = 0.3,
    zone: Annotated[bool, typer.Option(help="Every grain near a zone axis of low index")] = False,
    alike: Annotated[
        float, typer.Option(help="Largest cosine between the reflections of two grains")
    ] = 0.5,
    disk_radius: Annotated[
        float | None, typer.Option(help="Pixels; by default a fiftieth of the detector")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same scan")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a scan of that name, and what is beside it")
    ] = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a simulated scan, its truth (.npz) and its crystal (.cif) beside it."""
    from orimap.flows.pipeline.runtime.runner import PlainRunner, choose_display
    from orimap.flows.request.recipe import read_recipe
    from orimap.tasks.simulate.write_scan import require_place, write_scan

    require_place(out, force=force)
    recipe = read_recipe(
        scan=scan,
        detector=detector,
        grains=grains,
        dose=dose,
        overlap=overlap,
        bend=bend,
        descan=descan,
        hot=hot,
        dead=dead,
        material=material,
        precession=precession,
        background=background,
        zone=zone,
        alike=alike,
        disk_radius=disk_radius,
        seed=seed,
    )
    PlainRunner(choose_display(quiet=quiet)).step(
        "simulate a scan", lambda progress: write_scan(recipe, out, progress, force=force)
    )
    say(f"{out}", f"{out.with_suffix('.npz')}")


def _print_truth(results: Path, truth: Path) -> None:
    """Print how well a result fits the truth of a simulated scan."""
    import zarr

    from orimap.tasks.simulate.truth import read_truth

    found = zarr.open_group(results / "analysis.zarr", mode="r")
    labels = found["clusters/cluster_label"][:]
    known = read_truth(truth, labels.shape)
    index = known.score(labels, found["overlap/overlap_ratio"][:])["ari"]
    say(f"truth: {known.grains} grains; decided: {int(labels.max()) + 1} patterns")
    say(f"adjusted Rand index of the cluster map: {index:.3f} (1 = every position right)")
