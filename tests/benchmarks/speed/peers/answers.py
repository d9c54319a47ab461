"""What a contestant says of its sweep, and how it is handed over: one JSON file, rewritten."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Fit:
    """One fit.

    Parameters
    ----------
    k : int
    seconds : float, optional
    iterations : int, optional
    sampled : bool
        Whether it was stopped after this many iterations, to see what one costs.
    cpu_seconds : float, optional
        Processor time of all threads: other work on the machine hardly changes it.
    """

    k: int
    seconds: float | None
    iterations: int | None
    sampled: bool = False
    cpu_seconds: float | None = None


@dataclass
class Answer:
    """What a contestant measured of itself.

    Parameters
    ----------
    folder : Path
    start_up_seconds : float
        From the launch of the process to all imports done and workers there.
    warm_up_seconds : float
        Of the sweep over a tiny scan.
    seconds : float, optional
        Of the sweep, the median of ``all_seconds``; of peers it is the sum of their fits.
    cpu_seconds : float, optional
        Processor time of the sweep, of all processes; of peers it is the sum of their fits.
    stages : dict
        Parts of the sweep.
    reads, reads_here : list of float
        Seconds of plain reads of the store, by the workers and by one process.
    windows : list of (float, float)
        When sweeps began and ended, on the monotonic clock.
    threads : dict
    versions : dict
    load : float
        Mean number of processes that wanted to run over the last minute of the sweep.
    """

    folder: Path
    start_up_seconds: float
    warm_up_seconds: float = 0.0
    seconds: float | None = None
    all_seconds: list[float] = field(default_factory=list)
    cpu_seconds: float | None = None
    stages: dict[str, float] = field(default_factory=dict)
    fits: list[Fit] = field(default_factory=list)
    reads: list[float] = field(default_factory=list)
    reads_here: list[float] = field(default_factory=list)
    windows: list[tuple[float, float]] = field(default_factory=list)
    threads: dict = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    load: float = 0.0

    def write(self) -> None:
        """Write it, whole or not at all."""
        content = {name: value for name, value in asdict(self).items() if name != "folder"}
        unfinished = self.folder / "unfinished-answer.json"
        unfinished.write_text(json.dumps(content, indent=1) + "\n")
        unfinished.replace(self.folder / "answer.json")


def libraries(infos: list[dict]) -> list[dict]:
    """Return what threadpoolctl tells of libraries that run threads, without where they are."""
    told = ("user_api", "internal_api", "version", "threading_layer", "num_threads")
    return [{name: info[name] for name in told if info.get(name)} for info in infos]


def read(folder: Path) -> Answer | None:
    """Read an answer, None where there is none."""
    file = folder / "answer.json"
    if not file.exists():
        return None
    content = json.loads(file.read_text())
    content["fits"] = [Fit(**fit) for fit in content["fits"]]
    content["windows"] = [tuple(window) for window in content["windows"]]
    return Answer(folder, **content)
