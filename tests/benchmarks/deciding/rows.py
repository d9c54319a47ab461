"""The rows of the benchmark: one for each scan and way, in a CSV file that grows."""

import csv
import subprocess
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from orimap.tasks.simulate.recipe import ScanRecipe
from orimap.tasks.simulate.truth import read_truth, true_overlap_ratio
from orimap.tasks.store.variables import OVERLAP_RATIO


@dataclass
class Reply:
    """What a way said about a scan, or why it said nothing.

    Parameters
    ----------
    k : int
    label, overlap_ratio : (scan_y, scan_x) arrays
    confidence : str
    seconds : float
        On the clock.
    cpu_seconds : float
        Processor time of all its processes.
    failure : str
    """

    k: int | None = None
    label: np.ndarray | None = None
    overlap_ratio: np.ndarray | None = None
    confidence: str | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    failure: str | None = None


@dataclass
class Row:
    """How one way did on one scan; what it does not give is None.

    Parameters
    ----------
    number : int
        Of the scan; even ones are for tuning, odd ones for reporting.
    way : str
    k, k_true : int
    ari : float
        Adjusted Rand index of its map, over all positions.
    overlap_f1 : float
        F1 of the positions where a second pattern is at least half the first.
    overlap_positions : int
        How many positions truly are such.
    confidence : str
    seconds : float
        On the clock, whatever else the machine did.
    cpu_seconds : float
        Of all its processes.
    failure : str
        Why there is no answer.
    """

    number: int
    way: str
    k_true: int
    overlap_positions: int
    k: int | None = None
    exact: bool = False
    within_one: bool = False
    ari: float | None = None
    overlap_f1: float | None = None
    confidence: str | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    failure: str | None = None
    scan: str = ""
    detector: str = ""
    material: str = ""
    dose: float = 0.0
    overlap: float = 0.0
    bend: float = 0.0
    descan: float = 0.0
    hot: int = 0
    dead: int = 0
    background: float = 0.0
    precession: float = 0.0
    zone: bool = False
    measured: str = ""
    code: str = ""


def describe(number: int, way: str, recipe: ScanRecipe, truth_file: Path) -> Row:
    """Return the row of a scan before anything is known of the answer."""
    truth = read_truth(truth_file, recipe.scan)
    properties = {
        name: getattr(recipe, name)
        for name in (
            *("material", "dose", "overlap", "bend", "descan", "hot", "dead"),
            *("background", "precession", "zone"),
        )
    }
    return Row(
        number,
        way,
        truth.grains,
        int((true_overlap_ratio(truth.weights) >= OVERLAP_RATIO).sum()),
        scan="x".join(map(str, recipe.scan)),
        detector="x".join(map(str, recipe.detector)),
        measured=datetime.now(UTC).date().isoformat(),
        code=code_version(),
        **properties,
    )


def score(row: Row, truth_file: Path, reply: Reply) -> None:
    """Enter what was said and how near it comes to the truth."""
    row.confidence, row.failure = reply.confidence, reply.failure
    row.seconds, row.cpu_seconds = _rounded(reply.seconds, 1), _rounded(reply.cpu_seconds, 1)
    if reply.failure:
        return
    no_ratio = reply.overlap_ratio is None
    scored = read_truth(truth_file, reply.label.shape).score(
        reply.label, np.zeros(reply.label.shape) if no_ratio else reply.overlap_ratio
    )
    row.k = reply.k
    row.exact = reply.k == row.k_true
    row.within_one = abs(reply.k - row.k_true) <= 1
    row.ari = round(scored["ari"], 4)
    row.overlap_f1 = None if no_ratio else round(scored["overlap_f1"], 4)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def code_version() -> str:
    """Return the commit that is measured, marked where files differ from it."""
    here = Path(__file__).parent
    asked = ["git", "describe", "--always", "--dirty=+"]
    return subprocess.run(asked, cwd=here, capture_output=True, text=True).stdout.strip()


def append(path: Path, row: Row) -> None:
    """Add a row; several processes may do so at once."""
    names = [field.name for field in fields(Row)]
    if not path.exists():
        path.write_text(",".join(names) + "\n")
    with path.open("a", newline="") as file:
        csv.DictWriter(file, names, lineterminator="\n").writerow(asdict(row))


def read(path: Path) -> list[Row]:
    """Return the rows of a file, none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [_typed(row) for row in csv.DictReader(file)]


def _typed(text: dict[str, str]) -> Row:
    """Give every cell its type again; an empty one is None."""
    readers = {"int": int, "float": float, "str": str, "bool": lambda cell: cell == "True"}
    content = {}
    for field in fields(Row):
        kind, *optional = (getattr(field.type, "__name__", None) or str(field.type)).split(" | ")
        cell = text[field.name]
        content[field.name] = None if optional and not cell else readers[kind](cell)
    return Row(**content)
