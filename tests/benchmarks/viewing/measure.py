"""How long a click in the viewer takes over HTTP, and how much memory its server has.

    python tests/benchmarks/viewing/measure.py --size small|large [--output FOLDER] [--run RESULTS]
        [--clicks N] [--cores N] [--cold] [--keep FILE]

Simulates and analyses a scan, unless it is in ``--output`` from an earlier call or ``--run`` names
finished results; then serves it by a process of its own, clicks, and prints a table.
"""

import argparse
import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import psutil

HERE = Path(__file__).parent
ORIMAP = Path(sys.executable).with_name("orimap")
# Scan and detector, and the electrons of a pattern.
SIZES = {"small": ((64, 64), (128, 128)), "large": ((250, 400), (512, 512))}
GRAINS = 12
# What the issue of the viewer asks of a click, 95 of 100 of them.
AIM_MS = 100
START_SECONDS, MOMENT = 120, 0.1
SEED = 0


@dataclass
class Server:
    """The server under measurement, and a connection to it.

    Parameters
    ----------
    process : psutil.Process
    connection : http.client.HTTPConnection
        Kept open, as a browser does.
    """

    process: psutil.Process
    connection: http.client.HTTPConnection
    times: dict[str, list[float]] = field(default_factory=dict)
    processor: dict[str, list[float]] = field(default_factory=dict)

    def get(self, what: str, address: str, **asked: object) -> http.client.HTTPResponse:
        """Ask for an address; the milliseconds until the whole answer is here go to ``what``."""
        query = f"?{urlencode(asked)}" if asked else ""
        return self._time(what, "GET", address + query)

    def post(self, what: str, address: str, body: object) -> http.client.HTTPResponse:
        """Post JSON."""
        return self._time(what, "POST", address, json.dumps(body))

    def _time(self, what: str, method: str, target: str, body: str | None = None) -> object:
        worked, started = self._worked_ms, time.perf_counter()
        self.connection.request(method, target, body)
        answer = self.connection.getresponse()
        content = answer.read()
        self.times.setdefault(what, []).append(1e3 * (time.perf_counter() - started))
        self.processor.setdefault(what, []).append(self._worked_ms - worked)
        if answer.status not in (200, 202):  # 202: it is worked out
            sys.exit(f"{method} {target}: {answer.status} {content[:500]!r}")
        answer.content = content
        return answer

    @property
    def _worked_ms(self) -> float:
        """Processor time of all its threads that are there; what ended ones had is lost."""
        tasks = Path(f"/proc/{self.process.pid}/task")
        worked = 0
        for task in tasks.iterdir():
            with suppress(OSError):  # a thread that has ended meanwhile
                worked += int((task / "schedstat").read_text().split()[0])
        return worked / 1e6

    @property
    def megabytes(self) -> float:
        """Memory that the server has now."""
        return self.process.memory_info().rss / 1e6

    @property
    def peak_megabytes(self) -> float:
        """The most that it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return float(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6


@contextmanager
def served(results: Path, cores: int) -> Iterator[Server]:
    """Serve a run on some cores."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(HERE / "serve.py"), str(results), str(port)]
    with subprocess.Popen(command) as process:
        try:
            os.sched_setaffinity(process.pid, sorted(os.sched_getaffinity(0))[:cores])
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
            server = Server(psutil.Process(process.pid), connection)
            started = time.perf_counter()
            while True:
                try:
                    connection.connect()
                    break
                except OSError:
                    if time.perf_counter() - started > START_SECONDS:
                        raise
                    time.sleep(MOMENT)
            yield server
        finally:
            process.terminate()


