"""Kill runs at moments of every kind, give the same command again, and compare what comes out.

    .venv/bin/python tests/faults/killed/count.py --kills 100 --out build/killed

A small scan is analysed once undisturbed. Then, again and again, with a folder of its own:
the process of the command, its whole group, or one of its workers is killed at a random moment,
or the process at one of the calls by which it puts results in place. The same command is given
again, and every array of both stores is compared with that of the undisturbed run.
"""

import argparse
import contextlib
import datetime
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil

# How kills are shared out. In the folder of a publication earlier results are replaced.
KINDS = ("command", "group", "worker", "publication")
OPTIONS = ("--k", "1:3", "--workers", "2", "--orchestrate", "never", "--keep", "all", "--quiet")
# What changes files, by the functions of `os`.
CHANGES = ("rename", "replace", "unlink", "rmdir", "mkdir", "open", "utime", "link", "fsync")
SECONDS = 300


def main() -> int:
    """Count, print, and return 1 where a run did not give what it gives undisturbed."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--kills", type=int, default=100)
    asked.add_argument("--seed", type=int, default=1)
    asked.add_argument("--out", type=Path)
    given = asked.parse_args()
    load()
    # By no object that removes it at the end of a process: each that is forked would.
    root = Path(tempfile.mkdtemp(prefix="orimap-killed-"))
    try:
        (root / "t").mkdir()
        os.environ["TMPDIR"] = tempfile.tempdir = str(root / "t")
        found = all_kills(given, root)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    lines = table(found)
    print("\n".join(lines))
    bad = [each for each in found if each["end"] != "identical"]
    for each in bad:
        print(json.dumps(each), file=sys.stderr)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "table.md").write_text("\n".join(lines) + "\n")
    return int(bool(bad))


def load() -> None:
    """Load what all runs need, before the first of them is forked."""
    import hdf5plugin  # noqa: F401

    import orimap  # noqa: F401
    from orimap.flows.cli import main  # noqa: F401
    from orimap.flows.pipeline import pipeline  # noqa: F401


def all_kills(given, root):
    """Write the scans, time an undisturbed run of each kind of workers, and kill."""
    chance = random.Random(given.seed)
    scan, truth, seconds = write_scan(root / "scan.npy"), {}, {}
    for cluster in ("threads", "processes"):
        truth[cluster] = root / f"truth_{cluster}"
        began = time.monotonic()
        _, status = ended(begun(scan, truth[cluster], cluster))
        assert status == 0, Path(f"{truth[cluster]}.log").read_text()
        seconds[cluster] = time.monotonic() - began
    found = []
    for number in range(given.kills):
        kind = KINDS[number % len(KINDS)]
        cluster = "processes" if kind == "worker" or chance.random() < 0.5 else "threads"
        output = root / f"{number}"
        if kind == "publication":
            shutil.copytree(truth[cluster], output)
        at = chance.uniform(0, 1)
        told = {"kill": number, "kind": kind, "cluster": cluster, "at": round(at, 3)}
        told |= killed(scan, output, cluster, kind, at * seconds[cluster], chance)
        _, status = ended(begun(scan, output, cluster, *told.pop("again", ())))
        told["end"] = compared(output, truth[cluster], status)
        told["left"] = [str(p) for p in remains(root)]
        if told["end"] == "identical" and told["left"]:
            told["end"] = "something was left behind"
        found.append(told)
        shutil.rmtree(output, ignore_errors=True)
        print(f"{number + 1} of {given.kills}: {told}", file=sys.stderr)
    return found


def write_scan(path: Path) -> Path:
    """Write a scan of two grains."""
    from orimap.tasks.simulate.recipe import ScanRecipe
    from orimap.tasks.simulate.write_scan import write_scan as write

    write(ScanRecipe(scan=(6, 7), detector=(32, 32), grains=2, dose=2000, seed=4), path)
    return path


def begun(scan: Path, output: Path, cluster: str, *options: str, call: int | None = None) -> int:
    """Begin a run in a process of its own; return its number.

    With ``call``, it kills itself at that call by which it puts results in place.
    """
    child = os.fork()
    if child:
        return child
    os.setsid()
    said = os.open(f"{output}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    if call is not None:
        end_at(call)
    from orimap.flows.cli import main as command

    sys.argv = ["orimap", "run", str(scan), "--output", str(output), "--cluster", cluster,
                *OPTIONS, *options]  # fmt: skip
    code = 1
    try:
        command.app()
        code = 0
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    finally:
        with contextlib.suppress(BaseException):
            leave()
        os._exit(code)


def leave() -> None:
    """Do what Python does at the end of a process."""
    import atexit
    from multiprocessing import util

    atexit._run_exitfuncs()
    util._exit_function()


def end_at(call: int) -> None:
    """Have this process end at a call of `os` while it puts results in place."""
    from orimap.tasks.store.run_folder import RunFolder

    done, publish = 0, RunFolder.publish

    def counted(original):
        def called(*args, **kwargs):
            nonlocal done
            done += 1
            if done > call:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        return called

    def counting(folder):
        for name in CHANGES:
            setattr(os, name, counted(getattr(os, name)))
        publish(folder)

    RunFolder.publish = counting


def killed(scan, output, cluster, kind, seconds, chance):
    """Begin a run and kill what is to be killed; return how far that came."""
    if kind == "publication":
        # Others of a random seed replace those that are there.
        options = ("--seed", str(chance.randrange(1, 100)))
        _, status = ended(begun(scan, output, cluster, *options, call=chance.randrange(60)))
        return {"hit": status == -signal.SIGKILL}
    child = begun(scan, output, cluster)
    time.sleep(seconds)
    hit = False
    with contextlib.suppress(ProcessLookupError, psutil.Error):
        if kind == "worker":
            workers = psutil.Process(child).children(recursive=True)
            if workers:
                chance.choice(workers).kill()
                hit = True
        else:
            hit = os.waitpid(child, os.WNOHANG) == (0, 0)
            (os.killpg if kind == "group" else os.kill)(child, signal.SIGKILL)
    if kind == "command":
        # What it has started ends by itself.
        last = time.monotonic() + 30
        while of_group(child) and time.monotonic() < last:
            time.sleep(0.05)
    with contextlib.suppress(ChildProcessError):
        ended(child)
    return {"hit": hit}


def of_group(group: int) -> list[int]:
    """Return the processes of a group that still run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def ended(child: int) -> tuple[int, int]:
    """Wait for a process; return its number and how it ended."""
    last = time.monotonic() + SECONDS
    while time.monotonic() < last:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return found, os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return child, -1


