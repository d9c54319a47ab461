"""The dated file of figures: one section for each benchmark, ratios for what they are compared by.

    {"date": ..., "machine": {...}, "sections": {
        "sweep-small": {"measured": ..., "code": ...,
                        "ratios": {NAME: {"value": ..., "better": ..., ...}}, "figures": {...}}}}

Ratios say how much more one thing takes than another on the same machine in the same run, so that
they can be compared between machines; ``compare.py`` looks at nothing else. Figures are whatever
the benchmark wants to keep. Other benchmarks add their sections with ``add_section``.
"""

import json
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orimap.flows.pipeline.runtime.measure import machine

HERE = Path(__file__).resolve().parent
KEPT = HERE / "results"
TOLERANCE = 0.2


@dataclass(frozen=True)
class Ratio:
    """One figure divided by another.

    Parameters
    ----------
    value : float
    better : str, optional
        "lower" or "higher"; None where it only informs and is never held against anybody.
    tolerance : float
        By what share it may get worse before it counts.
    extrapolated : bool
        Whether one of the two was not measured whole.
    """

    value: float
    better: str | None = None
    tolerance: float = TOLERANCE
    extrapolated: bool = False

    def worsened(self, new: "Ratio") -> float:
        """Return how many times worse a new value is; below 1 it is better."""
        if self.better is None or not (self.value > 0 and new.value > 0):
            return 1.0
        return new.value / self.value if self.better == "lower" else self.value / new.value


def read(path: Path) -> dict[str, Any]:
    """Read a file of figures; an empty one where there is none."""
    if not path.exists():
        return {"date": today(), "machine": describe_machine(), "sections": {}}
    return json.loads(path.read_text())


def ratios(section: dict[str, Any]) -> dict[str, Ratio]:
    """Return the ratios of a section."""
    return {name: Ratio(**content) for name, content in section["ratios"].items()}


def add_section(
    path: Path, name: str, section_ratios: dict[str, Ratio], figures: dict[str, Any]
) -> None:
    """Put a section into a file of figures, in place of an earlier one of this name."""
    content = read(path)
    content["date"] = today()
    content["sections"][name] = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": code_version(),
        "ratios": {name: asdict(ratio) for name, ratio in section_ratios.items()},
        "figures": figures,
    }
    write(path, content)


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a file of figures, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"unfinished-{path.name}")
    unfinished.write_text(json.dumps(rounded(content), indent=1) + "\n")
    unfinished.replace(path)


def rounded(value: Any) -> Any:
    """Keep six digits of every number: what is beyond is noise, and makes long files."""
    if isinstance(value, dict):
        return {str(key): rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def keep(path: Path) -> Path:
    """Put the sections of a file into the kept file of its date; return that."""
    content = read(path)
    kept = KEPT / f"{content['date']}.json"
    together = read(kept)
    together.update(date=content["date"], machine=content["machine"])
    together["sections"].update(content["sections"])
    write(kept, together)
    return kept


def newest_kept(before: Path | None = None) -> Path | None:
    """Return the kept file with the latest date, None where there is none but ``before``."""
    kept = [file for file in sorted(KEPT.glob("*.json")) if before is None or file != before]
    return kept[-1] if kept else None


def today() -> str:
    """Return the date."""
    return datetime.now(UTC).date().isoformat()


def code_version() -> str:
    """Return the commit that is measured, marked where files differ from it."""
    asked = ["git", "describe", "--always", "--dirty=+"]
    return subprocess.run(asked, cwd=HERE, capture_output=True, text=True).stdout.strip()


def describe_machine() -> dict[str, Any]:
    """Return what kind of machine this is."""
    facts = machine()
    del facts["platform"]
    names = Path("/proc/cpuinfo")
    if names.exists():
        models = [line for line in names.read_text().splitlines() if line.startswith("model name")]
        facts["processor"] = models[0].partition(":")[2].strip() if models else "unknown"
    return facts
