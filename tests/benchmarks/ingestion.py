"""How fast acquisitions are ingested, beside a plain copy and other ways to store them.

    python tests/benchmarks/ingestion.py [--quick] [--folder DIR] [--peers-python PYTHON]

Simulates counts, writes them as .mib, .blo, .hspy and as a folder of images (about 0.5 GB each),
and stores each as Zarr on two workers, as ``orimap run`` has them:

ingestion   what ``orimap run`` does first: store, verify, list, sum up, look for defects
copy        the same blocks through the same reader, chunks and compressor, and nothing else
bare copy   the same, without the search for chunks of zeros that Zarr does by default
rosettasciio
            its lazy array, rechunked by Dask, into the same chunks and compressor
hyperspy    ``hs.load(file, lazy=True).save("x.zspy")`` in a process of its own, with its own chunks
            and compressor; wants an environment with hyperspy==2.5.0 and
            rosettasciio[blockfile,tiff,zspy] (``--peers-python``)

Prints seconds, gigabytes of uncompressed data a second, processor seconds and the largest memory of
all processes (without pages of mapped files); for an otherwise idle machine. The ways take turns,
so that a load that comes and goes meets all but hyperspy. Files are read from the page cache.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import zarr

from orimap.cluster.local import process_client
from orimap.tasks.acquire.acquisition import Acquisition
from orimap.tasks.acquire.ingest.ingest import COMPRESSION, ingest_acquisition
from orimap.tasks.acquire.open_acquisition import open_acquisition
from orimap.tasks.stream.blocks import Block, block_shape, broadcast, map_blocks, plan_blocks
from orimap.tasks.stream.memory import chunk_bytes_for

ORIMAP = Path(sys.executable).with_name("orimap")
WORKERS = 2
FORMATS = ("mib", "blo", "hspy", "images")
WAYS = ("ingestion", "copy", "bare copy", "rosettasciio", "hyperspy")
# Grey levels take half the bytes of counts.
SCAN, SCAN_OF_GREY_LEVELS, DETECTOR = (64, 64), (128, 64), (256, 256)
QUICK_SCAN = (16, 32)
MERLIN_HEAD_BYTES = 384

HYPERSPY = """
import json, sys, time
import hyperspy.api as hs
file, out = sys.argv[1:]
start, used = time.perf_counter(), time.process_time()
hs.load(file, lazy=True, stack=file.endswith(".tif")).save(out, overwrite=True)
print(json.dumps([time.perf_counter() - start, time.process_time() - used]))
"""


def make_file(kind: str, folder: Path, *, quick: bool) -> Path:
    """Write simulated patterns in one format, where they are not there from an earlier time."""
    scan = SCAN_OF_GREY_LEVELS if kind in ("blo", "images") else SCAN
    scan = QUICK_SCAN if quick else scan
    name = f"{scan[0]}x{scan[1]}"
    if kind == "images":
        return _write_images(make_file("blo", folder, quick=quick), folder / f"images-{name}")
    if kind == "mib":
        return _write_merlin(
            _simulated(folder / f"counts-{name}.npy", scan), folder / f"{name}.mib"
        )
    return _simulated(folder / f"{name}.{kind}", scan)


def _simulated(path: Path, scan: tuple[int, int]) -> Path:
    """Simulate a scan of ten grains, 5,000 electrons a pattern."""
    if not path.exists():
        shapes = ("--scan", "x".join(map(str, scan)), "--detector", "x".join(map(str, DETECTOR)))
        recipe = ("--grains", "10", "--dose", "5000", "--seed", "1")
        command = [ORIMAP, "simulate", path, *shapes, *recipe, "--force", "--quiet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


def _write_merlin(counts_file: Path, path: Path) -> Path:
    """Write counts the way a Merlin detector of 12 bits does, header and frame in turn."""
    if path.exists():
        return path
    counts = np.load(counts_file, mmap_mode="r")
    rows, columns, height, width = counts.shape
    started = datetime(2024, 1, 1)
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        for number, pattern in enumerate(counts.reshape(-1, height, width)):
            when = (started + timedelta(milliseconds=number)).isoformat(timespec="microseconds")
            head = (
                f"MQ1,{number + 1:06d},{MERLIN_HEAD_BYTES:05d},01,{width:04d},{height:04d},U16,"
                f"   1x1,01,{when.replace('T', ' ')},0.001000,0,0,0,4.000000E+1,"
                f"MQ1A,{when}000Z,1000000ns,12,"
            )
            file.write(head.encode().ljust(MERLIN_HEAD_BYTES))
            file.write(pattern[::-1].astype(">u2").tobytes())
    path.with_suffix(".hdr").write_text(
        "HDR,\t\n"
        "Time and Date Stamp (day, mnth, yr, hr, min, s):\t01/01/2024 00:00:00\n"
        "Chip ID:\tsimulated\n"
        "Counter Depth (number):\t12\n"
        "Acquisition Type (Normal, Th_scan, Config):\tNormal\n"
        f"Frames in Acquisition (Number):\t{rows * columns}\n"
        f"Frames per Trigger (Number):\t{columns}\n"
        "End\t\n"
    )
    unfinished.rename(path)
    return path


def _write_images(blo: Path, folder: Path) -> Path:
    """Write every pattern of a block file as an 8-bit TIFF."""
    from PIL import Image

    if folder.exists():
        return folder
    acquisition = open_acquisition(blo)
    unfinished = folder.with_name("unfinished")
    unfinished.mkdir(exist_ok=True)
    for row in range(acquisition.scan_shape[0]):
        patterns = acquisition.read(slice(row, row + 1), slice(None))[0]
        for column, pattern in enumerate(patterns):
            number = row * acquisition.scan_shape[1] + column
            Image.fromarray(pattern).save(unfinished / f"{number:06d}.tif")
    unfinished.rename(folder)
    return folder


class Meter:
    """Wall time, processor time and largest memory of this process and all it has started."""

    def __enter__(self) -> "Meter":
        me = psutil.Process()
        self._processes = [me, *me.children(recursive=True)]
        self._ended = threading.Event()
        self.peak_bytes = 0
        self._watcher = threading.Thread(target=self._watch)
        self._watcher.start()
        self._used, self._started = self._processor_seconds(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._started
        self.processor_seconds = self._processor_seconds() - self._used
        self._ended.set()
        self._watcher.join()

    def _processor_seconds(self) -> float:
        """Return what the processes have used so far."""
        times = [process.cpu_times() for process in self._processes]
        return sum(t.user + t.system for t in times)

    def _watch(self) -> None:
        """Look at the memory ten times a second."""
        while not self._ended.wait(0.1):
            self.peak_bytes = max(self.peak_bytes, own_bytes(self._processes))


def own_bytes(processes: Iterable[psutil.Process]) -> int:
    """Return the memory of processes, without pages of mapped files."""
    found = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            memory = process.memory_info()
            found += memory.rss - memory.shared
    return found


def measure_file(
    path: Path, client: Any, folder: Path, *, repeats: int, peers_python: Path | None
) -> dict[str, Any]:
    """Store one acquisition in every way, in turn, several times.

    Returns
    -------
    dict
        ``gigabytes`` uncompressed; for each way a list of ``seconds``, of ``processor_seconds`` and
        of ``peak_bytes``; ``ratios`` of the median speed of ingestion to each of the others, and
        ``processor_ratios`` of the processor time that each takes to that of ingestion.
    """
    scan = None
    if path.is_dir():
        names = path.name.removeprefix("images-").split("x")
        scan = int(names[0]), int(names[1])
    acquisition = open_acquisition(path, scan_shape=scan)
    ways: dict[str, Callable[[], Any]] = {
        "ingestion": lambda: _ingest(acquisition, client, folder),
        "copy": lambda: _copy(acquisition, client, folder, bare=False),
        "bare copy": lambda: _copy(acquisition, client, folder, bare=True),
        "rosettasciio": lambda: _rosettasciio(acquisition, client, folder),
    }
    found: dict[str, Any] = {
        "gigabytes": np.prod(acquisition.scan_shape) * acquisition.pattern_bytes / 1e9
    }
    taken: dict[str, list[Meter]] = {way: [] for way in ways}
    for repeat in range(repeats + 1):
        for way, store in ways.items():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            with Meter() as meter:
                store()
            if repeat:  # the first time compiles and fills the page cache
                taken[way].append(meter)
    for way, meters in taken.items():
        found[way] = {
            name: [getattr(meter, name) for meter in meters]
            for name in ("seconds", "processor_seconds", "peak_bytes")
        }
    if peers_python is not None:
        found["hyperspy"] = _hyperspy(path, folder, peers_python, repeats)
    shutil.rmtree(folder, ignore_errors=True)
    for ratios, name in (("ratios", "seconds"), ("processor_ratios", "processor_seconds")):
        typical = {w: statistics.median(found[w][name]) for w in WAYS if w in found}
        found[ratios] = {w: s / typical["ingestion"] for w, s in typical.items()}
    return found


def _ingest(acquisition: Acquisition, client: Any, folder: Path) -> None:
    """Ingest as ``orimap run`` does."""
    chunk_bytes = chunk_bytes_for(acquisition.scan_shape, acquisition.pattern_bytes)
    ingest_acquisition(client, acquisition, folder / "p.zarr", "mark", chunk_bytes=chunk_bytes)


def _target(acquisition: Acquisition, folder: Path, *, bare: bool) -> zarr.Array:
    """Make an array with the chunks and the compressor of ingestion."""
    chunk_bytes = chunk_bytes_for(acquisition.scan_shape, acquisition.pattern_bytes)
    chunk = block_shape(acquisition.scan_shape, acquisition.pattern_bytes, chunk_bytes)
    return zarr.create_array(
        folder / "copy.zarr",
        shape=(*acquisition.scan_shape, *acquisition.detector_shape),
        chunks=(*chunk, *acquisition.detector_shape),
        dtype=acquisition.dtype,
        compressors=zarr.codecs.BloscCodec(**COMPRESSION),
        config={"write_empty_chunks": bare},
    )


def _copy(acquisition: Acquisition, client: Any, folder: Path, *, bare: bool) -> None:
    """Copy block by block on the workers."""
    target = _target(acquisition, folder, bare=bare)
    blocks = plan_blocks(acquisition.scan_shape, target.chunks[:2])
    (shared,) = broadcast(client, (acquisition, target))
    for _ in map_blocks(client, copy_block, blocks, shared, ahead=2):
        pass


def copy_block(block: Block, shared: tuple[Acquisition, zarr.Array]) -> None:
    """Read one block and write it; runs on a worker."""
    acquisition, target = shared
    target[block.slices] = acquisition.read(*block.slices)


def _rosettasciio(acquisition: Acquisition, client: Any, folder: Path) -> None:
    """Store rosettasciio's lazy array on the same workers; images by threads of this process.

    Its lazy TIFF files cannot travel to other processes, and its lazy BMP files cannot be opened
    with the Dask that we use (rosettasciio 0.15), hence TIFF.
    """
    import dask.array as da
    from rsciio import blockfile, hspy, quantumdetector, tiff

    path, target = acquisition.path, _target(acquisition, folder, bare=False)
    if path.is_dir():
        lazy = [tiff.file_reader(str(f), lazy=True)[0]["data"] for f in sorted(path.iterdir())]
        array = da.stack(lazy)
    else:
        readers = {".mib": quantumdetector, ".blo": blockfile, ".hspy": hspy}
        array = readers[path.suffix].file_reader(str(path), lazy=True)[0]["data"]
    array = array.reshape(target.shape).astype(target.dtype)
    stored = array.rechunk(target.chunks).to_zarr(target, compute=False)
    if path.is_dir():
        stored.compute(scheduler="threads", num_workers=WORKERS)
    else:
        client.compute(stored).result()


def _hyperspy(path: Path, folder: Path, python: Path, repeats: int) -> dict[str, list[float]]:
    """Let hyperspy convert the file, in a new process each time; its start is not counted."""
    file = path / "*.tif" if path.is_dir() else path
    found: dict[str, list[float]] = {"seconds": [], "processor_seconds": [], "peak_bytes": []}
    for _ in range(repeats):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        command = [python, "-c", HYPERSPY, file, folder / "x.zspy"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as done:
            watched, peak = psutil.Process(done.pid), 0
            while done.poll() is None:
                peak = max(peak, own_bytes([watched]))
                time.sleep(0.1)
            lines = done.stdout.read().splitlines()
        if done.returncode:
            raise RuntimeError(f"hyperspy ended with {done.returncode} on {path.name}")
        seconds, used = json.loads(lines[-1])
        found["seconds"].append(seconds)
        found["processor_seconds"].append(used)
        found["peak_bytes"].append(peak)
    return found


def measure(
    kinds: Sequence[str] = FORMATS,
    *,
    folder: Path,
    quick: bool = False,
    repeats: int = 3,
    peers_python: Path | None = None,
) -> dict[str, Any]:
    """Measure all formats; the files are kept in ``folder``.

    Returns
    -------
    dict
        For each format what `measure_file` returns; ``load`` is the machine's before and after.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {kind: make_file(kind, folder, quick=quick) for kind in kinds}
    found: dict[str, Any] = {"load": [psutil.getloadavg()[0]]}
    with process_client(WORKERS) as client:
        for kind, path in files.items():
            found[kind] = measure_file(
                path, client, folder / "stored", repeats=repeats, peers_python=peers_python
            )
            report(kind, found[kind])
    found["load"].append(psutil.getloadavg()[0])
    return found


def report(kind: str, found: dict[str, Any]) -> None:
    """Print what was measured of one format."""
    print(f"{kind}: {found['gigabytes']:.2f} GB", flush=True)
    print("                seconds   GB/s  processor s  peak MB   ingestion's speed (by processor)")
    for way in WAYS:
        if way not in found:
            print(f"  {way:12s}  not measured: give --peers-python")
            continue
        seconds, used = (statistics.median(found[way][n]) for n in ("seconds", "processor_seconds"))
        print(
            f"  {way:12s} {seconds:9.2f} {found['gigabytes'] / seconds:6.2f} {used:12.2f} "
            f"{max(found[way]['peak_bytes']) / 1e6:8.0f} "
            f"{found['ratios'][way]:9.2f} ({found['processor_ratios'][way]:.2f})",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small files, once")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keeps the files for another time")
    parser.add_argument("--peers-python", type=Path, help="a Python that has hyperspy")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        found = measure(
            args.formats,
            folder=args.folder or Path(made),
            quick=args.quick,
            repeats=1 if args.quick else args.repeats,
            peers_python=args.peers_python,
        )
    print(f"load of the machine before and after: {found['load']}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