def remains(root: Path) -> list[Path]:
    """Return what processes that are gone have left among temporary files and semaphores."""
    from orimap.tasks.process_name import NAME, is_gone

    places = [*(root / "t").rglob("*"), *Path("/dev/shm").glob("sem.*")]
    named = [(path, re.search(NAME, path.name)) for path in places]
    return [path for path, name in named if name is not None and is_gone(name)]


def arrays(folder: Path) -> dict:
    """Return all arrays of both stores."""
    import zarr

    return {
        f"{store}/{name}": node
        for store in ("patterns.zarr", "analysis.zarr")
        for name, node in zarr.open_group(folder / store, mode="r").members(None)
        if isinstance(node, zarr.Array)
    }


def compared(output: Path, truth: Path, status: int) -> str:
    """Say how results differ from those of the undisturbed run."""
    if status != 0:
        return f"the run after it ended with {status}"
    made, expected = arrays(output), arrays(truth)
    if made.keys() != expected.keys():
        return f"other arrays: {sorted(made.keys() ^ expected.keys())[:3]}"
    differing = [
        name
        for name, array in expected.items()
        if not np.array_equal(made[name][...], array[...], equal_nan=array.dtype.kind == "f")
    ]
    return f"{differing[:3]} differ" if differing else "identical"


def table(found):
    """Return the counts as Markdown."""
    day = datetime.datetime.now(datetime.UTC).date()
    lines = [
        f"{len(found)} kills, {day}.",
        "",
        "| killed | times | while it ran | the next run identical |",
        "|---|---:|---:|---:|",
    ]
    for kind in (*KINDS, None):
        of = [each for each in found if kind in (each["kind"], None)]
        counts = Counter(each["end"] for each in of)
        hit = sum(each["hit"] for each in of)
        lines.append(f"| {kind or 'all'} | {len(of)} | {hit} | {counts['identical']} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
