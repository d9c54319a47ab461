"""Compare orientations of peers with the truth: python table.py SPOTS NAME=FOLDER ...

Each peer has a frame of its own. Of the sixteen ways to name and point the axes of the detector and
the beam, the one is taken, for all scans together, in which the peer errs least.
"""

import sys
from itertools import product
from pathlib import Path

import numpy as np

from orimap.tasks.index.crystals.symmetry import misorientation_deg

WRONG_DEG = 3.0


def frames() -> list[np.ndarray]:
    """Return the matrices of all frames; the crystals have an inversion, so all are turns."""
    found = []
    for swap, *signs in product((False, True), (1, -1), (1, -1), (1, -1)):
        matrix = np.diag(signs).astype(float)
        matrix = matrix[[1, 0, 2]] if swap else matrix
        found.append(matrix * np.linalg.det(matrix))
    return found


def line(name: str, error: np.ndarray, seconds: float) -> str:
    """Return a row of the table."""
    error = np.where(np.isfinite(error), error, 180)
    return (
        f"| {name} | {len(error)} | {np.median(error):.2f}° | {(error < 1).mean():.0%} "
        f"| {(error > WRONG_DEG).sum()} | {seconds:.1f} |"
    )


def main() -> None:
    """Print the table of every scan and of all."""
    spots = Path(sys.argv[1])
    names = sorted(path.stem for path in spots.glob("*.npz"))
    truth = {}
    for name in names:
        with np.load(spots / f"{name}.npz") as file:
            truth[name] = dict(file)
    ways = {
        "orimap": {
            name: {"rotation": held["orimap"], "seconds": held["seconds"]}
            for name, held in truth.items()
        }
    }
    for each in sys.argv[2:]:
        way, folder = each.split("=", 1)
        ways[way] = {name: dict(np.load(Path(folder) / f"{name}.npz")) for name in names}
    errors = {}
    for way, found in ways.items():
        tried = []
        for frame in frames():
            tried.append(
                {
                    name: misorientation_deg(
                        frame @ found[name]["rotation"], truth[name]["truth"], truth[name]["turns"]
                    )
                    for name in names
                }
            )
        medians = [np.nanmedian(np.concatenate(list(each.values()))) for each in tried]
        errors[way] = tried[int(np.argmin(medians))] if way != "orimap" else tried[0]
    print("| scan, program | patterns | median | within 1° | off by more than 3° | s |")
    print("|" + "---|" * 6)
    for name in names:
        for way in ways:
            print(line(f"{name}, {way}", errors[way][name], float(ways[way][name]["seconds"])))
    for way in ways:
        together = np.concatenate([errors[way][name] for name in names])
        seconds = sum(float(ways[way][name]["seconds"]) for name in names)
        print(line(f"all, {way}", together, seconds))
    flagged = np.concatenate([~truth[name]["reliable"] for name in names])
    wrong = np.nan_to_num(np.concatenate([errors["orimap"][n] for n in names]), nan=180) > WRONG_DEG
    print(f"\norimap calls {flagged.sum()} of {len(flagged)} not reliable; "
          f"of the others {(wrong & ~flagged).sum()} are off by more than 3°.")  # fmt: skip


if __name__ == "__main__":
    main()