def click(server: Server, clicks: int) -> None:
    """Do what a person does, again and again, in an order of chance."""
    rng = np.random.default_rng(SEED)
    # The first visit, in the order in which the page asks.
    server.get("first: page", "/")
    known = json.loads(server.get("first: the run", "/api/run").content)
    server.get("first: map of clusters", "/api/map/clusters")
    server.get("first: pattern", "/api/pattern/raw", y=0, x=0)
    rows, columns = known["scan"]["shape"]
    height, width = known["detector"]["shape"]
    disc = {"shape": "disc", "y": height / 2, "x": width / 4, "radius": height / 20}
    server.get("first: virtual image", "/api/virtual", **disc)
    # Meanwhile the server reads what tells the error of virtual images.
    while "X-Error" not in server.get("wait", "/api/virtual", **disc).headers:
        time.sleep(1)
    del server.times["wait"], server.processor["wait"]
    kinds = [kind["id"] for kind in known["pattern_kinds"]]
    layers = [layer["id"] for layer in known["layers"]]

    def anywhere() -> dict[str, int]:
        return {"y": int(rng.integers(rows)), "x": int(rng.integers(columns))}

    for _ in range(clicks):
        for kind in kinds:
            server.get(f"pattern {kind}, elsewhere", f"/api/pattern/{kind}", **anywhere())
        server.get("decomposition", "/api/decomposition", **anywhere())
        at = anywhere()
        # As the page does: the pattern, then what it is made of.
        started = time.perf_counter()
        server.get("of a click", "/api/pattern/raw", **at)
        server.get("of a click", "/api/decomposition", **at)
        server.times.setdefault("click: pattern and decomposition", []).append(
            1e3 * (time.perf_counter() - started)
        )
        at["x"] = at["x"] + 1 if at["x"] + 1 < columns else at["x"] - 1
        server.get("pattern raw, beside the last (arrow key)", "/api/pattern/raw", **at)
        server.get("map", f"/api/map/{layers[int(rng.integers(len(layers)))]}")
        ends = {f"{name}{n}": value for n in (0, 1) for name, value in anywhere().items()}
        server.get("line", "/api/line", **ends)
        y, x = rng.uniform(0.2, 0.8, 2) * (height, width)
        radius = rng.uniform(0.01, 0.1) * height
        drawn = {"shape": "disc", "y": f"{y:.2f}", "x": f"{x:.2f}", "radius": f"{radius:.2f}"}
        server.get("virtual disc, approximate", "/api/virtual", **drawn)
        ring = {**drawn, "shape": "ring", "radius": f"{height / 3:.2f}", "inner": f"{radius:.2f}"}
        server.get("virtual ring, approximate", "/api/virtual", **ring)
        y, x = int(rng.integers(rows - 8)), int(rng.integers(columns - 8))
        region = {"y0": y, "x0": x, "y1": y + 8, "x1": x + 8}
        server.get("mean of a region of 9 × 9", "/api/region", **region)
    del server.times["of a click"]
    for n in range(3):
        disc["radius"] = height / (21 + n)
        server.get("virtual disc, exact", "/api/virtual", **disc, exact=1)
    for each in known["numbers"][:NUMBERS]:
        number, started = f"/api/number/{each['distinct']}/map", time.perf_counter()
        while server.get("another number: how far it is", number, wait=1).status == 202:
            pass
        whole = server.times.setdefault("another number, until it is there", [])
        whole.append(1e3 * (time.perf_counter() - started))
        server.processor.setdefault("another number, until it is there", []).append(0.0)
    del server.times["another number: how far it is"]
    count = len(json.loads(server.get("clusters", "/api/clusters").content)["clusters"])
    for first in range(1, count):
        steps = [{"merge": [[first, count]]}]
        what = "preview of an edit" + (", the first" if first == 1 else "")
        server.post(what, "/api/preview", {"source": None, "steps": steps})


# Of other numbers so many are asked for: each takes half a minute on the largest scan.
NUMBERS = 1


def forget(results: Path) -> None:
    """Have the system forget what it holds of files in memory."""
    for path in results.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def make_run(size: str, folder: Path) -> Path:
    """Simulate and analyse a scan, unless that was done before."""
    scan, detector = SIZES[size]
    file, results = folder / "scan.zarr", folder / "results"
    folder.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        shapes = ("--scan", "x".join(map(str, scan)), "--detector", "x".join(map(str, detector)))
        call("simulate", file, *shapes, "--grains", GRAINS)
    if not (results / "report.html").exists():
        call("run", file, "--output", results)
    return results


def call(*words: object) -> None:
    """Call orimap."""
    subprocess.run([str(ORIMAP), *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def table(times: dict[str, list[float]], processor: dict[str, list[float]]) -> Iterator[str]:
    """Yield the lines of a table of milliseconds."""
    yield "| | times | median | 95 % | most | processor, median | 95 % |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for what, found in times.items():
        values = [np.median(found), np.percentile(found, 95), max(found)]
        if worked := processor.get(what):
            values += [np.median(worked), np.percentile(worked, 95)]
        yield f"| {what} | {len(found)} | " + " | ".join(f"{v:.1f}" for v in values) + " |"


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--output", type=Path, help="where scan and results stay")
    parser.add_argument("--run", type=Path, help="finished results to measure with")
    parser.add_argument("--clicks", type=int, default=100)
    parser.add_argument("--cores", type=int, default=2, help="that the server has")
    parser.add_argument("--cold", action="store_true", help="forget files that are in memory")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="write the figures as JSON")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = asked.output or Path(made)
        results = asked.run or make_run(asked.size, folder / asked.size)
        if asked.cold:
            forget(results)
        with served(results, asked.cores) as server:
            before = server.megabytes
            click(server, asked.clicks)
            memory = {
                "megabytes_at_start": before,
                "megabytes_after": server.megabytes,
                "megabytes_peak": server.peak_megabytes,
            }
            times, processor = server.times, server.processor
    print(
        f"milliseconds over HTTP, the server on {asked.cores} cores, load {os.getloadavg()[0]:.1f}"
    )
    print("\n".join(table(times, processor)))
    print("memory of the server, MB:", {name: round(value) for name, value in memory.items()})
    slow = [what for what in times if what.startswith(("pattern", "click", "decomp", "virtual"))]
    slow = [w for w in slow if "exact" not in w and np.percentile(times[w], 95) > AIM_MS]
    print(f"95 of 100 clicks within {AIM_MS} ms: {'not ' + ', '.join(slow) if slow else 'yes'}")
    if asked.keep:
        facts = {
            "size": asked.size,
            "cold": asked.cold,
            "load": os.getloadavg(),
            **memory,
            "ms": times,
        }
        facts["processor_ms"] = processor
        asked.keep.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
