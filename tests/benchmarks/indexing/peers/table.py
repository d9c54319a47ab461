"""Compare orientations of peers with the truth: python table.py SPOTS NAME=FOLDER ...

Each peer has a frame of its own. Of the sixteen ways to name and point the axes of the detector and
the beam, the one is taken, for all scans together, in which the peer errs least.
"""

import sys
from itertools import product
from pathlib import Path

import numpy as np

from orimap.tasks.index.crystals.symmetry import misorientation_deg

MANY_REFLECTIONS = 8


def frames() -> list[np.ndarray]:
    """Return the matrices of all frames; the crystals have an inversion, so all are turns."""
    found = []
    for swap, *signs in product((False, True), (1, -1), (1, -1), (1, -1)):
        matrix = np.diag(signs).astype(float)
        matrix = matrix[[1, 0, 2]] if swap else matrix
        found.append(matrix * np.linalg.det(matrix))
    return found


def line(name: str, error: np.ndarray, many: np.ndarray, seconds: float) -> str:
    """Return a row of the table."""
    error = np.where(np.isfinite(error), error, 180)
    parts = []
    for some in (np.ones(len(error), bool), many):
        own = error[some]
        parts.append(
            f"{len(own)} | {np.median(own):.2f}° | {(own < 1).mean():.0%} | {(own > 3).sum()}"
            if len(own)
            else "0 | | |"
        )
    return f"| {name} | {parts[0]} | {parts[1]} | {seconds:.1f} |"


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
    many = {
        name: np.bincount(held["pattern"], minlength=len(held["truth"])) >= MANY_REFLECTIONS
        for name, held in truth.items()
    }
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
    print("| scan, program | patterns | median | within 1° | off by more than 3° "
          "| with 8 reflections or more | median | within 1° | off | s |")  # fmt: skip
    print("|" + "---|" * 10)
    for name in names:
        for way in ways:
            row = errors[way][name], many[name], float(ways[way][name]["seconds"])
            print(line(f"{name}, {way}", *row))
    for way in ways:
        together = np.concatenate([errors[way][name] for name in names])
        rich = np.concatenate([many[name] for name in names])
        seconds = sum(float(ways[way][name]["seconds"]) for name in names)
        print(line(f"all, {way}", together, rich, seconds))
    flagged = np.concatenate([~truth[name]["reliable"] for name in names])
    wrong = np.nan_to_num(np.concatenate([errors["orimap"][n] for n in names]), nan=180) > 3
    print(f"\norimap calls {flagged.sum()} of {len(flagged)} not reliable; "
          f"of the others {(wrong & ~flagged).sum()} are off by more than 3°.")  # fmt: skip


if __name__ == "__main__":
    main()
