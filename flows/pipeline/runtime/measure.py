"""Time and memory of every step, over this process and its workers."""

import importlib.metadata
import itertools
import os
import platform
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

# Often enough to see a step of a second, seldom enough to cost nothing.
SAMPLE_SECONDS = 0.2
# To find the processes that this one has started, all of the machine are looked through.
SAMPLES_OF_SAME_PROCESSES = 5
PACKAGES = (
    *("orimap", "dask", "distributed", "dask-ml", "zarr", "xarray", "numpy", "scipy", "numba"),
    *("scikit-learn", "scikit-image", "rosettasciio", "prefect"),
)


class Measurement:
    """Samples the memory of this process and its children while the context is open."""

    def __init__(self) -> None:
        self._steps: list[dict[str, Any]] = []
        self._facts: dict[str, Any] = {}
        self._predicted: dict[str, int] = {}
        self._peak = 0
        self._step_peak = 0
        self._family: list[Any] = []
        self._stop = threading.Event()
        self._started = time.perf_counter()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> "Measurement":
        self._sampler.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._sampler.join()

    def _sample(self) -> None:
        for sample in itertools.count():
            if self._stop.wait(SAMPLE_SECONDS):
                return
            if sample % SAMPLES_OF_SAME_PROCESSES == 0:
                self._family = family()
            self._look()

    def _look(self) -> None:
        now = resident_bytes(self._family or family())
        self._peak = max(self._peak, now)
        self._step_peak = max(self._step_peak, now)

    @contextmanager
    def step(self, name: str) -> Iterator[dict[str, Any]]:
        """Measure one step; what is put into the dictionary is recorded with it."""
        self._step_peak = 0
        started = time.perf_counter()
        record: dict[str, Any] = {"name": name, "reused": False}
        yield record
        self._look()
        record.update(seconds=time.perf_counter() - started, peak_bytes=self._step_peak)
        self._steps.append(record)

    def facts(self, **facts: object) -> None:
        """Record something about the whole run."""
        self._facts.update(facts)

    def predicted(self, steps: Mapping[str, int]) -> None:
        """Record how much memory each step was predicted to take, bytes of all processes."""
        self._predicted = dict(steps)
        self.facts(predicted_peak_bytes=max(steps.values()))

    def record(self) -> dict[str, Any]:
        """Return what run.json holds."""
        return {
            **self._facts,
            "steps": [
                {**step, "predicted_bytes": self._predicted.get(step["name"])}
                for step in self._steps
            ],
            "seconds": time.perf_counter() - self._started,
            "peak_bytes": self._peak,
        }


def family(pid: int | None = None) -> list[Any]:
    """Return a process (this one by default) and all it started, each a ``psutil.Process``."""
    import psutil

    with suppress(psutil.Error):
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    return []


def resident_bytes(processes: Iterable[Any]) -> int:
    """Return the memory of those of some processes that are still there."""
    import psutil

    total = 0
    for process in processes:
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def versions() -> dict[str, str]:
    """Return the versions of what computed the results."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def machine() -> dict[str, Any]:
    """Return what kind of machine this is."""
    import psutil

    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
